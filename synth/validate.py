"""`validate(dataset)`: is it still what its card says? Worlds keep their contract, tasks prove themselves.

Findings are sentences that name world or task; an empty list is a clean dataset.
"""

from __future__ import annotations

from collections.abc import Callable

from mocktrial.envs.dataset import Dataset
from mocktrial.mocktools.check import check_world
from mocktrial.synth.prove import prove


def validate(dataset: Dataset, *, progress: Callable[[int], None] = lambda done: None) -> list[str]:
    """Check every world and prove every task again; look for duplicates and for leaks across splits."""
    findings = []
    for name, spec in dataset.worlds.items():
        findings += [f"world {name}: {problem}" for problem in check_world(spec).problems]
    seen: dict[str, str] = {}
    homes: dict[tuple[str, str], str] = {}
    for number, task in enumerate(dataset.tasks, 1):
        findings += [f"task {task.id}: {failure}" for failure in prove(task, dataset.image(task)).failures]
        content = task.content_hash()
        if content in seen:
            findings.append(f"task {task.id}: the same as {seen[content]}")
        seen[content] = task.id
        split = homes.setdefault((task.world, task.instruction), task.split)
        if split != task.split:
            findings.append(f"task {task.id}: its instruction stands in both splits")
        progress(number)
    return findings
