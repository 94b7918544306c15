"""Tasks a second of one core: worlds composed, compiled and checked, tasks planned and proved.

    python benchmarks/synthesis.py [--worlds 4] [--per-world 100]

CPU seconds of one process. A Python that was compiled without profile-guided optimisation takes a fifth longer. On a
machine shared with others the same work takes up to three times as long: compare runs of one hour only.
SynthAgent's figure is that of its paper (arXiv 2601.22511), which proves nothing.
"""

from __future__ import annotations

import argparse
import time

from rich.console import Console
from rich.table import Table

from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.production.units import Unit, make_unit

MARK = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=4)
    parser.add_argument("--per-world", type=int, default=100)
    given = parser.parse_args()
    source = Composer(7)
    make_unit(source, 0, 7, 10)  # imports, compiled patterns
    units: list[Unit] = []
    spent: list[float] = []
    for number in range(1, 1 + given.worlds):
        start = time.process_time()
        units.append(make_unit(source, number, 7, given.per_world))
        spent.append(time.process_time() - start)
    tasks = sum(len(unit.pairs) for unit in units)
    plays = sum(sum(proof.counts.values()) for unit in units for _, proof in unit.pairs)
    dropped = sum(sum(unit.dropped.values()) for unit in units)
    table = Table("", "here", "mark", "SynthAgent", title="Synthesis on one core")
    table.add_row("proved tasks a CPU-second", f"{tasks / sum(spent):.1f}", f"{MARK:.0f}", "")
    table.add_row(
        "slowest and fastest world", " - ".join(f"{given.per_world / s:.1f}" for s in (max(spent), min(spent))), "", ""
    )
    table.add_row("episodes played a task, as proof", f"{plays / tasks:.1f}", "", "0")
    table.add_row("drafts dropped a task", f"{dropped / tasks:.2f}", "", "")
    table.add_row("model tokens a task", "0", "", "25,278")
    Console().print(table)


if __name__ == "__main__":
    main()
