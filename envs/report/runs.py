"""Reports on folders of runs: opens their ledgers, builds, closes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mocktrial.envs.report.build import build_report
from mocktrial.envs.report.model import Report
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError


def report_runs(
    folders: Sequence[Path], *, title: str = "mocktrial", compare: Sequence[tuple[str, str]] = ()
) -> Report:
    """The report on all runs in `folders`. Raises `UsageError` when one holds no ledger."""
    with ExitStack() as stack:
        ledgers = [stack.enter_context(read_run(folder)) for folder in folders]
        return build_report(ledgers, title=title, compare=compare, names=[folder.name for folder in folders])


def read_run(folder: Path) -> Ledger:
    """The ledger of the run in `folder`, for reading. Raises `UsageError` when it holds none."""
    place = folder / "ledger.sqlite"
    if not place.is_file():
        raise UsageError(f"{folder} holds no run", hint="mocktrial run makes one")
    return Ledger.read(place)
