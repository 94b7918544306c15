"""Whole datasets in tau2's form: a folder out, a file of tasks in.

    OUT/  tasks.json  split_tasks.json  policies/WORLD.md        what tau2 reads
          worlds/WORLD.json  dataset.toml                        ours, which it does not

Each task of ours carries itself, its proof and a hash of what stands beside them under the key `mocktrial`: read
again it is the same, byte for byte, and one that was changed outside is refused, not half believed. A task without
that key is somebody else's (`back`) and needs a world in which its tools exist; it is proved like any other, and
those with findings do not come in.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.dataset import Dataset, read_recipe, world_text
from mocktrial.envs.proof import Proof, Recipe
from mocktrial.envs.task import Task
from mocktrial.mocktools.cache import whole_folder
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.files import broken, read_text, read_world
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import Frozen, WorldSpec, short_hash
from mocktrial.mocktools.values import stable
from mocktrial.synth.exchange.tau2.back import task_of
from mocktrial.synth.exchange.tau2.out import EXTENSION, SOURCE, Entry, entry_of
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.proof.prove import prove

_UNNAMED = re.compile(r"[^a-z0-9]+")
_LONGEST = 58  # characters of a task's name, so that a number fits behind it


class _Ours(Frozen):
    """What stands under `EXTENSION`."""

    task: Task
    proof: Proof | None = None
    beside: str  # hash of the entry without it
    made_of_it: bool = False  # the task came from that entry: it goes back into the provenance


@dataclass
class Imported:
    """left: what the tasks had that could not be carried, by kind; refused: entries that make no task, by reason."""

    dataset: Dataset
    left: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


def export_tau2(dataset: Dataset, folder: Path, progress: Callable[[int], None] = lambda done: None) -> dict[str, int]:
    """Write `folder` whole or not at all; returns how many `tasks` and `worlds`."""
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="remove it, or choose another --out")
    proofs = {proof.task: proof for proof in dataset.proofs}
    entries, splits = [], dict[str, list[str]](train=[], test=[], base=[])
    for task in dataset.tasks:
        entry = entry_of(task, dataset.image(task))
        entries.append({**entry, EXTENSION: _extension(task, proofs.get(task.id), entry)})
        for split in (task.split, "base"):
            splits[split].append(entry["id"])
        progress(len(entries))
    files = {"tasks.json": entries, "split_tasks.json": splits}
    texts = {name: json.dumps(value, indent=1) + "\n" for name, value in files.items()}
    for name, world in sorted(dataset.worlds.items()):
        texts |= {f"policies/{name}.md": world.rules + "\n", f"worlds/{name}.json": world_text(world)}
    _write(folder, texts | {"dataset.toml": dataset.recipe.toml()})
    return {"tasks": len(entries), "worlds": len(dataset.worlds)}


def _extension(task: Task, proof: Proof | None, entry: Entry) -> Entry:
    rest = {key: value for key, value in task.provenance.items() if key != SOURCE}
    bare = task.model_copy(update={"provenance": rest})
    return _Ours(task=bare, proof=proof, beside=_hash(entry), made_of_it=SOURCE in task.provenance).model_dump(
        mode="json"
    )


def _hash(entry: Entry) -> str:
    return short_hash(stable(entry).encode())


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    with whole_folder(folder) as part:
        for name, text in texts.items():
            with whole_file(part / name) as file:
                file.write(text.encode())


def read_entries(path: Path) -> list[Entry] | None:
    """The tasks in a file of tau2's form; None where it is something else."""
    try:
        found = json.loads(read_text(path))
    except json.JSONDecodeError:
        return None
    fits = isinstance(found, list) and found and all(isinstance(one, dict) and "user_scenario" in one for one in found)
    return found if fits else None


def import_tau2(
    path: Path,
    entries: Sequence[Entry],
    name: str,
    world: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Imported:
    """The dataset `name` of the entries that `path` holds. world: where tasks of others play. Raises `SpecError`."""
    reader = _Reader(path, compile_world(read_world(world)) if world else None)
    for number, entry in enumerate(entries, 1):
        reader.take(entry)
        progress(number)
    if not reader.tasks:
        raise SpecError(f"{path}: no task came in: {dict(reader.refused)}", hint="docs/exchange.md says what must hold")
    recipe = path.with_name("dataset.toml")
    if reader.foreign or not recipe.exists():
        made = Recipe(generator="tau2", count=len(entries), dropped=dict(reader.refused))
    else:
        made = read_recipe(recipe)
    dataset = Dataset(made, reader.worlds, tuple(reader.tasks), tuple(reader.proofs), name)
    return Imported(dataset, +reader.left, reader.refused)


class _Reader:
    """What has been read of a file so far."""

    def __init__(self, path: Path, image: WorldImage | None) -> None:
        self.path, self.image = path, image
        self.worlds: dict[str, WorldSpec] = {}
        self.tasks: list[Task] = []
        self.proofs: list[Proof] = []
        self.left: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.foreign = 0
        self._names: set[str] = set()
        self._tests = _tests(path.with_name("split_tasks.json"))

    def take(self, entry: Entry) -> None:
        if EXTENSION in entry:
            self._ours(entry)
        else:
            self.foreign += 1
            self._theirs(entry)

    def _ours(self, entry: Entry) -> None:
        theirs = {key: value for key, value in entry.items() if key != EXTENSION}
        where = f"{self.path}, task {entry.get('id')!r}"
        try:
            ours = _Ours.model_validate_json(json.dumps(entry[EXTENSION]))
        except ValidationError as error:
            raise broken(where, error) from error
        if ours.beside != _hash(theirs):
            raise SpecError(f"{where} was changed", hint=f"without its key {EXTENSION} it is read as anybody's")
        task = ours.task
        if task.world not in self.worlds:
            self.worlds[task.world] = read_world(self.path.parent / "worlds" / f"{task.world}.json")
        if ours.made_of_it:
            task = task.model_copy(update={"provenance": {**task.provenance, SOURCE: theirs}})
        self._names.add(task.id)
        self.tasks.append(task)
        self.proofs += [ours.proof] if ours.proof else []

    def _theirs(self, entry: Entry) -> None:
        if self.image is None:
            hint = "--world WORLD.json; `mocktrial import` begins one from an OpenAPI document"
            raise UsageError(f"{self.path}: task {entry.get('id')!r} needs a world in which its tools exist", hint=hint)
        split: Literal["train", "test"] = "test" if entry.get("id") in self._tests else "train"
        left: Counter[str] = Counter()
        try:
            task = task_of(entry, self.image, self._name(str(entry.get("id"))), split, left)
        except Unplannable as reason:
            self.refused[str(reason)] += 1
            return
        proof = prove(task, self.image)
        if not proof.ok:
            self.refused[f"proof: {proof.failures[0].partition(':')[0]}"] += 1
            return
        self.worlds[self.image.spec.name] = self.image.spec
        self.tasks.append(task)
        self.proofs.append(proof)
        self.left += left

    def _name(self, theirs: str) -> str:
        """Their name in letters that ours have; a number behind it where it is taken."""
        plain = _UNNAMED.sub("-", theirs.lower()).strip("-")[:_LONGEST].strip("-") or "task"
        names = chain((plain,), (f"{plain}-{number}" for number in count(2)))
        name = next(one for one in names if one not in self._names)
        self._names.add(name)
        return name


def _tests(path: Path) -> Sequence[str]:
    """Ids of the test split, where a file of splits stands beside the tasks."""
    try:
        splits = json.loads(read_text(path)) if path.exists() else {}
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    found: Sequence[str] = splits.get("test", ()) if isinstance(splits, dict) else ()
    return found
