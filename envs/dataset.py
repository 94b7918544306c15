"""A dataset on disk and in memory: worlds, tasks and the proof of each task.

    datasets/NAME/  dataset.toml (recipe)  worlds/ID.json  tasks.jsonl  proof.jsonl  README.md (card)

Written to a temporary folder beside the target and renamed, so that a folder under its name is whole. Any
broken file is a `SpecError` that names file, line and key.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import tomlkit
from pydantic import BaseModel, Field, ValidationError

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.files import broken, read_text, read_world
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import FileName, Frozen, WorldSpec

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TEMPLATES = Path(__file__).parent / "templates"
_HINT = "mend it, or let mocktrial synth make the dataset anew"
_Model = TypeVar("_Model", bound=BaseModel)


class Proof(Frozen):
    """What was played to prove a task (DESIGN, invariant 7): the number of episodes of each kind.

    `failures` lists what did not end as it must; a task that ships has none.
    """

    task: FileName
    task_hash: str
    counts: dict[str, int] = Field(default_factory=dict)
    failures: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.failures


class Recipe(Frozen):
    """How the dataset was made; enough to make it again."""

    name: FileName
    generator: str = "procedural"
    seed: int = 0
    count: int = Field(default=0, ge=0)  # tasks asked for
    worlds_per_domain: int = Field(default=0, ge=0)
    max_calls: int = Field(default=0, ge=0)  # in a gold plan; 0: no bound
    domains: tuple[str, ...] = ()
    dropped: dict[str, int] = Field(default_factory=dict)  # drafts that did not become tasks, by reason
    versions: dict[str, str] = Field(default_factory=dict)  # of what decides the bytes


@dataclass(frozen=True)
class Dataset:
    """Tasks in order, the worlds they name, and a proof a task. Images are compiled once, on first use."""

    recipe: Recipe
    worlds: Mapping[str, WorldSpec]
    tasks: tuple[Task, ...]
    proofs: tuple[Proof, ...] = ()
    _images: dict[str, WorldImage] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.recipe.name

    def image(self, task: Task) -> WorldImage:
        """The compiled world of a task. Raises `SpecError` where it is not the world of the task's proof."""
        if task.world not in self._images:
            if task.world not in self.worlds:
                raise SpecError(f"task {task.id} names world {task.world!r}, which dataset {self.name} lacks")
            self._images[task.world] = compile_world(self.worlds[task.world])
        image = self._images[task.world]
        if image.hash != task.world_hash:
            raise SpecError(f"task {task.id} was made for another version of world {task.world}")
        return image

    def split(self, name: str) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if task.split == name)

    def card(self) -> str:
        """The dataset card, as markdown."""
        loader = jinja2.FileSystemLoader(_TEMPLATES)
        page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        cells = Counter((task.domain, task.difficulty, task.split) for task in self.tasks)
        rows = [(*cell, cells[cell]) for cell in sorted(cells)]
        played: Counter[str] = Counter()
        for proof in self.proofs:
            played.update(proof.counts)
        example = self.tasks[0] if self.tasks else None
        return page.get_template("dataset_card.md.j2").render(
            dataset=self, rows=rows, played=sorted(played.items()), example=example
        )

    def save(self, folder: Path) -> None:
        """Write the whole folder or nothing. Raises `UsageError` where it stands already or cannot be written."""
        if folder.exists():
            raise UsageError(f"{folder} exists already", hint="choose another name or remove it first")
        part = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            for name, text in self._files():
                with whole_file(part / name) as file:
                    file.write(text.encode())
            part.rename(folder)
        except OSError as error:
            raise UsageError(f"cannot write {folder}: {error.strerror}", hint="is there room left?") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _files(self) -> Iterable[tuple[str, str]]:
        yield "dataset.toml", tomlkit.dumps(self.recipe.model_dump(mode="json"))
        for name, spec in sorted(self.worlds.items()):
            yield f"worlds/{name}.json", spec.model_dump_json(indent=1) + "\n"
        yield "tasks.jsonl", _lines(self.tasks)
        yield "proof.jsonl", _lines(self.proofs)
        yield "README.md", self.card()


def dataset_folder(root: Path, name: str) -> Path:
    """The folder of the dataset `name` under `root`. Raises `UsageError` for what is no name."""
    folder = root / name
    if not _NAME.fullmatch(name) or folder.resolve().parent != root.resolve():
        raise UsageError(
            f"{name!r} is not a name of a dataset", hint="lower-case letters, digits and . _ - (at most 64)"
        )
    return folder


def load_dataset(folder: Path) -> Dataset:
    """Read a dataset and check that its parts agree. Raises `SpecError`."""
    if not folder.is_dir():
        raise UsageError(f"there is no dataset at {folder}", hint="mocktrial synth makes one")
    recipe = _read_toml(folder / "dataset.toml")
    tasks = tuple(_read_lines(folder / "tasks.jsonl", Task))
    proofs = tuple(_read_lines(folder / "proof.jsonl", Proof))
    worlds = {
        name: read_world(folder / "worlds" / f"{name}.json", hint=_HINT)
        for name in sorted({task.world for task in tasks})
    }
    dataset = Dataset(recipe, worlds, tasks, proofs)
    _check_tasks(folder, dataset)
    return dataset


def _check_tasks(folder: Path, dataset: Dataset) -> None:
    repeated = [name for name, count in Counter(task.id for task in dataset.tasks).items() if count > 1]
    if repeated:
        raise SpecError(f"{folder / 'tasks.jsonl'}: task id {repeated[0]!r} stands there twice")
    hashes = {world: spec.content_hash() for world, spec in dataset.worlds.items()}
    for number, task in enumerate(dataset.tasks, 1):
        if task.world_hash != hashes[task.world]:
            raise SpecError(
                f"{folder / 'tasks.jsonl'}, line {number}: world_hash is not that of worlds/{task.world}.json",
                hint="mocktrial synth makes the dataset anew",
            )


def _lines(models: Iterable[BaseModel]) -> str:
    return "".join(model.model_dump_json() + "\n" for model in models)


def _read_toml(path: Path) -> Recipe:
    text = read_text(path, hint=_HINT)
    try:
        return Recipe.model_validate(_tuples(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}") from error
    except ValidationError as error:
        raise broken(str(path), error, hint=_HINT) from error


def _read_lines(path: Path, kind: type[_Model]) -> Iterable[_Model]:
    for number, line in enumerate(read_text(path, hint=_HINT).removesuffix("\n").split("\n"), 1):
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            raise broken(f"{path}, line {number}", error, hint=_HINT) from error


def _tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
