"""What there is to look at under three folders: runs, datasets, journals of training.

Everything is named by its path under its folder, and only what is found there can be named (FAULTS 20): an unknown
name raises `UsageError`. Runs may also be those of a shared ledger. What a run's ledger says is kept until it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from os.path import isfile, islink
from pathlib import Path
from typing import TypeVar

from mocktrial.envs.dataset import REPAIR, read_recipe
from mocktrial.envs.places import LEDGER
from mocktrial.envs.proof import Recipe
from mocktrial.envs.report.build import comparison
from mocktrial.envs.report.figures import SCRIPTED, Examined, Records, by_name, grouped, summarize
from mocktrial.envs.report.model import AgentSummary, Comparison
from mocktrial.envs.store import Ledger
from mocktrial.envs.streaming import Folder, open_folder
from mocktrial.envs.tables import EpisodeRecord
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.viewer.listing import Pairing, side_by_side
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import read_world
from mocktrial.mocktools.image import WorldImage, compile_world

RECIPE, JOURNAL = "dataset.toml", ".metrics.jsonl"
_DEPTH = 4  # folders down that are searched
_KEPT = 8  # of each thing that is large: rows of a run, compiled worlds, comparisons
_NOT_EXAMINED = Examined({}, frozenset())
Stamp = tuple[int, int]
K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class RunView:
    """A run as its ledger has it: rows of all episodes and each agent's figures."""

    name: str
    config: dict[str, object]
    rows: Records
    agents: tuple[AgentSummary, ...]

    def row(self, number: int) -> EpisodeRecord:
        found = next((row for row in self.rows if row.id == number), None)
        if found is None:
            raise UsageError(f"{self.name} has no episode {number}")
        return found


@dataclass(frozen=True)
class Compared:
    """comparison: None where the runs share no task with a result; pairings: of all tasks of either."""

    sides: tuple[RunView, RunView]
    comparison: Comparison | None
    pairings: list[Pairing]


@dataclass
class Shelf:
    runs_under: Path | str  # a string: the address of a ledger
    datasets_under: Path
    journals_under: Path
    _runs: dict[str, tuple[tuple[Stamp, ...], RunView]] = field(default_factory=dict)
    _agents: dict[str, tuple[tuple[Stamp, ...], tuple[AgentSummary, ...]]] = field(default_factory=dict)
    _compared: dict[tuple[str, str, bool], Compared] = field(default_factory=dict)
    _folders: dict[str, tuple[tuple[Stamp, ...], Folder]] = field(default_factory=dict)
    _images: dict[str, WorldImage] = field(default_factory=dict)

    def runs(self) -> list[str]:
        if isinstance(self.runs_under, str):
            return Ledger.runs(self.runs_under)
        return _found(self.runs_under, LEDGER)

    def datasets(self) -> list[str]:
        return _found(self.datasets_under, RECIPE)

    def journals(self) -> list[str]:
        """Journals by their path without the ending."""
        found = (file for folder in _levels(self.journals_under) for file in folder.glob(f"*{JOURNAL}"))
        return sorted(file.relative_to(self.journals_under).as_posix().removesuffix(JOURNAL) for file in found)

    def run(self, name: str) -> RunView:
        """The run `name`, read again where its ledger has changed."""
        stamps = self._stamps(name)
        kept = self._runs.get(name)
        if kept is None or kept[0] != stamps:
            with self.ledger(name) as ledger:
                kept = (stamps, _view(name, ledger))
            _keep(self._runs, name, kept)
        return kept[1]

    def agents(self, name: str) -> tuple[AgentSummary, ...]:
        """The figures of the run `name`, which are kept of all runs."""
        stamps = self._stamps(name)
        kept = self._agents.get(name)
        if kept is None or kept[0] != stamps:
            kept = self._agents[name] = (stamps, self.run(name).agents)
        return kept[1]

    def compared(self, first: str, second: str, *, named: bool = False) -> Compared:
        """named: tasks are paired by their names, changed or not."""
        sides = (self.run(first), self.run(second))
        kept = self._compared.get((first, second, named))
        if kept is None or any(one is not other for one, other in zip(kept.sides, sides, strict=True)):
            before, after = (by_name(side.rows) if named else side.rows for side in sides)
            found = comparison((first, before), (second, after))
            kept = Compared(sides, found, side_by_side(before, after))
            _keep(self._compared, (first, second, named), kept)
        return kept

    @contextmanager
    def ledger(self, name: str) -> Iterator[Ledger]:
        if isinstance(self.runs_under, str):
            place: Path | str = self.runs_under
            run = name
        else:
            place = _place(name, self.runs_under, LEDGER)
            run = Ledger.runs(place)[0]
        with Ledger.read(place, run=run) as ledger:
            yield ledger

    def _stamps(self, name: str) -> tuple[Stamp, ...]:
        """What changes with a run's ledger."""
        if isinstance(self.runs_under, str):
            with self.ledger(name) as ledger:
                return (ledger.stamp(),)
        place = _place(name, self.runs_under, LEDGER)
        return _stamps(place, place.with_name(f"{LEDGER}-wal"))

    def episode(self, run: str, number: int) -> tuple[Task, Trajectory]:
        row = self.run(run).row(number)
        with self.ledger(run) as ledger:
            return ledger.tasks([row.task_hash])[row.task_hash], next(ledger.trajectories([number]))

    def folder(self, name: str) -> Folder:
        """The dataset `name`, indexed again where its files have changed."""
        recipe = _place(name, self.datasets_under, RECIPE)
        stamps = _stamps(*(recipe.with_name(file) for file in (RECIPE, "tasks.jsonl", "proof.jsonl")))
        kept = self._folders.get(name)
        if kept is None or kept[0] != stamps:
            kept = (stamps, open_folder(recipe.parent))
            _keep(self._folders, name, kept)
        return kept[1]

    def recipe(self, name: str) -> Recipe:
        return read_recipe(_place(name, self.datasets_under, RECIPE))

    def journal(self, name: str) -> Path:
        if name not in self.journals():
            raise _unknown(name, self.journals_under)
        return self.journals_under / f"{name}{JOURNAL}"

    def image(self, world: str, played: str) -> WorldImage | None:
        """The world `world` with content hash `played`, from whichever dataset has it; None where none does."""
        if played not in self._images:
            for name in self.datasets():
                file = self.datasets_under / name / "worlds" / f"{world}.json"
                if not file.is_file() or file.resolve().parent.parent != (self.datasets_under / name).resolve():
                    continue
                spec = read_world(file, hint=REPAIR)
                if spec.content_hash() == played:
                    _keep(self._images, played, compile_world(spec))
                    break
        return self._images.get(played)


