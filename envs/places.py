"""Where a run is kept, as a person names it: its folder, or LEDGER_URL#RUN for one in a shared ledger.

    runs/mine                                     runs/mine/ledger.sqlite, run "main"
    postgresql+psycopg://me@host/ledgers#mine     run "mine" of that ledger; its logs and pages in runs/mine

Names are checked (`check_file_name`), since a folder is made of them; nothing is opened here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mocktrial.envs.database import is_url, shown
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import check_file_name

LEDGER = "ledger.sqlite"
RUNS = Path("runs")
_ALONE = "main"  # what the one run of a folder is called in its ledger


def address(ledger: Path | str, run: str) -> str:
    """What a person names a run of a ledger by; no password."""
    if run == _ALONE and Path(ledger).name == LEDGER:
        return str(Path(ledger).parent)
    return f"{shown(ledger)}#{run}"


@dataclass(frozen=True)
class RunPlace:
    ledger: Path | str  # file or URL
    run: str
    folder: Path  # of what is no ledger: logs, reports, exports

    @classmethod
    def under(cls, runs: Path, name: str, ledger: str | None = None) -> RunPlace:
        """The run `name`: a folder of `runs`, its episodes in there or in the `ledger` of that address."""
        folder = runs / check_file_name(name)
        return cls(ledger, name, folder) if ledger else cls(folder / LEDGER, _ALONE, folder)

    @classmethod
    def named(cls, text: Path | str | RunPlace) -> RunPlace:
        """The run that a person names. Raises `UsageError` for an address without a run."""
        if isinstance(text, RunPlace):
            return text
        if not is_url(text):
            return cls(Path(text) / LEDGER, _ALONE, Path(text))
        ledger, _, run = str(text).partition("#")
        if not run:
            raise UsageError("this address names a ledger, not a run", hint="add the run's name: ADDRESS#RUN")
        return cls.under(RUNS, run, ledger)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def address(self) -> str:
        return address(self.ledger, self.run)

    def beside(self, name: str) -> RunPlace:
        """Another run where this one is."""
        return RunPlace.under(self.folder.parent, name, str(self.ledger) if is_url(self.ledger) else None)
