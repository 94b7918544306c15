"""What an episode costs by size of its world and by its length, and what many would: `python benchmarks/scale.py`.

Played by the expert into a ledger on disk: CPU time of the whole runner, bytes of the ledger, memory of an open
episode. Planes are fitted by least squares over the grid; two workers are two processes with a run each, at once. Then
a million tasks and a billion episodes, from those slopes: docs/scale.md says what they mean. About two CPU-minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from resource import getpagesize
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from mocktrial import Episode, Expert, Task, WorldImage, WorldSpec, compile_world
from mocktrial.agents.play import run_agent
from mocktrial.envs.rubric import Rubric, StateCriterion
from mocktrial.envs.task import Call, Finish, Value
from mocktrial.synth.production.generate import generate

ROWS = (20, 1000, 5000)  # of a world
CALLS = (2, 8, 24)  # of an episode
DAY, HOUR = 86_400.0, 3_600.0
console = Console()


def image_of(rows: int) -> WorldImage:
    spec = WorldSpec.model_validate_json(Path(__file__).with_name("scale_world.json").read_text("utf-8"))
    books = tuple({"id": f"b{n}", "title": f"Title {n}", "note": "x" * 80, "copies": n % 7} for n in range(rows))
    return compile_world(spec.model_copy(update={"rows": {"books": books}}))


def task_of(image: WorldImage, calls: int, number: int) -> Task:
    """Reads and writes in turn, `calls` in all."""
    steps = [
        Call(call="set_copies", arguments={"book": Value(value=f"b{n}"), "copies": Value(value=100 + n)})
        if n % 2
        else Call(call="read_book", arguments={"book": Value(value=f"b{n}")})
        for n in range(calls)
    ]
    done = StateCriterion(id="set", sql="SELECT 1 FROM books WHERE id = 'b1' AND copies = 101")
    return Task(
        id=f"shelf-{number}", world="shelf", world_hash=image.hash, domain="shelf", instruction="Set the copies.",
        rubric=Rubric(subgoals=(done,)), gold=(*steps, Finish(finish="Done.")), seed=number,
    )  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """kib: of the world's image; calls: of an episode; cpu_ms, ledger_bytes: an episode."""

    kib: float
    calls: int
    cpu_ms: float
    ledger_bytes: float


def played(rows: int, calls: int, episodes: int) -> Cell:
    """A run of so many episodes, in a folder of its own."""
    image = image_of(rows)
    tasks = [task_of(image, calls, number) for number in range(episodes)]
    with TemporaryDirectory() as folder:
        warm = Path(folder) / "warm"
        asyncio.run(run_agent(Expert(), tasks[:8], {"shelf": image}, warm, config={}))
        start = time.process_time()
        over = asyncio.run(run_agent(Expert(), tasks, {"shelf": image}, Path(folder) / "run", config={}))
        spent = time.process_time() - start
        assert over.done == episodes
        size = _ledger_bytes(Path(folder) / "run") - _ledger_bytes(warm)
    return Cell(len(image.data) / 1024, calls, 1000 * spent / episodes, size / (episodes - 8))


def _ledger_bytes(run: Path) -> int:
    return sum(path.stat().st_size for path in run.glob("ledger.sqlite*"))


def together(workers: int, episodes: int) -> float:
    """CPU-ms an episode where so many processes play at once."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        cells = [pool.submit(played, ROWS[1], CALLS[1], episodes) for _ in range(workers)]
        return sum(cell.result().cpu_ms for cell in cells) / workers


def memory_of(rows: int, episodes: int) -> float:
    """KiB that an episode holds while it is open, its world read and written once."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:  # no memory freed before is used again
        return fresh.submit(_memory_here, rows, episodes).result()


def _memory_here(rows: int, episodes: int) -> float:
    return asyncio.run(_opened(rows, episodes))


