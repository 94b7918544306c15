"""Where things come from: tasks from a dataset's folder, `toolkit:NAME` or `autoslurp:FILE.csv`; blueprints from kits.

One place that opens whatever a person may name on the command line; an unknown name is a `UsageError`.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rapidfuzz import process

from mocktrial.envs.dataset import Dataset, load_dataset
from mocktrial.envs.task import Persona, Task
from mocktrial.mocktools.autoslurp.compare import PUBLISHED, RULES
from mocktrial.mocktools.autoslurp.dataset import read
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.autoslurp import tasks_of
from mocktrial.synth.blueprint import Blueprint, BlueprintSource, Domains, is_folder, load_blueprint, shipped_domains
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.kits import kit_names
from mocktrial.synth.personas import read_personas
from mocktrial.synth.production.produce import Job, collect
from mocktrial.synth.systoolkit.source import NAME as SYSTOOLKIT
from mocktrial.synth.systoolkit.source import DeviceTasks

AUTOSLURP = "autoslurp:"
TOOLKIT = "toolkit:"
TOOLKIT_TASKS = 20  # made for `toolkit:NAME`
PROCEDURAL = "procedural"
MAX_PERSONAS = 10_000  # of a file that are read: memory stays flat
_NEAR = 70  # percent of letters that a name has in common with one that is meant


@dataclass(frozen=True)
class Source:
    """Tasks with their compiled worlds."""

    name: str
    tasks: tuple[Task, ...]
    images: Mapping[str, WorldImage]
    rows_unmapped: int = 0  # Auto-SLURP rows with an intent or label that no service has
    notes: tuple[str, ...] = ()

    def content_hash(self) -> str:
        """First 16 hex digits over the tasks' own hashes, in order."""
        return hashlib.sha256("".join(task.content_hash() for task in self.tasks).encode()).hexdigest()[:16]


def open_source(
    source: str, *, split: str | None = None, limit: int | None = None, without: tuple[str, ...] = ()
) -> Source:
    """The tasks that `source` names, perhaps one split of them, perhaps only the first `limit`.

    without: Auto-SLURP leniencies to switch off. Raises `UsageError`.
    """
    if source.startswith(AUTOSLURP):
        found = _autoslurp(source.removeprefix(AUTOSLURP), without)
    elif source.startswith(TOOLKIT):
        found = _toolkit(source.removeprefix(TOOLKIT))
    else:
        found = _folder(source)
    tasks = tuple(task for task in found.tasks if split in (None, task.split))[:limit]
    if not tasks:
        splits = ", ".join(sorted({task.split for task in found.tasks}))
        raise UsageError(f"{source} has no task in split {split!r}", hint=f"it has: {splits or 'no task at all'}")
    return replace(found, tasks=tasks)


def _autoslurp(path: str, without: tuple[str, ...]) -> Source:
    unknown = [rule for rule in without if rule not in RULES]
    if unknown:
        raise UsageError(f"no rule {unknown[0]!r}", hint=f"rules are: {', '.join(sorted(RULES))}")
    rows = read(path)
    image = autoslurp_image()
    return Source(
        name=f"autoslurp-{Path(path).stem}",
        tasks=tuple(tasks_of(rows, rules=PUBLISHED - set(without))),
        images={image.spec.name: image},
        rows_unmapped=rows.rows_unmapped,
        notes=(
            *rows.notes,
            *(f"{label}: {count} row(s), no service has it" for label, count in rows.unmapped.items()),
        ),
    )


def _toolkit(name: str) -> Source:
    """Proved tasks of a kit, a domain or SysToolKit, made on the spot; always the same."""
    job = Job(source_of(domains=(name,)), seed=0, per_world=5)
    return _source_of(collect(job, TOOLKIT_TASKS, name=name, progress=lambda made: None))


def _folder(source: str) -> Source:
    folder = Path(source)
    if not folder.is_dir():
        hint = "mocktrial synth NAME"
        raise UsageError(f"{source} is neither a dataset's folder nor toolkit:NAME nor autoslurp:FILE.csv", hint=hint)
    return _source_of(load_dataset(folder))