def _keep(kept: dict[K, T], name: K, value: T) -> None:
    """Put `value` in, and the oldest out where there are too many."""
    while len(kept) >= _KEPT:
        kept.pop(next(iter(kept)), None)
    kept[name] = value


def _place(name: str, root: Path, file: str) -> Path:
    """The `file` in the folder `name`, which must be one that `_found` would give; known without a search."""
    parts = name.split("/")
    inside = name == "." or (len(parts) <= _DEPTH and not {"", ".", ".."} & set(parts))
    folders = [root.joinpath(*parts[: count + 1]) for count in range(len(parts))] if inside else []
    if not inside or any(map(islink, folders)) or not isfile(root / name / file):
        raise _unknown(name, root)
    return root / name / file


def _unknown(name: str, root: Path) -> UsageError:
    return UsageError(f"there is no {name!r} under {root}")


def _found(root: Path, file: str) -> list[str]:
    """Folders at most `_DEPTH` down that hold `file`, by their path under `root`."""
    return sorted(folder.relative_to(root).as_posix() for folder in _levels(root) if (folder / file).is_file())


def _levels(root: Path) -> Iterator[Path]:
    """`root` and the folders below it, at most `_DEPTH` down."""
    level = [root]
    for _ in range(_DEPTH + 1):
        yield from level
        level = [inner for folder in level for inner in _folders(folder)]


def _folders(folder: Path) -> list[Path]:
    try:
        return [inner for inner in folder.iterdir() if inner.is_dir() and not inner.is_symlink()]
    except OSError:
        return []


def _stamps(*files: Path) -> tuple[Stamp, ...]:
    """Time and size of those that are there."""
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in (file.stat() for file in files if file.exists()))


def _view(name: str, ledger: Ledger) -> RunView:
    rows = ledger.episodes()
    user = str(ledger.config.get("user") or SCRIPTED)
    by_agent = grouped(rows, lambda row: row.agent)
    agents = tuple(summarize(agent, user, own, _NOT_EXAMINED) for agent, own in by_agent.items())
    return RunView(name, ledger.config, rows, agents)
