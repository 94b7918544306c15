"""What people are told: counts in words, and progress as a bar on a terminal, as plain lines elsewhere. Progress is
always on stderr, so that stdout stays what the command gives.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int, str], None]  # (done so far, a few words on how it goes)
_LINES = 5  # plain lines a stage prints where there is no terminal


def counted(number: int, noun: str) -> str:
    """ "1 task", "2 tasks" """
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Show how far a stage of `total` units has come; the value yielded is called as it goes."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("[dim]{task.fields[note]}"),
        )
        with Progress(*columns, console=console) as bars:
            bar = bars.add_task(f"{label:<44}", total=total, note="")
            yield lambda done, note: bars.update(bar, completed=done, note=note)
        return
    shown = -1

    def line(done: int, note: str) -> None:
        nonlocal shown
        step = done * _LINES // max(1, total)
        if step > shown:
            shown = step
            print(f"{label}: {done}/{total} {note}".rstrip(), file=sys.stderr, flush=True)

    yield line
