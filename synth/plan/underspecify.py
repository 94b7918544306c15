"""Which facts of a planned goal may be hidden from the agent, and what depends on each.

A fact may be hidden only where it must then be asked for: the world takes other values of it, each of
which, planned again, ends in another state or another answer (so no default serves), and no tool result
of the plan gives it away before it is used. Pure functions over a `PlanRun`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mocktrial.envs.users.base import says
from mocktrial.mocktools.values import fold
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.form.steps import BoundSource, CallTemplate, ComputeSource, FactSource, StepSource
from mocktrial.synth.form.templates import sql_names
from mocktrial.synth.plan.choosing import Unplannable, Values, equal
from mocktrial.synth.plan.planning import PlannedCall, PlanRun, run_rest
from mocktrial.synth.plan.stage import Stage


def names_used(template: CallTemplate) -> dict[str, tuple[str, ...]]:
    """Facts and bound values that a call uses itself: name to the arguments that it decides."""
    used: dict[str, list[str]] = {}
    for argument, source in template.arguments.items():
        names: list[str] = []
        match source:
            case FactSource(fact=name) | BoundSource(bound=name):
                names.append(name)
            case StepSource():
                names += source.names()
                names += template.names() if source.step == template.each else ()
            case ComputeSource():
                names += (name for name in sql_names(source.compute) if name not in source.of)
                names += (name for part in source.of.values() for name in part.names())
        names += template.when.names() if template.when else ()
        for name in dict.fromkeys(names):
            used.setdefault(name, []).append(argument)
    for name in template.names():
        used.setdefault(name, list(template.arguments))
    return {name: tuple(arguments) for name, arguments in used.items()}


class Uses:
    """Where the facts of a goal's plan go. Taken once a task: the plan is the same for all its values."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.by_step = {call.id: names_used(call) for call in goal.plan}
        self.needed: dict[str, frozenset[str]] = {}  # by step what it needs, through earlier steps too
        for call in goal.plan:
            earlier = {source.step for source in call.steps()}
            earlier |= {call.each} if call.each else set()
            earlier |= {call.when.step} if call.when else set()
            self.needed[call.id] = frozenset(self.by_step[call.id]).union(*(self.needed[step] for step in earlier))

    def places(self, fact: str) -> tuple[str, ...]:
        """ "tool.argument" for each argument that the fact decides, directly or by choosing rows."""
        found = [f"{call.call}.{name}" for call in self.goal.plan for name in self.by_step[call.id].get(fact, ())]
        return tuple(dict.fromkeys(found))

    def first(self, run: PlanRun, fact: str) -> int:
        """Place of the first call that uses the fact itself; 0 where none does."""
        return next((place for place, call in enumerate(run.calls) if fact in self.by_step[call.template.id]), 0)

    def first_template(self, fact: str) -> int:
        """Place in the goal's plan of the first call that depends on the fact; the plan's length where none does."""
        plan = self.goal.plan
        decided = (place for place, call in enumerate(plan) if fact in self.by_step[call.id] or _asks(call, fact))
        return next(decided, len(plan))


def _asks(template: CallTemplate, fact: str) -> bool:
    """Whether the fact decides if the call is made at all."""
    return template.when is not None and fact in template.when.names()


def telling_alternatives(
    uses: Uses, stage: Stage, values: Values, gold: PlanRun, fact: str, others: list[Any]
) -> Iterator[tuple[Any, PlanRun]]:
    """Those of `others` that the world takes and that end elsewhere than the gold plan does, one at a time.

    Up to the first call that the fact decides, each plan is the gold plan.
    """
    first = uses.first_template(fact)
    for other in others:
        try:
            run = run_rest(uses.goal, stage, {**values, fact: other}, gold, first)
        except Unplannable:
            continue
        if not run.ends_like(gold):
            yield other, run


def gives_away(before: Sequence[PlannedCall], value: Any, alternatives: Sequence[Any]) -> bool:
    """Whether a result before the fact's first use holds its value and none of the alternatives."""
    for call in before:
        seen = _scalars(call.result)
        holds = any(equal(value, item) for item in seen)
        if holds and not any(equal(other, item) for other in alternatives for item in seen):
            return True
    return False


def readable(value: Any, spoken: str, texts: list[str]) -> bool:
    """Whether a hidden fact can be read in one of the texts that the agent sees anyway."""
    return any(says(fold(text), form) for text in texts for form in (str(value), spoken))


def _scalars(value: Any) -> list[Any]:
    """What stands in a result, but for lists and objects themselves. In no order."""
    found, waiting = [], [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        else:
            found.append(item)
    return found
