"""Where things come from: tasks from a dataset's folder or `autoslurp:FILE.csv`, blueprints from a teacher.

One place that opens whatever a person may name on the command line; an unknown name is a `UsageError`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mocktrial.envs.dataset import load_dataset
from mocktrial.envs.task import Task
from mocktrial.mocktools.autoslurp.compare import PUBLISHED, RULES
from mocktrial.mocktools.autoslurp.dataset import read
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.autoslurp import tasks_of
from mocktrial.synth.blueprint import BlueprintSource, ShippedDomains

AUTOSLURP = "autoslurp:"
TEACHERS = ("procedural",)


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
    found = _autoslurp(source.removeprefix(AUTOSLURP), without) if source.startswith(AUTOSLURP) else _folder(source)
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


def _folder(source: str) -> Source:
    folder = Path(source)
    if not folder.is_dir():
        raise UsageError(f"{source} is neither a dataset's folder nor autoslurp:FILE.csv", hint="mocktrial synth NAME")
    dataset = load_dataset(folder)
    images = {task.world: dataset.image(task) for task in dataset.tasks}
    return Source(name=dataset.name, tasks=dataset.tasks, images=images)


def run_name(source: Source, agent: str) -> str:
    """The default name of a run: source and agent, in letters that a folder may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", f"{source.name}-{agent}".lower()).strip("-._")[:64]


def source_of(teacher: str = TEACHERS[0], domains: tuple[str, ...] = (), seed: int = 0) -> BlueprintSource:
    """The source of blueprints that `teacher` names, perhaps of some domains only. Raises `UsageError`.

    seed: of what the source itself draws; the shipped domains draw nothing.
    """
    if teacher != TEACHERS[0]:
        raise UsageError(f"there is no teacher {teacher!r}", hint=f"teachers are: {', '.join(TEACHERS)}")
    return ShippedDomains(domains or None)
