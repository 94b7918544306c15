"""CPU cost of proving tasks and of checking worlds: what bounds how fast a dataset can be made.

    python benchmarks/proofs.py [--tasks 120]

A proof plays a task's gold plan, its paraphrases and all its mutants (`synth/proof/prove.py`), each a graded episode.
Figures are CPU milliseconds on one core; each proof is the fastest of three, its image compiled before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from mocktrial.mocktools.check import check_world
from mocktrial.synth.production.generate import generate
from mocktrial.synth.proof.prove import prove

_TIMES = 3


def cpu_ms(work: Callable[[], object]) -> float:
    """The least CPU milliseconds of a few runs of `work`."""
    found = []
    for _ in range(_TIMES):
        start = time.process_time()
        work()
        found.append((time.process_time() - start) * 1000)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=120)
    dataset = generate(0, parser.parse_args().tasks)
    spent: dict[int, list[tuple[float, int]]] = {}
    for task in dataset.tasks:
        image = dataset.image(task)
        plays = sum(prove(task, image).counts.values())
        spent.setdefault(task.difficulty, []).append((cpu_ms(lambda t=task, i=image: prove(t, i)), plays))  # type: ignore[misc]
    table = Table("calls in the gold plan", "tasks", "plays a proof", "ms a proof", "ms a play", title="Proofs")
    for calls, found in sorted(spent.items()):
        times, plays_of = [ms for ms, _ in found], [plays for _, plays in found]
        mean, count = statistics.mean(times), statistics.mean(plays_of)
        table.add_row(str(calls), str(len(found)), f"{count:.1f}", f"{mean:.2f}", f"{mean / count:.2f}")
    worlds = Table("world", "tools", "ms", title="check_world")
    for name, spec in sorted(dataset.worlds.items()):
        worlds.add_row(name, str(len(spec.tools())), f"{cpu_ms(lambda spec=spec: check_world(spec)):.1f}")  # type: ignore[misc]
    Console().print(table, worlds)


if __name__ == "__main__":
    main()
