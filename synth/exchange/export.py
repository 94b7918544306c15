"""A folder for other tools: the rows of a form, and a card that says what they are.

The folder is whole or absent, and the same runs give the same bytes. `read_export` gives the rows back.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.dataset import digest
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.exchange.columns import read_parquet, write_parquet
from mocktrial.synth.exchange.formats import FORMATS, Format, Row
from mocktrial.synth.exchange.sample import Sample, by_turn, samples

_TEMPLATES = Path(__file__).parent / "templates"


def export(
    trajectories: Iterable[Trajectory], name: str, folder: Path, *, turns: bool = False, jsonl: bool | None = None
) -> dict[str, int]:
    """Write `folder` in the form `name`; returns how many `episodes`, `samples` and `rows`.

    turns: a row a turn of the agent. jsonl: lines instead of Parquet, or the other way round; None: as is usual for
    the form. Raises `UsageError` where the folder stands, the form is not known or there is nothing to write.
    """
    form = find_format(name)
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="remove it, or choose another --out")
    tally = Tally()
    kept = tally.watch(_kept(form, tally.count(trajectories), turns))
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        tally.rows = _write(part, form, kept, parquet=form.parquet if jsonl is None else not jsonl)
        if not tally.rows:
            raise UsageError(f"no episode fits {name}: {_why(form)}", hint="mocktrial report RUN shows the outcomes")
        with whole_file(part / "README.md") as file:
            file.write(_card(name, form, tally, digest(part)).encode())
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return {"episodes": tally.episodes, "samples": tally.samples, "rows": tally.rows}


@dataclass
class Tally:
    """What went by, for the card: counted on the way, so that episodes need not be held."""

    episodes: int = 0
    samples: int = 0
    rows: int = 0
    right: int = 0
    agents: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)

    def count(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        for trajectory in trajectories:
            self.episodes += 1
            yield trajectory

    def watch(self, kept: Iterable[Sample]) -> Iterator[Sample]:
        for sample in kept:
            self.samples += 1
            self.right += sample.success
            self.agents.add(sample.agent)
            self.tasks.add(sample.task)
            yield sample


def _kept(form: Format, trajectories: Iterable[Trajectory], turns: bool) -> Iterator[Sample]:
    for sample in samples(trajectories):
        if form.kept == "all" or sample.success:
            yield from by_turn(sample) if turns else (sample,)


def find_format(name: str) -> Format:
    """The form of this name. Raises `UsageError`."""
    if name not in FORMATS:
        raise UsageError(f"no form {name!r}", hint=f"choose one of {', '.join(FORMATS)}; of a dataset, tau2")
    return FORMATS[name]


def read_export(folder: Path, name: str) -> Iterator[Row]:
    """The rows of a folder that `export` wrote."""
    form = find_format(name)
    if form.files:
        for path in sorted((folder / "sessions").iterdir()):
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            yield {"id": path.stem, "lines": lines}
    elif (folder / "train.parquet").exists():
        yield from read_parquet(folder / "train.parquet")
    else:
        yield from (json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines())


def _write(folder: Path, form: Format, kept: Iterable[Sample], *, parquet: bool) -> int:
    rows = form.rows(kept)
    if form.files:
        return sum(_write_lines(folder / "sessions" / f"{row['id']}.jsonl", row["lines"]) > 0 for row in rows)
    if not parquet:
        return _write_lines(folder / "train.jsonl", rows)
    with whole_file(folder / "train.parquet") as file:
        return write_parquet(file, form.columns, rows)


def _write_lines(path: Path, rows: Iterable[Row]) -> int:
    with whole_file(path) as file:
        return sum(file.write(json.dumps(row).encode("ascii") + b"\n") > 0 for row in rows)


def _why(form: Format) -> str:
    return "it takes successes only" if form.kept == "successes" else "it takes scored episodes in which an agent spoke"


def _card(name: str, form: Format, tally: Tally, rows: str) -> str:
    """rows: their digest, part of the name by which the library `datasets` keeps what it has read."""
    loader = jinja2.FileSystemLoader(_TEMPLATES)
    page = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)  # Markdown: nothing is escaped
    config = f"{name}-{rows[:12]}"
    return page.get_template("card.md.j2").render(
        name=name, config=config, form=form, tally=tally, agents=sorted(tally.agents)
    )
