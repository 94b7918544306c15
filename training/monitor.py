"""What a person sees of a run as it trains: a table of its last steps on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.live import Live
from rich.table import Table

from mocktrial.envs.console import Advance, progress
from mocktrial.training.config import TrainConfig
from mocktrial.training.journal import Metrics, journal_of
from mocktrial.training.session import Progress, Watch

Log: TypeAlias = Callable[[int, Metrics], None]
_SHOWN = 12  # steps in the table
_COLUMNS = {
    "loss": "{:.4f}",
    "reward": "{:.3f}",
    "success": "{:.0%}",
    "held_out_success": "{:.0%}",
    "gradient_norm": "{:.3f}",
    "learning_rate": "{:.1e}",
    "tokens": "{:,.0f}",
    "seconds": "{:.1f}",
    "rollout_seconds": "{:.1f}",
}
_TOLD = ("loss", "reward", "held_out_success")  # of these, in a plain line


@contextmanager
def watching(title: str) -> Iterator[tuple[Progress, Log]]:
    """Two callables for a `session.Watch`: its `progress`, and a `log` to be called beside the journal's."""
    console = Console(stderr=True)
    if not console.is_terminal:
        with ExitStack() as stage:
            yield _lines(title, stage)
        return
    rows: deque[tuple[int, Metrics]] = deque(maxlen=_SHOWN)
    with Live(console=console, refresh_per_second=4) as live:

        def log(step: int, metrics: Metrics) -> None:
            rows.append((step, metrics))
            live.update(table_of(title, rows))

        yield lambda done, steps, loss: None, log


def _lines(title: str, stage: ExitStack) -> tuple[Progress, Log]:
    """Plain lines. The stage begins with the first step: how many there are is known by then."""
    last: dict[str, float] = {}
    advance: Advance | None = None

    def tell(done: int, steps: int, loss: float) -> None:
        nonlocal advance
        advance = advance or stage.enter_context(progress(title, steps))
        figures = [f"{key.replace('_', ' ')} {_COLUMNS[key].format(last[key])}" for key in _TOLD if key in last]
        advance(done, ", ".join(["steps", *figures]))

    return tell, lambda step, metrics: last.update(metrics)


@contextmanager
def watched(config: TrainConfig, *, resume: bool, title: str = "") -> Iterator[Watch]:
    """A `session.Watch` that writes the journal, tells the config's trackers, and shows a person how it goes.

    title: what the person is told that it is; empty: training, by the config's name.
    """
    shown = title or f"training {config.name}"
    with journal_of(config, resume=resume) as journal, watching(shown) as (progress, show):

        def log(step: int, metrics: Metrics) -> None:
            journal.log(step, metrics)
            show(step, metrics)

        yield Watch(progress=progress, log=log)


def table_of(title: str, rows: deque[tuple[int, Metrics]]) -> Table:
    """The last steps, a line each; only columns that some of them have."""
    table = Table(title=title)
    table.add_column("step", justify="right")
    shown = [key for key in _COLUMNS if any(key in metrics for _, metrics in rows)]
    for key in shown:
        table.add_column(key.replace("_", " "), justify="right")
    for step, metrics in rows:
        table.add_row(str(step), *(_COLUMNS[key].format(metrics[key]) if key in metrics else "" for key in shown))
    return table
