"""From a goal template to a run plan: bind values to rows, then carry the calls out in the world.

`bind` chooses rows by seed. `carry_out` plays the goal's calls with given values and records, for each,
its arguments, its result and what it changed; with other values it is the re-planning on which the proof
that a fact is needed stands. What cannot be planned raises `Unplannable` with a short reason to count.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mocktrial.envs.task import Argument, FromFact, FromStep, Value
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import same
from mocktrial.mocktools.world import World
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.blueprint import (
    BoundSource,
    CallTemplate,
    FactSource,
    Goal,
    LiteralSource,
    Pick,
    StepSource,
)
from mocktrial.synth.templates import fill, sql_values

Values = Mapping[str, Any]
_STEP_SLOT = re.compile(r"\{([a-z0-9_]+)\.([\w.]+)\}")


class Unplannable(Exception):
    """This goal cannot be met with these values; `reason` is short and the same for all like it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class PlannedCall:
    """A call that was made. `paths` names, by argument, the earlier call (its place) and path it came from."""

    template: CallTemplate
    arguments: dict[str, Any]
    paths: dict[str, tuple[int, str]]
    result: Any
    before: tuple[Change, ...]  # net changes of the world up to the call
    after: tuple[Change, ...]

    def gold(self, places: Mapping[int, int]) -> dict[str, Argument]:
        """The arguments as the gold plan holds them; `places` maps a call's place to its step's number."""
        arguments: dict[str, Argument] = {}
        for name, source in self.template.arguments.items():
            if name in self.paths:
                place, path = self.paths[name]
                arguments[name] = FromStep(step=places[place], path=path)
            elif isinstance(source, FactSource):
                arguments[name] = FromFact(fact=source.fact)
            else:
                arguments[name] = Value(value=self.arguments[name])
        return arguments


@dataclass(frozen=True)
class PlanRun:
    calls: tuple[PlannedCall, ...]
    changes: tuple[Change, ...]
    told: str  # the last message, with what the tools gave

    def ends_like(self, other: PlanRun) -> bool:
        """Whether both leave the same state and the same answer, from one image and seed."""
        return self.changes == other.changes and self.told == other.told


def bind(goal: Goal, world: World, chance: random.Random) -> dict[str, Any]:
    """A value for each name of the goal, chosen by `chance`."""
    values: dict[str, Any] = {}
    for source in goal.bind:
        if isinstance(source, Pick):
            values[source.name] = chance.choice(source.choices)
            continue
        rows = sorted(world.records(source.sql, sql_values(source.sql, values)), key=repr)
        if not rows:
            raise Unplannable("no row to bind")
        values |= chance.choice(rows)
    return values


def alternatives_of(goal: Goal, fact: str, world: World, values: Values) -> list[Any]:
    """Other values of a fact that the world might take, sorted."""
    template = next(item for item in goal.facts if item.id == fact)
    if template.alternatives:
        rows = world.query(template.alternatives, sql_values(template.alternatives, values))
        found = [row[0] for row in rows]
    else:
        picks = [item for item in goal.bind if isinstance(item, Pick) and item.name == fact]
        found = [choice for pick in picks for choice in pick.choices]
    distinct = {repr(value): value for value in found if not same(value, values[fact])}
    return [distinct[key] for key in sorted(distinct)]


def carry_out(goal: Goal, image: WorldImage, values: Values, seed: int) -> PlanRun:
    """Make the goal's calls in a fresh world opened with `seed`."""
    with World.open(image, seed) as world:
        calls: list[PlannedCall] = []
        before: tuple[Change, ...] = ()
        for template in goal.plan:
            arguments, paths = _arguments(goal, template, calls, values)
            result = world.call(template.call, arguments)
            if not result.ok:
                raise Unplannable(f"{goal.id}: {template.call} failed with {result.code}")
            writes = image.tools[template.call].spec.effect == "write"
            after = world.write_set() if writes else before
            if writes and after == before:
                raise Unplannable(f"{goal.id}: {template.call} changes nothing")
            calls.append(PlannedCall(template, arguments, paths, result.value, before, after))
            before = after
        told = _STEP_SLOT.sub(lambda match: str(_told(goal, calls, match)), goal.finish)
        return PlanRun(tuple(calls), before, told)


def finish_text(goal: Goal, places: Mapping[int, int], spoken: Mapping[str, str]) -> str:
    """The goal's last words as the gold plan holds them: `{book.id}` becomes `{3.id}`, `{day}` its value."""
    numbers = {template.id: places[place] for place, template in enumerate(goal.plan)}
    slots: dict[str, str] = {}
    for step, path in _STEP_SLOT.findall(goal.finish):
        slots[f"{step}.{path}"] = f"{{{numbers[step]}.{path}}}"
    return fill(goal.finish, {**spoken, **slots})


def _arguments(
    goal: Goal, template: CallTemplate, calls: list[PlannedCall], values: Values
) -> tuple[dict[str, Any], dict[str, tuple[int, str]]]:
    arguments: dict[str, Any] = {}
    paths: dict[str, tuple[int, str]] = {}
    for name, source in template.arguments.items():
        if isinstance(source, StepSource):
            place = next(place for place, call in enumerate(calls) if call.template.id == source.step)
            path = _path(goal, source, calls[place].result, values)
            paths[name] = (place, path)
            arguments[name] = at(calls[place].result, path)
        else:
            arguments[name] = _plain(source, values)
    return arguments, paths


def _plain(source: FactSource | BoundSource | LiteralSource, values: Values) -> Any:
    match source:
        case FactSource(fact=name) | BoundSource(bound=name):
            return values[name]
        case LiteralSource(value=value):
            return value


def _path(goal: Goal, source: StepSource, result: Any, values: Values) -> str:
    """Where in `result` the wanted value stands. One row must fit, so that the plan is the only one."""
    if not isinstance(result, list):
        return source.take
    fitting = [
        number
        for number, row in enumerate(result)
        if all(same(values[name], row.get(column)) for column, name in source.where.items())
    ]
    if len(fitting) != 1 and not (source.first and fitting):
        raise Unplannable(f"{goal.id}: {'several rows' if fitting else 'no row'} of {source.step} fit")
    return f"{fitting[0]}.{source.take}"


def _told(goal: Goal, calls: list[PlannedCall], match: re.Match[str]) -> Any:
    result = next(call.result for call in calls if call.template.id == match[1])
    told = at(result, match[2])
    if told is None:
        raise Unplannable(f"{goal.id}: nothing to tell")
    return told


def at(value: Any, path: str) -> Any:
    """The part of a result at a dotted path, or None."""
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
