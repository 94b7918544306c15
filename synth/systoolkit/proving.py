"""Whether every tool of the catalogue has a proved task: the first of its goals that makes one, or why none does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Persona, Task
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.plan.planning import Unplannable
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.systoolkit.source import Beginning, tool_goals, tool_world

_DRAFTS = 2  # of each goal


@dataclass(frozen=True)
class Shown:
    """A tool with its proved task, or with the reasons for which its drafts were lost."""

    tool: str
    task: Task | None
    goals: int
    reasons: tuple[str, ...]
    mutants: int = 0


def prove_tools(names: Sequence[str], seed: int = 0) -> Iterator[Shown]:
    """Each of the tools, in the catalogue's order, in the world of its domain."""
    wanted = set(names)
    for domain, entry in catalog().domains.items():
        own = [name for name in entry.tools if name in wanted]
        plain = compile_world(tool_world([domain])) if own else None
        for name in own:
            begins = Beginning(catalog().tools[name].starts)
            image = compile_world(tool_world([domain], begins)) if begins.columns or plain is None else plain
            yield _shown(name, image, begins, seed)


def _shown(name: str, image: WorldImage, begins: Beginning, seed: int) -> Shown:
    tool = catalog().tools[name]
    goals = list(tool_goals(tool, image, random.Random(derive(seed, name)), begins))
    lost: Counter[str] = Counter()
    for goal in goals:
        for draft in range(_DRAFTS):
            found = _proved(goal, image, tool.domain, derive(seed, "task", goal.id, draft))
            if not isinstance(found, str):
                return Shown(name, found[0], len(goals), tuple(lost), found[1])
            lost[found] += 1
    return Shown(name, None, len(goals), tuple(lost) or ("no way of asking for it that works and can be judged",))


def _proved(goal: Goal, image: WorldImage, domain: str, seed: int) -> tuple[Task, int] | str:
    try:
        task = make_task(goal, image, domain=domain, personas=(Persona(),), seed=seed)
    except Unplannable as error:
        return error.reason
    proof = prove(task.model_copy(update={"id": goal.id}), image)
    return (task, sum(made for made, _ in proof.mutants.values())) if proof.ok else f"{goal.id}: {proof.failures[0]}"
