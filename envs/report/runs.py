"""Reports on runs, wherever they are kept: opens their ledgers, builds, closes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mocktrial.envs.places import RunPlace
from mocktrial.envs.report.build import build_report
from mocktrial.envs.report.model import Report
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError


def report_runs(
    runs: Sequence[Path | str | RunPlace], *, title: str = "mocktrial", compare: Sequence[tuple[str, str]] = ()
) -> Report:
    """The report on all of `runs`, named as in `places`. Raises `UsageError` when one is not there."""
    places = [RunPlace.named(run) for run in runs]
    with ExitStack() as stack:
        ledgers = [stack.enter_context(read_run(place)) for place in places]
        return build_report(ledgers, title=title, compare=compare, names=[place.name for place in places])


def read_run(run: Path | str | RunPlace) -> Ledger:
    """A run for reading, named as in `places`. Raises `UsageError` when it is not there."""
    place = RunPlace.named(run)
    if isinstance(place.ledger, Path) and not place.ledger.is_file():
        raise UsageError(f"{place.folder} holds no run", hint="mocktrial run makes one")
    return Ledger.read(place.ledger, run=place.run)