def _source_of(dataset: Dataset) -> Source:
    images = {task.world: dataset.image(task) for task in dataset.tasks}
    return Source(name=dataset.name, tasks=dataset.tasks, images=images)


def run_name(source: Source, agent: str, split: str | None = None) -> str:
    """The default name of a run: source, split where one was chosen, and agent, in letters that a folder may have."""
    name = "-".join(filter(None, (source.name, split, agent)))
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64]


@dataclass(frozen=True)
class Mixed:
    """Kits and hand-written domains that take turns, in the order in which they are named: kits first."""

    kits: Composer
    domains: Domains

    def blueprint(self, number: int) -> Blueprint:
        kits, domains = len(self.kits.names), len(self.domains.names)
        turn, place = divmod(number, kits + domains)
        if place < kits:
            return self.kits.blueprint(turn * kits + place)
        return self.domains.blueprint(turn * domains + place - kits)

    @property
    def name(self) -> str:
        return f"{self.kits.name}+{self.domains.name}"

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.kits.names, *self.domains.names)


def source_of(teacher: str = PROCEDURAL, domains: Sequence[str] = (), seed: int = 0) -> BlueprintSource:
    """The source that needs no model: kits, hand-written domains or both, or SysToolKit; all kits where none is named.

    domains: as `domains_of` reads them. seed: of what the composer draws. Raises `UsageError`.
    """
    if teacher != PROCEDURAL:
        raise UsageError(f"there is no teacher {teacher!r}", hint=f"teachers are: {PROCEDURAL}, openai:MODEL")
    names = domains_of(domains)
    if SYSTOOLKIT in names:
        if len(names) > 1:
            raise UsageError(f"{SYSTOOLKIT} makes worlds of its own", hint=f"--domains {SYSTOOLKIT} alone")
        return DeviceTasks(seed)
    shipped = shipped_domains()
    by_hand = tuple(name for name in names if name in shipped or is_folder(name))
    kits = tuple(name for name in names if name not in by_hand)
    if not by_hand:
        return Composer(seed, kits)
    return Mixed(Composer(seed, kits), Domains(by_hand)) if kits else Domains(by_hand)


def domains_of(names: Sequence[str]) -> tuple[str, ...]:
    """The kits and domains that are meant, each once; a kit's name may have - for _, a folder stays as it is named.

    Raises `UsageError`.
    """
    kits, shipped = kit_names(), (*shipped_domains(), SYSTOOLKIT)
    found: dict[str, None] = {}
    for name in names:
        plain = name if name in shipped or is_folder(name) else name.replace("-", "_")
        if plain not in kits and plain not in shipped and not is_folder(plain):
            near = [match for match, _, _ in process.extract(plain, (*kits, *shipped), limit=3, score_cutoff=_NEAR)]
            like = f"near it: {', '.join(near)}; " if near else ""
            raise UsageError(f"there is no domain {name!r}", hint=f"{like}mocktrial synth --list-domains shows all")
        found[plain] = None
    return tuple(found)


def recorded(names: Sequence[str]) -> tuple[str, ...]:
    """What a recipe keeps of `domains_of`: of a folder its name and the hash of what lies in it, not its place."""
    own = {name: load_blueprint(name) for name in names if is_folder(name)}
    hashes = {name: hashlib.sha256(one.model_dump_json().encode()).hexdigest()[:16] for name, one in own.items()}
    return tuple(f"{own[name].name}@{hashes[name]}" if name in own else name for name in names)


def sectors() -> dict[str, list[str]]:
    """Every domain by its sector; those written by hand under `by hand`."""
    found: dict[str, list[str]] = {}
    for kit, sector in kit_names().items():
        found.setdefault(sector, []).append(kit)
    return {**dict(sorted(found.items())), "by hand": list(shipped_domains()), "device": [SYSTOOLKIT]}


def listed_personas(path: Path, seed: int) -> tuple[Persona, ...]:
    """The first `MAX_PERSONAS` of a Persona-Hub-style file. Raises `SpecError` for a broken or an empty one."""
    found = tuple(itertools.islice(read_personas(path, seed), MAX_PERSONAS))
    if not found:
        raise SpecError(f"{path} has no persona", hint='a line is an object such as {"persona": "A nurse who ..."}')
    return found
