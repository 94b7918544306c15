"""What there is to look at under three folders: runs, datasets, journals of training.

Everything is named by its path under its folder, and only what is found there can be named (FAULTS 20): an unknown
name raises `UsageError`. Runs may also be those of a shared ledger. What a run's ledger says is kept until it changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mocktrial.envs.dataset import read_recipe
from mocktrial.envs.places import LEDGER
from mocktrial.envs.proof import Recipe
from mocktrial.envs.report.figures import SCRIPTED, Examined, Records, grouped, summarize
from mocktrial.envs.report.model import AgentSummary
from mocktrial.envs.store import Ledger
from mocktrial.envs.streaming import Folder, open_folder
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage, compile_world

RECIPE, JOURNAL = "dataset.toml", ".metrics.jsonl"
_DEPTH = 4  # folders down that are searched
_KEPT = 8  # runs whose rows are held
_NOT_EXAMINED = Examined({}, frozenset())
Stamp = tuple[int, int]


@dataclass(frozen=True)
class RunView:
    """A run as its ledger has it: rows of all episodes and each agent's figures."""

    name: str
    config: dict[str, object]
    rows: Records
    agents: tuple[AgentSummary, ...]


@dataclass
class Shelf:
    runs_under: Path | str  # a string: the address of a ledger
    datasets_under: Path
    journals_under: Path
    _runs: dict[str, tuple[tuple[Stamp, ...], RunView]] = field(default_factory=dict)
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
            while len(self._runs) >= _KEPT:
                self._runs.pop(next(iter(self._runs)))
            with self.ledger(name) as ledger:
                kept = (stamps, _view(name, ledger))
            self._runs[name] = kept
        return kept[1]

    @contextmanager
    def ledger(self, name: str) -> Iterator[Ledger]:
        if isinstance(self.runs_under, str):
            place: Path | str = self.runs_under
            run = name
        else:
            place = self._place(name, self.runs(), self.runs_under) / LEDGER
            run = Ledger.runs(place)[0]
        with Ledger.read(place, run=run) as ledger:
            yield ledger

    def _stamps(self, name: str) -> tuple[Stamp, ...]:
        """What changes with a run's ledger."""
        if isinstance(self.runs_under, str):
            with self.ledger(name) as ledger:
                return (ledger.stamp(),)
        return _stamps(self._place(name, self.runs(), self.runs_under) / LEDGER)

    def episode(self, run: str, number: int) -> tuple[Task, Trajectory]:
        with self.ledger(run) as ledger:
            if number not in {row.id for row in self.run(run).rows}:
                raise UsageError(f"{run} has no episode {number}")
            trajectory = next(ledger.trajectories([number]))
            return ledger.tasks()[trajectory.task_hash], trajectory

    def folder(self, name: str) -> Folder:
        return open_folder(self._place(name, self.datasets(), self.datasets_under))

    def recipe(self, name: str) -> Recipe:
        return read_recipe(self._place(name, self.datasets(), self.datasets_under) / RECIPE)

    def journal(self, name: str) -> Path:
        place = self._place(name, self.journals(), self.journals_under)
        return place.with_name(place.name + JOURNAL)

    def image(self, world: str, played: str) -> WorldImage | None:
        """The world `world` with content hash `played`, from whichever dataset has it; None where none does."""
        if played not in self._images:
            for name in self.datasets():
                file = self.datasets_under / name / "worlds" / f"{world}.json"
                if not file.is_file() or file.resolve().parent.parent != (self.datasets_under / name).resolve():
                    continue
                image = compile_world(open_folder(self.datasets_under / name).spec(world))
                self._images[image.hash] = image
        return self._images.get(played)

    @staticmethod
    def _place(name: str, known: list[str], root: Path) -> Path:
        if name not in known:
            raise UsageError(f"there is no {name!r} under {root}")
        return root / name


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


def _stamps(place: Path) -> tuple[Stamp, ...]:
    """Time and size of the ledger and of its write-ahead log."""
    files = (place, place.with_name(place.name + "-wal"))
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in (file.stat() for file in files if file.exists()))


def _view(name: str, ledger: Ledger) -> RunView:
    rows = ledger.episodes()
    user = str(ledger.config.get("user") or SCRIPTED)
    by_agent = grouped(rows, lambda row: row.agent)
    agents = tuple(summarize(agent, user, own, _NOT_EXAMINED) for agent, own in by_agent.items())
    return RunView(name, ledger.config, rows, agents)
