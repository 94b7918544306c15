"""Which facts of a planned goal may be hidden from the agent, and what depends on each.

A fact may be hidden only where it must then be asked for: the world takes other values of it, each of
which, planned again, ends in another state or another answer (so no default serves), and no tool result
of the plan gives it away before it is used. Pure functions over a `PlanRun`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mocktrial.envs.users.base import says
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import fold, same
from mocktrial.synth.blueprint import CallTemplate, FactSource, Goal, StepSource
from mocktrial.synth.planning import PlanRun, Unplannable, Values, carry_out


def names_used(template: CallTemplate) -> dict[str, str]:
    """Facts and bound values that a call uses itself: name to the argument it decides."""
    used: dict[str, str] = {}
    for argument, source in template.arguments.items():
        if isinstance(source, FactSource):
            used[source.fact] = argument
        elif isinstance(source, StepSource):
            used |= dict.fromkeys(source.where.values(), argument)
    return used


def places_used(goal: Goal, fact: str) -> tuple[str, ...]:
    """ "tool.argument" for each argument that the fact decides, directly or by choosing a row."""
    places = [f"{call.call}.{names_used(call)[fact]}" for call in goal.plan if fact in names_used(call)]
    return tuple(dict.fromkeys(places))


def needs(goal: Goal, place: int) -> frozenset[str]:
    """Facts that the call at `place` needs, through earlier calls too."""
    template = goal.plan[place]
    found = set(names_used(template))
    for source in template.arguments.values():
        if isinstance(source, StepSource):
            earlier = next(n for n, call in enumerate(goal.plan) if call.id == source.step)
            found |= needs(goal, earlier)
    return frozenset(found)


def telling_alternatives(
    goal: Goal, image: WorldImage, values: Values, gold: PlanRun, fact: str, others: list[Any], seed: int
) -> tuple[Any, ...]:
    """Those of `others` that the world takes and that end elsewhere than the gold plan does."""
    telling = []
    for other in others:
        try:
            run = carry_out(goal, image, {**values, fact: other}, seed)
        except Unplannable:
            continue
        if not run.ends_like(gold):
            telling.append(other)
    return tuple(telling)


def gives_away(gold: PlanRun, fact: str, value: Any, alternatives: tuple[Any, ...]) -> bool:
    """Whether a result before the fact's first use holds its value and none of the alternatives."""
    for call in gold.calls:
        if fact in names_used(call.template):
            first = call
            break
    else:
        return False
    for call in gold.calls[: gold.calls.index(first)]:
        seen = list(_scalars(call.result))
        holds = any(same(value, item) for item in seen)
        if holds and not any(same(other, item) for other in alternatives for item in seen):
            return True
    return False


def readable(value: Any, spoken: str, texts: list[str]) -> bool:
    """Whether a hidden fact can be read in one of the texts that the agent sees anyway."""
    return any(says(fold(text), form) for text in texts for form in (str(value), spoken))


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    else:
        yield value
