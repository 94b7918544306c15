"""From a goal template to a run plan: bind values to rows, then carry the calls out in the world.

`bind` chooses rows by seed. `run_plan` plays the goal's calls with given values and records, for each, its
arguments, its result and what it changed; with other values it is the re-planning on which the proof that a
fact is needed stands. What cannot be planned raises `Unplannable` with a short reason to count.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import same
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.form.goals import MAX_CALLS, Goal, Pick
from mocktrial.synth.form.steps import (
    ArgumentTemplate,
    BoundSource,
    CallTemplate,
    ComputeSource,
    FactSource,
    LiteralSource,
    StepSource,
)
from mocktrial.synth.form.templates import choose, sql_names, sql_values
from mocktrial.synth.plan.choosing import Unplannable, Values, agreeing, at, choose_row, rows_of, value_named
from mocktrial.synth.plan.stage import START, Stage

__all__ = [
    "STEP_SLOT",
    "PlanRun",
    "PlannedCall",
    "Unplannable",
    "Values",
    "alternatives_of",
    "bind",
    "carry_out",
    "run_more",
    "run_plan",
    "run_rest",
]

STEP_SLOT = re.compile(r"\{([a-z0-9_]+)\.([\w.]*)\}")


@dataclass(frozen=True)
class PlannedCall:
    """A call that was made. `paths` names, by argument, the earlier call (its place) and path it came from."""

    name: str  # the template's id; for the second row of an `each` "ID-2"
    template: CallTemplate
    row: int | None  # of the result of `each`
    arguments: dict[str, Any]
    paths: dict[str, tuple[int, str]]
    choices: tuple[int, ...]  # how many rows there were for each that had to be chosen
    result: Any
    before: tuple[Change, ...] = ()  # net changes of the world up to the call; not of a sketch
    after: tuple[Change, ...] = ()
    state: int = START  # of the stage, after the call


@dataclass(frozen=True)
class PlanRun:
    calls: tuple[PlannedCall, ...]
    changes: tuple[Change, ...]
    told: str  # the last message, with what the tools gave
    state: int  # of the stage

    def ends_like(self, other: PlanRun) -> bool:
        """Whether both leave the same state and the same answer, from one image and seed."""
        return self.changes == other.changes and self.told == other.told


def bind(goal: Goal, stage: Stage, chance: random.Random) -> dict[str, Any]:
    """A value for each name of the goal, chosen by `chance`."""
    values: dict[str, Any] = {}
    for source in goal.bind:
        if isinstance(source, Pick):
            values[source.name] = chance.choice(source.choices)
            continue
        rows = sorted(stage.query(START, source.sql, sql_values(source.sql, values)), key=repr)
        if not rows:
            raise Unplannable(f"{goal.id}: no row to bind")
        values |= chance.choice(rows)
    return values


def alternatives_of(goal: Goal, fact: str, stage: Stage, values: Values) -> list[Any]:
    """Other values of a fact that the world might take, sorted."""
    template = next(item for item in goal.facts if item.id == fact)
    if template.alternatives:
        rows = stage.query(START, template.alternatives, sql_values(template.alternatives, values))
        found = [next(iter(row.values())) for row in rows]
    else:
        picks = [item for item in goal.bind if isinstance(item, Pick) and item.name == fact]
        found = [choice for pick in picks for choice in pick.choices]
    distinct = {repr(value): value for value in found if not same(value, values[fact])}
    return [distinct[key] for key in sorted(distinct)]


def carry_out(goal: Goal, image: WorldImage, values: Values, seed: int, later: timedelta = timedelta()) -> PlanRun:
    """Make the goal's calls in a fresh world opened with `seed`, its clock on by `later`: a sketch."""
    with Stage(image, seed, later) as stage:
        return run_plan(goal, stage, values, sketch=True)


def run_plan(goal: Goal, stage: Stage, values: Values, *, sketch: bool = False) -> PlanRun:
    """Make the goal's calls on a stage, from its first state.

    A sketch looks at changes at the end only, not after each call. Else each write must change something.
    """
    planner = _Planner(goal, stage, values, sketch=sketch)
    for template in goal.plan:
        planner.make(template)
    return planner.run()


def run_more(goal: Goal, stage: Stage, values: Values, run: PlanRun, more: tuple[CallTemplate, ...]) -> PlanRun:
    """`run` with further calls after its own."""
    planner = _Planner(goal, stage, values, run)
    for template in more:
        planner.make(template)
    return planner.run()


def run_rest(goal: Goal, stage: Stage, values: Values, gold: PlanRun, first: int) -> PlanRun:
    """A sketch of the plan with other values, on which its first so many steps do not depend: these are `gold`'s."""
    same = {template.id for template in goal.plan[:first]}
    calls = tuple(call for call in gold.calls if call.template.id in same)
    begun = PlanRun(calls, (), "", calls[-1].state if calls else START)
    planner = _Planner(goal, stage, values, begun, sketch=True)
    for template in goal.plan[first:]:
        planner.make(template)
    return planner.run()


