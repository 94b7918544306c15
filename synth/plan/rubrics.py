"""The rubric of a planned goal: what its template says, and what follows from the run itself.

subgoals      the template's criteria; for a write call that has none, a `writes` criterion made from
              what the call changed and what of it was still there at the end; in a goal tagged "undo"
              that the call was made, where nothing of it is left
interactions  one `ask` criterion a hidden fact
forbidden     the template's; no change beside those of the gold plan; no write that wants a yes without one

Ids that the world makes up differ between seeds: a second run with another seed shows which, and those are
left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mocktrial.envs.rubric import (
    AskCriterion,
    CallCriterion,
    Criterion,
    EventPattern,
    OrderCriterion,
    Rubric,
    WritePattern,
    WritesCriterion,
)
from mocktrial.mocktools.values import stable
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.form.templates import fill_criterion
from mocktrial.synth.plan.choosing import Unplannable, Values
from mocktrial.synth.plan.golden import subgoal_of
from mocktrial.synth.plan.planning import PlannedCall, PlanRun

Key = tuple[str, str]  # table and key of a row


def build_rubric(
    goal: Goal, values: Values, hidden: Sequence[str], gold: PlanRun, other: PlanRun, *, writable: bool = True
) -> Rubric:
    """The whole rubric. `other` is the gold plan run with another episode seed; `writable`: the world has writes."""
    fixed = _Fixed(gold.changes, other.changes)
    served = {subgoal_of(call) for call in gold.calls}
    left_out = {call.subgoal for call in goal.plan} - served  # by a `when`
    given = [criterion for criterion in goal.subgoals if criterion.id not in left_out]
    subgoals: list[Criterion] = [fill_criterion(criterion, values) for criterion in given]
    written = {criterion.id for criterion in subgoals}
    for name in dict.fromkeys(filter(None, map(subgoal_of, gold.calls))):
        if name not in written:
            subgoals.append(_written(goal, name, gold, other, fixed))
    asks = [AskCriterion(id=f"ask-{fact}", fact=fact) for fact in hidden]
    allowed = _exactly(gold.changes, fixed)
    forbidden: list[Criterion] = [fill_criterion(criterion, values) for criterion in goal.forbidden]
    if writable:
        forbidden.append(WritesCriterion(id="nothing-else", allowed=allowed, most=len(allowed)))
    forbidden += [_confirmed(tool) for tool in dict.fromkeys(c.template.call for c in gold.calls if c.template.confirm)]
    return Rubric(subgoals=tuple(subgoals), interactions=tuple(asks), forbidden=tuple(forbidden))


def exactly(changes: Sequence[Change], other: Sequence[Change]) -> tuple[WritePattern, ...]:
    """A pattern a net change that matches it alone; `other`: the same with another seed. Raises `Unplannable`."""
    return _exactly(changes, _Fixed(changes, other))


def _exactly(changes: Sequence[Change], fixed: _Fixed) -> tuple[WritePattern, ...]:
    return tuple(_pattern(change, fixed, change.columns, columns=tuple(change.columns)) for change in changes)


def _written(goal: Goal, name: str, gold: PlanRun, other: PlanRun, fixed: _Fixed) -> Criterion:
    """What the calls that serve this subgoal wrote; where nothing is left of it, that they were made."""
    places = [place for place, call in enumerate(gold.calls) if subgoal_of(call) == name]
    required = tuple(pattern for place in places for pattern in _required(gold.calls[place], gold.changes, fixed))
    if required:
        return WritesCriterion(id=name, required=required)
    call, twin = gold.calls[places[0]], other.calls[places[0]]
    if "undo" not in goal.tags:
        raise Unplannable(f"{goal.id}: nothing of {call.template.call} is left at the end")
    seedless = {key: value for key, value in call.arguments.items() if value == twin.arguments[key]}
    return CallCriterion(id=name, tool=call.template.call, arguments=seedless)


def _confirmed(tool: str) -> OrderCriterion:
    first, then = EventPattern(kind="confirm"), EventPattern(kind="call", name=tool)
    return OrderCriterion(id=f"confirm-{tool}", first=first, then=then)


class _Fixed:
    """Keys and values of the gold changes that do not depend on the episode's seed."""

    def __init__(self, gold: Sequence[Change], other: Sequence[Change]) -> None:
        self._free: dict[tuple[str, str, str], bool] = {}
        rest = list(other)
        for one in gold:
            alike = [change for change in rest if (change.table, change.op) == (one.table, one.op)]
            if not alike:
                raise Unplannable("the changes depend on the seed")
            two = max(alike, key=lambda change, one=one: _likeness(one, change))  # type: ignore[misc]
            rest.remove(two)
            for column, pair in one.columns.items():
                self._free[(*row_of(one), column)] = pair != two.columns.get(column)
            for column, value in one.key.items():
                self._free[(*row_of(one), column)] = value != two.key.get(column)
        if rest:
            raise Unplannable("the changes depend on the seed")

    def holds(self, change: Change, column: str) -> bool:
        return not self._free.get((*row_of(change), column), False)


def _likeness(one: Change, two: Change) -> int:
    """In how many columns: rows with made-up keys stand in another order under another seed."""
    return (one.key == two.key) + sum(pair == two.columns.get(column) for column, pair in one.columns.items())


def row_of(change: Change) -> Key:
    return change.table, stable(change.key)


def _required(call: PlannedCall, final: Sequence[Change], fixed: _Fixed) -> tuple[WritePattern, ...]:
    """A pattern for each row that the call changed, of those new values that lasted."""
    last = {row_of(change): change for change in final}
    before = {row_of(change): change for change in call.before}
    patterns = []
    for change in call.after:
        end, start = last.get(row_of(change)), before.get(row_of(change))
        if end is None or change == start:
            continue
        known = start.columns if start else {}
        own = {
            column: pair
            for column, pair in change.columns.items()
            if pair != known.get(column) and end.columns.get(column) == pair
        }
        if own or end.op == "delete":
            patterns.append(_pattern(end, fixed, own))
    return tuple(patterns)


def _pattern(
    change: Change, fixed: _Fixed, own: dict[str, tuple[Any, Any]], columns: tuple[str, ...] | None = None
) -> WritePattern:
    gone = change.op == "delete"
    return WritePattern(
        table=change.table,
        op=change.op,
        columns=None if gone else columns,
        key={name: value for name, value in change.key.items() if fixed.holds(change, name)},
        new={} if gone else {name: pair[1] for name, pair in own.items() if fixed.holds(change, name)},
    )
