"""Datasets out of units: `produce` on disk, of any size; `collect` in memory. One mechanism, one order.

Units 0, 1, 2, ... are made ahead by workers and taken strictly in order: what repeats an earlier task is
dropped, the rest is kept until there are `count` tasks. So equal arguments give equal bytes, whatever the
number of workers and however often the work was stopped and gone on with. Memory does not grow with what
is on disk but for about 2 KB a task, against which later ones are compared.

Raises `UsageError` where the source has no more tasks, the part folder is another recipe's or the disk
refuses; a `KeyboardInterrupt` leaves a folder that the same call goes on with. Where a model's budget is
spent, what is proved by then is the dataset; whatever else stops a model passes through.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mocktrial.envs.dataset import Dataset, Recipe, card, world_text
from mocktrial.envs.figures import figures, group
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.audit.audit import Audit, shapes_of
from mocktrial.synth.audit.dedup import Duplicates, Sample, sample_of
from mocktrial.synth.audit.leaks import leaks, static_texts
from mocktrial.synth.blueprint import BARREN, BlueprintSource
from mocktrial.synth.production.parts import Parts, open_parts, totals
from mocktrial.synth.production.units import Reworder, Style, Unit, make_unit
from mocktrial.synth.production.workers import units_in_order
from mocktrial.synth.teacher.errors import BudgetSpent

_WORLDS = 20  # so many worlds share the tasks of a dataset, or more
_SHARE = (10, 100)  # tasks of a world, least and most
_DECIDING = ("apsw", "mimesis", "pydantic", "rapidfuzz", "rensa")  # packages whose version can change the bytes
_FEWER = "ask for fewer tasks, or for more domains"
_REASONS = 60  # of dropped drafts that the recipe lists, most frequent first
_T = TypeVar("_T")
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Job:
    """What makes the units, apart from their number. Picklable, but for models at an endpoint."""

    source: BlueprintSource
    seed: int
    per_world: int
    gap: bool = True
    max_calls: int | None = None
    style: Style = Style()  # noqa: RUF009  frozen
    reworder: Reworder | None = None

    def unit(self, number: int) -> Unit:
        return make_unit(
            self.source, number, self.seed, self.per_world, gap=self.gap, max_calls=self.max_calls,
            style=self.style, reworder=self.reworder,
        )  # fmt: skip

    def __call__(self, number: int) -> Lines:
        return _lines(self.unit(number))

    def recipe(self, count: int, domains: tuple[str, ...] = ()) -> Recipe:
        style = self.style
        listed = "\n".join(persona.model_dump_json() for persona in style.personas)
        return Recipe(
            generator=self.source.name, seed=self.seed, count=count, per_world=self.per_world,
            max_calls=self.max_calls or 0, gap=self.gap, domains=domains,
            voices=style.voices, personas=hashlib.sha256(listed.encode()).hexdigest()[:16] if listed else "",
            max_tools=style.max_tools, distractors=style.distractors, scramble=style.scramble, reword=style.reword,
            rewrite=self.reworder.name if self.reworder else "",
            versions={item: version(item) for item in _DECIDING},
        )  # fmt: skip


@dataclass(frozen=True)
class Paid:
    """A model at work for a dataset: its ledger in the part folder, and what it has cost for so many tasks."""

    name: str  # "teacher" or "rewrite"
    ledger: Path
    cost: Callable[[int], dict[str, Any]]

    def keep(self, folder: Path) -> None:
        """Copy the ledger beside the dataset `folder`: it is no part of it, and the part folder is going to go."""
        shutil.copyfile(self.ledger, folder.with_name(f"{folder.name}.{self.ledger.name}"))


@dataclass(frozen=True)
class Line:
    """A proved task as it goes to disk."""

    sample: Sample
    task: bytes
    proof: bytes
    counts: Counter[str]


@dataclass(frozen=True)
class Lines:
    """A unit as a worker sends it: bytes and figures, no models."""

    number: int
    name: str
    world: bytes
    tasks: tuple[Line, ...]
    dropped: dict[str, int]
    reworded: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass
class _Taker:
    """Keeps what is new until there is enough."""

    count: int
    taken: int = 0
    barren: int = 0
    duplicates: Duplicates = field(default_factory=Duplicates)

    def take(self, items: Iterable[tuple[Sample, _T]], dropped: Counter[str]) -> list[_T]:
        kept: list[_T] = []
        for sample, item in items:
            if self.taken == self.count:
                break
            repeats = self.duplicates.take(sample)
            if repeats:
                dropped[f"{repeats[0]} duplicate of another world's"] += 1
            else:
                kept.append(item)
                self.taken += 1
        self.barren = 0 if kept else self.barren + 1
        return kept

    def check(self, source: str, dropped: Counter[str], hint: str = _FEWER) -> None:
        if self.barren >= BARREN:
            reasons = ", ".join(f"{count} x {reason}" for reason, count in dropped.most_common(3))
            raise UsageError(
                f"{source} gave only {self.taken} different tasks of {self.count} (dropped: {reasons})",
                hint=hint,
            )


def world_share(count: int) -> int:
    """Tasks of a world at most where nobody says: enough worlds for variety, enough tasks for the world's cost."""
    return min(count, max(_SHARE[0], min(_SHARE[1], count // _WORLDS)))


def collect(job: Job, count: int, *, name: str, domains: tuple[str, ...] = (), progress: Progress) -> Dataset:
    """`count` proved tasks in memory."""
    taker, dropped = _Taker(count), Counter[str]()
    worlds, tasks, proofs = {}, [], []
    for number in itertools.count():
        if taker.taken == count:
            break
        taker.check(", ".join(domains) or job.source.name, dropped)
        unit = job.unit(number)
        dropped.update(unit.dropped)
        for task, proof in taker.take(zip(unit.samples, unit.pairs, strict=True), dropped):
            if unit.spec:
                worlds[task.world] = unit.spec
            tasks.append(task)
            proofs.append(proof)
        progress(taker.taken)
    recipe = job.recipe(count, domains).model_copy(update={"dropped": _frequent(dropped)})
    return Dataset(recipe, dict(sorted(worlds.items())), tuple(tasks), tuple(proofs), name)


def produce(
    job: Job,
    count: int,
    folder: Path,
    *,
    domains: tuple[str, ...] = (),
    workers: int = 1,
    ray: str = "",
    paid: Sequence[Paid] = (),
    progress: Progress = lambda taken: None,
) -> Audit:
    """Write `count` proved tasks to `folder`, or go on with what was begun there. Its `Audit` is free of findings.

    There are fewer only where the budget of a model (`paid`) is spent; the recipe says so.
    """
    recipe = job.recipe(count, domains)
    with open_parts(folder, recipe) as parts:
        taker = _Taker(count)
        _, dropped = totals(parts.entries)
        for line in parts.task_lines():
            taker.take([(sample_of(Task.model_validate_json(line)), None)], dropped)
        progress(taker.taken)
        first = parts.entries[-1].number + 1 if parts.entries else 0
        try:
            with closing(units_in_order(job, first, workers, ray=ray)) as units:
                while taker.taken < count:
                    taker.check(", ".join(domains) or job.source.name, dropped, _hint(paid))
                    _append(parts, taker, next(units), dropped)
                    progress(taker.taken)
        except BudgetSpent as error:
            if not taker.taken:
                raise
            recipe = recipe.model_copy(update={"stopped": str(error)})
        finally:
            parts.sync()
        counts, dropped = totals(parts.entries)
        example = Task.model_validate_json(next(parts.task_lines()))
        costs = {model.name: model.cost(taker.taken) for model in paid}
        found = {"dropped": _frequent(dropped), "reworded": group(counts, "reworded"), "costs": costs}
        recipe = recipe.model_copy(update=found)
        for model in paid:
            model.keep(folder)
        parts.finish(folder, {"dataset.toml": recipe.toml(), "README.md": card(recipe, counts, example)})
    audit = Audit()
    for entry in parts.entries:
        audit.add(entry.counts, entry.shapes)
    return audit


def _hint(paid: Sequence[Paid]) -> str:
    """What to do where the source has no more: a model that invents worlds is to blame itself."""
    answers = next((model.ledger for model in paid if model.name == "teacher"), None)
    return f"the model's answers do not become new worlds: read {answers}, take a larger model" if answers else _FEWER


def _append(parts: Parts, taker: _Taker, unit: Lines, dropped: Counter[str]) -> None:
    own = Counter(unit.dropped)
    kept = taker.take(((line.sample, line) for line in unit.tasks), own)
    dropped.update(own)
    counts: Counter[str] = Counter({f"reworded/{reason}": count for reason, count in unit.reworded.items()})
    counts["worlds"] = int(bool(kept))
    for line in kept:
        counts.update(line.counts)
    parts.append(
        unit.number,
        (unit.name, unit.world) if kept else None,
        [(line.task, line.proof) for line in kept],
        counts={key: value for key, value in counts.items() if value},
        dropped=dict(own),
        shapes=unit.shapes if kept else {},
    )


def _lines(unit: Unit) -> Lines:
    if unit.image is None:
        return Lines(unit.number, "", b"", (), unit.dropped)
    spec = unit.image.spec
    lines, texts = [], static_texts(spec)
    for (task, proof), sample in zip(unit.pairs, unit.samples, strict=True):
        counts = figures(task, proof)
        counts["leaks"] = len(leaks(task, texts))
        lines.append(Line(sample, _line(task), _line(proof), counts))
    text, shapes = world_text(spec).encode(), shapes_of(spec)
    return Lines(unit.number, spec.name, text, tuple(lines), unit.dropped, unit.reworded, shapes)


def _frequent(dropped: Counter[str]) -> dict[str, int]:
    ordered = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[_REASONS:])
    return dict(sorted([*ordered[:_REASONS], *([("other", rest)] if rest else [])]))


def _line(model: BaseModel) -> bytes:
    return model.model_dump_json().encode() + b"\n"
