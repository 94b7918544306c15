"""A dataset on disk and in memory: worlds, tasks and the proof of each task.

    datasets/NAME/  dataset.toml (recipe)  worlds/ID.json  tasks.jsonl  proof.jsonl  README.md (card)

Written to a temporary folder beside the target and renamed, so that a folder under its name is whole. Any
broken file is a `SpecError` that names file, line and key.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from pydantic import BaseModel, ValidationError

from mocktrial.envs.atomic import refused, whole_file
from mocktrial.envs.figures import figures, group
from mocktrial.envs.places import LEDGER
from mocktrial.envs.proof import Proof, Recipe
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.files import broken, read_text, read_world
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec

__all__ = [
    "REPAIR",
    "Dataset",
    "Proof",
    "Recipe",
    "card",
    "check_place",
    "dataset_folder",
    "dataset_name",
    "digest",
    "load_dataset",
    "read_recipe",
    "read_tasks",
    "world_text",
]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_TEMPLATES = Path(__file__).parent / "templates"
_NAMED = 5  # datasets that a message names
REPAIR = "mend it, or let mocktrial synth make the dataset anew"
_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Dataset:
    """Tasks in order, the worlds they name, and a proof a task. Images are compiled once, on first use."""

    recipe: Recipe
    worlds: Mapping[str, WorldSpec]
    tasks: tuple[Task, ...]
    proofs: tuple[Proof, ...] = ()
    name: str = "tasks"  # that of its folder
    _images: dict[str, WorldImage] = field(default_factory=dict, compare=False, repr=False)

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

    def part(self, ids: Collection[str], why: str) -> Dataset:
        """The tasks of these ids with their worlds and proofs; the recipe says `why` there are no others."""
        tasks = tuple(task for task in self.tasks if task.id in ids)
        worlds = {task.world: self.worlds[task.world] for task in tasks}
        proofs = tuple(proof for proof in self.proofs if proof.task in ids)
        return Dataset(self.recipe.model_copy(update={"stopped": why}), worlds, tasks, proofs, self.name)

    def card(self) -> str:
        """The dataset card, as markdown."""
        counts: Counter[str] = Counter({"worlds": len(self.worlds)})
        proofs = {proof.task: proof for proof in self.proofs}
        for task in self.tasks:
            counts.update(figures(task, proofs.get(task.id) or Proof(task=task.id, task_hash="")))
        return card(self.recipe, counts, self.tasks[0] if self.tasks else None)

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
            raise refused(folder, error) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _files(self) -> Iterable[tuple[str, str]]:
        yield "dataset.toml", self.recipe.toml()
        for name, spec in sorted(self.worlds.items()):
            yield f"worlds/{name}.json", world_text(spec)
        yield "tasks.jsonl", _lines(self.tasks)
        yield "proof.jsonl", _lines(self.proofs)
        yield "README.md", self.card()


def world_text(spec: WorldSpec) -> str:
    """A world as its file holds it."""
    return spec.model_dump_json(indent=1) + "\n"


def card(recipe: Recipe, counts: Mapping[str, int], example: Task | None) -> str:
    """A dataset's README.md from its recipe, its figures and one of its tasks."""
    loader = jinja2.FileSystemLoader(_TEMPLATES)
    page = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)  # Markdown: nothing is escaped
    cells = [(*key.split("/"), count) for key, count in group(counts, "cell").items()]
    domains = sorted(group(counts, "domain").items(), key=lambda item: (-item[1], item[0]))
    return page.get_template("dataset_card.md.j2").render(
        recipe=recipe, counts=counts, cells=cells, domains=domains, played=group(counts, "played"), example=example
    )


def dataset_folder(root: Path, name: str) -> Path:
    """The folder of the dataset `name` under `root`. Raises `UsageError` for what is no name."""
    folder = root / name
    if not _NAME.fullmatch(name) or folder.resolve().parent != root.resolve():
        raise UsageError(
            f"{name!r} is not a name of a dataset", hint="lower-case letters, digits and . _ - (at most 64)"
        )
    return folder


def dataset_name(folder: Path) -> str:
    """The name of the dataset in `folder`: the folder's own, in letters that a name may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")[:64] or "tasks"


def digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of all files of a dataset."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(folder).as_posix()}\n{path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()


def load_dataset(folder: Path) -> Dataset:
    """Read a dataset and check that its parts agree. Raises `SpecError`, `UsageError` where there is none."""
    check_place(folder)
    recipe = read_recipe(folder / "dataset.toml")
    tasks = read_tasks(folder / "tasks.jsonl")
    proofs = tuple(_read_lines(folder / "proof.jsonl", Proof))
    worlds = {
        name: read_world(folder / "worlds" / f"{name}.json", hint=REPAIR)
        for name in sorted({task.world for task in tasks})
    }
    dataset = Dataset(recipe, worlds, tasks, proofs, dataset_name(folder))
    _check_tasks(folder, dataset)
    return dataset


def check_place(folder: Path) -> None:
    """Raise `UsageError` that says what `folder` is where it is no dataset, not even a broken one."""
    if not folder.exists():
        raise UsageError(f"there is no dataset at {folder}", hint="see to the path; mocktrial synth NAME makes one")
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file, no dataset", hint="a dataset is a folder; name the one it lies in")
    if (folder / "dataset.toml").exists() or (folder / "tasks.jsonl").exists():
        return
    if (folder / LEDGER).exists():
        raise UsageError(f"{folder} is a run, no dataset", hint="name the dataset that was played in it")
    inside = sorted(path.parent.name for path in folder.glob("*/dataset.toml"))
    there = f"there are {', '.join(inside[:_NAMED])} in it" if inside else "mocktrial synth NAME makes a dataset"
    raise UsageError(f"{folder} is no dataset: it has neither dataset.toml nor tasks.jsonl", hint=there)


def read_tasks(path: Path) -> tuple[Task, ...]:
    """The tasks of a JSONL file. Raises `SpecError` that names file and line."""
    return tuple(_read_lines(path, Task))


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


def read_recipe(path: Path) -> Recipe:
    """The recipe in a `dataset.toml`. Raises `SpecError`."""
    text = read_text(path, hint=REPAIR)
    try:
        return Recipe.model_validate(_tuples(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}") from error
    except ValidationError as error:
        raise broken(str(path), error, hint=REPAIR) from error


def _read_lines(path: Path, kind: type[_Model]) -> Iterable[_Model]:
    for number, line in enumerate(read_text(path, hint=REPAIR).removesuffix("\n").split("\n"), 1):
        try:
            yield kind.model_validate_json(line)
        except ValidationError as error:
            raise broken(f"{path}, line {number}", error, hint=REPAIR) from error


def _tuples(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
