"""A dataset read a world at a time: nothing is held but where each task's line stands (about 200 bytes a task).

    folder = open_folder(path);  for world in folder.worlds: tasks = folder.read(world)

Tasks of a world need not stand together. A broken or missing file is a `SpecError` that names file and line.
`dataset.load_dataset` reads small datasets whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pydantic_core
from pydantic import BaseModel, ValidationError

from mocktrial.envs.dataset import REPAIR, Proof, Recipe, check_place, read_recipe
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.files import broken, read_world
from mocktrial.mocktools.spec import WorldSpec

_Model = TypeVar("_Model", bound=BaseModel)
Place = tuple[int, int, int]  # line, offset and length


@dataclass(frozen=True)
class WorldTasks:
    """Where the tasks of one world and their proofs stand. A task without a proof has None."""

    world: str
    tasks: tuple[Place, ...]
    proofs: tuple[Place | None, ...]


@dataclass(frozen=True)
class Folder:
    path: Path
    recipe: Recipe
    worlds: tuple[WorldTasks, ...]  # in the order of their first task
    unowned: int = 0  # proofs of no task

    @property
    def tasks(self) -> int:
        return sum(len(world.tasks) for world in self.worlds)

    def spec(self, world: str) -> WorldSpec:
        return read_world(self.path / "worlds" / f"{world}.json", hint=REPAIR)

    def read(self, world: WorldTasks) -> list[tuple[Task, Proof | None]]:
        """The tasks of one world with their proofs, in the order of the file."""
        tasks, proofs = self.path / "tasks.jsonl", self.path / "proof.jsonl"
        found = _at(tasks, world.tasks, Task)
        proved = iter(_at(proofs, [place for place in world.proofs if place], Proof))
        return [(task, next(proved) if place else None) for task, place in zip(found, world.proofs, strict=True)]

    def __iter__(self) -> Iterator[tuple[WorldSpec, list[tuple[Task, Proof | None]]]]:
        """World by world."""
        for world in self.worlds:
            yield self.spec(world.world), self.read(world)


def open_folder(path: Path) -> Folder:
    """Find where everything stands. Raises `UsageError` where there is no dataset, `SpecError` for broken lines."""
    check_place(path)
    recipe = read_recipe(path / "dataset.toml")
    proofs = {name: place for place, name in _index(path / "proof.jsonl", "task")}
    worlds: dict[str, tuple[list[Place], list[Place | None]]] = {}
    seen: set[str] = set()
    for place, name, world in _index_pairs(path / "tasks.jsonl"):
        if name in seen:
            raise SpecError(f"{path / 'tasks.jsonl'}: task id {name!r} stands there twice")
        seen.add(name)
        own = worlds.setdefault(world, ([], []))
        own[0].append(place)
        own[1].append(proofs.pop(name, None))
    index = tuple(WorldTasks(world, tuple(tasks), tuple(own)) for world, (tasks, own) in worlds.items())
    return Folder(path, recipe, index, len(proofs))


def _index_pairs(path: Path) -> Iterator[tuple[Place, str, str]]:
    for place, data in _lines(path):
        name, world = data.get("id"), data.get("world")
        if not isinstance(name, str) or not isinstance(world, str):
            raise SpecError(f"{path}, line {place[0]}: has no id or world", hint=REPAIR)
        yield place, name, world


def _index(path: Path, key: str) -> Iterator[tuple[Place, str]]:
    for place, data in _lines(path):
        name = data.get(key)
        if not isinstance(name, str):
            raise SpecError(f"{path}, line {place[0]}: has no {key}", hint=REPAIR)
        yield place, name


def _lines(path: Path) -> Iterator[tuple[Place, dict[str, object]]]:
    offset = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield (number, offset, len(line)), _parsed(path, number, line)
                offset += len(line)
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", hint=REPAIR) from error


def _parsed(path: Path, number: int, line: bytes) -> dict[str, object]:
    try:
        data = pydantic_core.from_json(line)
    except ValueError as error:
        raise SpecError(f"{path}, line {number}: {error}", hint=REPAIR) from error
    if not isinstance(data, dict):
        raise SpecError(f"{path}, line {number}: is no JSON object", hint=REPAIR)
    return data


def _at(path: Path, places: list[Place] | tuple[Place, ...], kind: type[_Model]) -> list[_Model]:
    found = []
    with path.open("rb") as file:
        for number, offset, length in places:
            file.seek(offset)
            try:
                found.append(kind.model_validate_json(file.read(length)))
            except ValidationError as error:
                raise broken(f"{path}, line {number}", error, hint=REPAIR) from error
    return found
