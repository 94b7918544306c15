"""Rows of a log as records for a language model: what `mocktrial train kto` and `train sft` read.

The prompt is the situation as `WrittenRecommender` puts it; the answer is what was shown, in the form that it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mocktrial.agents.recommender.written import answer_of, prompt
from mocktrial.envs.atomic import whole_file
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.clicks.files import LoggedSet
from mocktrial.training.calibration import NONE
from mocktrial.training.records import Record
from mocktrial.training.suggesting.rows import METHODS, Row, Unit, calibrated, rows_of, weighted


def records_of_log(log: Sequence[LoggedSet], method: str, unit: Unit) -> list[Record]:
    """The records of a method: of "sft" the clicked rows, of the others all rows whose weight is not 0.

    Raises `UsageError` for an unknown one, and for a log without what it needs.
    """
    if not log:
        raise UsageError("the log has no sets", hint="mocktrial clicks NAME makes one that has")
    if method != "sft" and method not in METHODS:
        raise UsageError(f"there is no method {method!r}", hint=f"methods are: sft, {', '.join(METHODS)}")
    rows = rows_of(log, unit)
    if method == "sft":
        return [_record(row, label=None) for row in rows if row.sample.clicked]
    calibration = METHODS[method]
    try:
        ready = weighted(rows, calibration if calibration == NONE else calibrated(calibration, log))
    except ValueError as error:
        raise UsageError(f"method {method}: the log {error}", hint="take a longer log, or --method kto") from error
    return [_record(row, label=row.sample.clicked) for row in ready if row.weight > 0]


def write_records(path: Path, records: Iterable[Record]) -> int:
    """One a line; returns how many."""
    with whole_file(path) as file:
        return sum(file.write(record.model_dump_json().encode() + b"\n") > 0 for record in records)


def _record(row: Row[LoggedSet], label: bool | None) -> Record:
    shown = row.shown
    chosen = [shown.suggestions[place] for place in row.places]
    return Record(
        messages=(*prompt(shown.situation, len(chosen)), answer_of(chosen)), weight=row.weight, label=label,
        group=f"set-{shown.number}",
    )  # fmt: skip