class _Planner:
    """Makes the calls of one plan, one after the other."""

    def __init__(
        self, goal: Goal, stage: Stage, values: Values, run: PlanRun | None = None, *, sketch: bool = False
    ) -> None:
        self.goal, self.stage, self.values, self.sketch = goal, stage, values, sketch
        self.calls: list[PlannedCall] = list(run.calls) if run else []
        self.state = run.state if run else START

    def run(self) -> PlanRun:
        made = {call.template.id for call in self.calls}
        finish = choose(self.goal.finish, lambda name: "." in name and name.partition(".")[0] not in made)
        told = STEP_SLOT.sub(lambda match: str(self._told(match[1], match[2])), finish)
        return PlanRun(tuple(self.calls), self.stage.changes(self.state), told, self.state)

    def make(self, template: CallTemplate) -> None:
        """The call, or one for each row, or none."""
        if template.when:
            places = self._places(template.when.step)
            rows = rows_of(self.calls[places[0]].result)[0] if places else []
            if not places or bool(agreeing(template.when, rows, self.values)) == template.when.none:
                return
        if not template.each:
            self._call(template, None, template.id)
            return
        rows = rows_of(self.calls[self._made(template.each)].result)[0]
        fitting = agreeing(template, rows, self.values)
        if not fitting:
            raise Unplannable(f"{self.goal.id}: no row of {template.each} fits")
        for number, row in enumerate(fitting, 1):
            self._call(template, row, template.id if number == 1 else f"{template.id}-{number}")

    def _call(self, template: CallTemplate, row: int | None, name: str) -> None:
        if len(self.calls) >= MAX_CALLS:
            raise Unplannable(f"{self.goal.id}: more than {MAX_CALLS} calls")
        arguments: dict[str, Any] = {}
        paths: dict[str, tuple[int, str]] = {}
        choices: list[int] = []
        for key, source in template.arguments.items():
            if isinstance(source, StepSource):
                place, path, count = self._find(source, template, row)
                paths[key] = place, path
                choices += [count] if count else []
                arguments[key] = at(self.calls[place].result, path)
            else:
                arguments[key] = self._plain(source, template, row)
        outcome = self.stage.call(self.state, template.call, arguments)
        if outcome.code != template.code:
            ended = f"failed with {outcome.code}" if outcome.code else f"did not fail with {template.code}"
            raise Unplannable(f"{self.goal.id}: {template.call} {ended}")
        before: tuple[Change, ...] = ()
        after: tuple[Change, ...] = ()
        if not self.sketch:
            before, after = self.stage.changes(self.state), self.stage.changes(outcome.state)
            if outcome.state != self.state and after == before:
                raise Unplannable(f"{self.goal.id}: {template.call} changes nothing")
        self.state = outcome.state
        self.calls.append(
            PlannedCall(name, template, row, arguments, paths, tuple(choices), outcome.value, before, after, self.state)
        )

    def _plain(self, source: ArgumentTemplate, template: CallTemplate, row: int | None) -> Any:
        match source:
            case FactSource(fact=name) | BoundSource(bound=name):
                return value_named(name, self.values, template.id)
            case LiteralSource(value=value):
                return value
            case ComputeSource():
                return self._computed(source, template, row)
        raise TypeError(source)

    def _computed(self, source: ComputeSource, template: CallTemplate, row: int | None) -> Any:
        values: dict[str, Any] = {}
        for name in sql_names(source.compute):
            part = source.of.get(name)
            if part is None:
                values[name] = value_named(name, self.values, template.id)
            elif part.all:
                values[name] = self._every(part)
            else:
                place, path, _ = self._find(part, template, row)
                values[name] = at(self.calls[place].result, path)
        (result,) = self.stage.query(self.state, f"SELECT ({source.compute}) AS value", values)
        if result["value"] is None:
            raise Unplannable(f"{self.goal.id}: nothing to compute for {template.id}")
        return result["value"]

    def _every(self, source: StepSource) -> list[Any]:
        """`take` of each row that agrees, of all calls of the step."""
        rows = [row for place in self._places(source.step) for row in rows_of(self.calls[place].result)[0]]
        return [at(rows[number], source.take) for number in agreeing(source, rows, self.values)]

    def _find(self, source: StepSource, template: CallTemplate, row: int | None) -> tuple[int, str, int]:
        """Place of the call, path in its result, and how many rows there were to choose among (0: no choice)."""
        place = self._made(source.step)
        if source.step == template.each:
            return place, _join(rows_of(self.calls[place].result)[1], row, source.take), 0
        if self.calls[place].row is not None:
            place = next(n for n in self._places(source.step) if self.calls[n].row == row)
        rows, prefix = rows_of(self.calls[place].result)
        number = choose_row(source, rows, self.values, self.goal.id)
        return place, _join(prefix, number, source.take), 0 if prefix is None else len(rows)

    def _places(self, step: str) -> list[int]:
        return [place for place, call in enumerate(self.calls) if call.template.id == step]

    def _made(self, step: str) -> int:
        places = self._places(step)
        if not places:
            raise Unplannable(f"{self.goal.id}: refers to {step}, which was not called for")
        return places[0]

    def _told(self, step: str, path: str) -> Any:
        told = at(self.calls[self._made(step)].result, path)
        if told is None:
            raise Unplannable(f"{self.goal.id}: nothing to tell")
        return told


def _join(prefix: str | None, row: int | None, take: str) -> str:
    """The path to `take` in a row; `prefix` is the path to the list of rows, None where there is none."""
    return take if prefix is None else ".".join(part for part in (prefix, str(row), take) if part)
