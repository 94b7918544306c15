"""How strong proofs are, and what they and the checks of worlds cost: what bounds how fast a dataset can be made.

    python benchmarks/proofs.py [--tasks 120] [--worlds 12]

Strength: each written value that a shipped rubric fixes is left open, one at a time, in tasks of so many composed
worlds; the share of these weaker rubrics that no longer prove themselves (`synth/proof/weaken.py`).

Cost: a proof plays a task's gold plan, its paraphrases and all its mutants (`synth/proof/prove.py`), each a graded
episode. Figures are CPU milliseconds on one core; each proof is the fastest of three, its image compiled before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from mocktrial.mocktools.check import check_world
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.production.generate import generate
from mocktrial.synth.production.units import make_unit
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.proof.weaken import weaker

_TIMES = 3
_PER_WORLD = 25  # tasks whose rubrics are weakened


def cpu_ms(work: Callable[[], object]) -> float:
    """The least CPU milliseconds of a few runs of `work`."""
    found = []
    for _ in range(_TIMES):
        start = time.process_time()
        work()
        found.append((time.process_time() - start) * 1000)
    return min(found)


def strength(worlds: int) -> tuple[int, int]:
    """How many rubrics were weakened, and how many of them the proof saw through."""
    proofs = [
        prove(task.model_copy(update={"rubric": rubric}), unit.image)
        for unit in (make_unit(Composer(5), number, 5, _PER_WORLD) for number in range(worlds))
        if unit.image is not None
        for task, _ in unit.pairs
        for _, rubric in weaker(task.rubric, unit.image)
    ]
    return len(proofs), sum(not proof.ok for proof in proofs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=120)
    parser.add_argument("--worlds", type=int, default=12)
    given = parser.parse_args()
    made, seen = strength(given.worlds)
    weak = Table("weakened rubrics", "seen through", "share", title="Strength")
    weak.add_row(str(made), str(seen), f"{seen / made:.1%}")
    dataset = generate(0, given.tasks)
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
    Console().print(weak, table, worlds)


if __name__ == "__main__":
    main()
