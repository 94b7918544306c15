"""CPU cost of an episode, beside its peers': open the world, play the gold plan, grade.

    python benchmarks/episodes.py [--rounds 20]

Peers' figures are CPU time of one gold episode (build, calls, grade), measured on a two-core machine for
`PEERS.md` of the design: tau2 airline 701, retail 287, telecom 16; ToolSandbox 113.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from mocktrial import Episode, Expert, Task, World, WorldImage
from mocktrial.synth.production.generate import generate

PEERS = {"tau2 airline": 701.0, "tau2 retail": 287.0, "tau2 telecom": 16.0, "ToolSandbox": 113.0}
TARGET_EPISODE, TARGET_OPEN = 2.0, 0.3


def cpu_ms(work: Callable[[], None], rounds: int) -> tuple[float, float, float]:
    """Minimum, median and maximum CPU milliseconds of `work` over `rounds` runs."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append((time.process_time() - start) * 1000)
    return min(found), statistics.median(found), max(found)


async def _play(task: Task, image: WorldImage) -> None:
    async with Episode(task, image, agent="expert") as episode:
        await Expert().play(episode)
        grade = episode.trajectory().grade
        assert grade is not None
        assert grade.success


async def _play_all(pairs: list[tuple[Task, WorldImage]]) -> None:
    for task, image in pairs:
        await _play(task, image)


def _open_often(image: WorldImage, times: int) -> None:
    for seed in range(times):
        World.open(image, seed).close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    dataset = generate(0, 120)
    table = Table("", "min", "median", "max", "target", title="CPU-ms on one core")
    for domain in sorted({task.domain for task in dataset.tasks}):
        pairs = [(task, dataset.image(task)) for task in dataset.tasks if task.domain == domain]
        asyncio.run(_play_all(pairs))  # warm: images compiled, pools filled
        played = cpu_ms(lambda pairs=pairs: asyncio.run(_play_all(pairs)), rounds)  # type: ignore[misc]
        opened = cpu_ms(lambda image=pairs[0][1]: _open_often(image, 100), rounds)  # type: ignore[misc]
        row = [f"{value / len(pairs):.2f}" for value in played]
        table.add_row(f"{domain}: gold episode, graded", *row, f"{TARGET_EPISODE:g}")
        table.add_row(f"{domain}: open and close a world", *(f"{v / 100:.3f}" for v in opened), f"{TARGET_OPEN:g}")
    for name, value in PEERS.items():
        table.add_row(f"{name}: gold episode (published here before)", "", f"{value:g}", "", "")
    Console().print(table)


if __name__ == "__main__":
    main()