async def _opened(rows: int, episodes: int) -> float:
    image = image_of(rows)
    before, held = _resident(), []
    for number in range(episodes):
        episode = Episode(task_of(image, 2, number), image)
        await Expert().play(episode)
        held.append(episode)
    grown = _resident() - before
    for episode in held:
        episode.close()
    return grown / episodes / 1024


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def plane(cells: list[Cell], value: Callable[[Cell], float]) -> tuple[float, float, float]:
    """(constant, a KiB of the world, a call) by least squares."""
    known = np.array([[1.0, cell.kib, cell.calls] for cell in cells])
    constant, by_kib, by_call = np.linalg.lstsq(known, np.array([value(cell) for cell in cells]), rcond=None)[0]
    return float(constant), float(by_kib), float(by_call)


def making(tasks: int) -> tuple[float, float]:
    """CPU-ms and bytes on disk of a proved task of the shipped domains."""
    generate(1, 12)
    start = time.process_time()
    dataset = generate(2, tasks)
    spent = time.process_time() - start
    with TemporaryDirectory() as folder:
        dataset.save(Path(folder) / "d")
        size = sum(path.stat().st_size for path in (Path(folder) / "d").rglob("*") if path.is_file())
    return 1000 * spent / tasks, size / tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200, help="a cell of the grid")
    episodes = parser.parse_args().episodes
    cells = [played(rows, calls, episodes) for rows, calls in product(ROWS, CALLS)]
    table = Table("world", "calls", "CPU-ms", "ledger KiB", title="An episode, played, graded and kept")
    for cell in cells:
        table.add_row(f"{cell.kib:.0f} KiB", str(cell.calls), f"{cell.cpu_ms:.2f}", f"{cell.ledger_bytes / 1024:.1f}")
    console.print(table)
    cpu, ledger = plane(cells, lambda cell: cell.cpu_ms), plane(cells, lambda cell: cell.ledger_bytes / 1024)
    memory = {rows: memory_of(rows, 100) for rows in ROWS}
    console.print(f"CPU-ms an episode:  {cpu[0]:.2f} + {cpu[1] * 1024:.2f} a MiB of world + {cpu[2]:.3f} a call")
    console.print(
        f"ledger KiB:         {ledger[0]:.2f} + {ledger[1] * 1024:.2f} a MiB of world + {ledger[2]:.3f} a call"
    )
    for rows, kib in memory.items():
        console.print(f"open episode:       {kib:.0f} KiB in a world of {len(image_of(rows).data) / 1024:.0f} KiB")
    one, two = together(1, episodes), together(2, episodes)
    console.print(f"workers:            {one:.2f} CPU-ms an episode alone, {two:.2f} by two at once ({two / one:.2f}x)")
    make_ms, make_bytes = making(200)
    console.print(f"a proved task:      {make_ms:.1f} CPU-ms, {make_bytes / 1024:.1f} KiB on disk")
    _project(cpu, ledger, make_ms, make_bytes)


def _project(cpu: tuple[float, ...], ledger: tuple[float, ...], make_ms: float, make_bytes: float) -> None:
    """Of worlds of 100 KiB and episodes of 8 calls; the model's own time is not in it."""
    a_ms, a_kib = (part[0] + 100 * part[1] + 8 * part[2] for part in (cpu, ledger))
    table = Table("", "CPU", "on 16 cores", "disk", title="Worlds of 100 KiB, 8 calls, without the model")
    for name, ms, size in (
        ("a million tasks, made and proved", 1e6 * make_ms, 1e6 * make_bytes),
        ("a million episodes", 1e6 * a_ms, 1e6 * a_kib * 1024),
        ("a billion episodes", 1e9 * a_ms, 1e9 * a_kib * 1024),
    ):
        hours = ms / 1000 / HOUR
        table.add_row(name, f"{hours:,.1f} core-hours", f"{hours / 16:,.2f} h", f"{size / 1e9:,.1f} GB")
    console.print(table)


if __name__ == "__main__":
    main()
