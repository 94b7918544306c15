"""Grading: predicates over the final state, the write set and the events (DESIGN, invariant 8).

    R = 1[no forbidden act] * (mean(subgoals) + mean(interactions)) / 2,   success = R == 1

after SynthAgent (arXiv 2601.22511, reward section); where a side is empty its mean is left out. Nothing
here calls a model, and nothing here reads the clock: a `judge` criterion does not hold until
`judging.judge_episode` has decided it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from mocktrial.envs.rubric import (
    AskCriterion,
    CallCriterion,
    Criterion,
    EventPattern,
    ForbidCriterion,
    JudgeCriterion,
    OrderCriterion,
    StateCriterion,
    TellCriterion,
    WritePattern,
    WritesCriterion,
)
from mocktrial.envs.task import Fact, Task
from mocktrial.envs.trajectory import Asking, CriterionResult, Event, Grade
from mocktrial.envs.users.base import says
from mocktrial.mocktools.autoslurp.compare import compare
from mocktrial.mocktools.values import fold, same
from mocktrial.mocktools.world import World
from mocktrial.mocktools.writeset import Change

JUDGE_SHARE = 0.3  # of a side's mean that judge criteria decide, at most
Verdict = tuple[bool, str]  # holds, evidence
Matcher = Callable[[Mapping[str, Any], Mapping[str, Any], World], Verdict]


def match_typed(expected: Mapping[str, Any], actual: Mapping[str, Any], world: World) -> Verdict:
    """Each expected argument is there and means the same; further arguments are allowed."""
    for name, value in expected.items():
        if name not in actual or not same(value, actual[name]):
            return False, f"{name} is {actual.get(name)!r}, not {value!r}"
    return True, "arguments match"


def match_autoslurp(expected: Mapping[str, Any], actual: Mapping[str, Any], world: World) -> Verdict:
    """The call has the row's slots, no more and no less, under its leniencies."""
    given = {name: value for name, value in actual.items() if name != "other"} | dict(actual.get("other") or {})
    verdict = compare(expected["slots"], given, now=world.image.now, rules=frozenset(expected["rules"]))
    wrong = [f"{slot.slot} is {slot.actual}, not {slot.expected}" for slot in verdict.evidence if not slot.ok]
    forgiven = f" (forgiven: {', '.join(verdict.rules)})" if verdict.rules else ""
    return verdict.ok, "; ".join(wrong) or f"slots match{forgiven}"


MATCHERS: dict[str, Matcher] = {"typed": match_typed, "autoslurp": match_autoslurp}


def grade(task: Task, world: World, events: Sequence[Event], writes: Sequence[Change]) -> Grade:
    """Grade one finished episode. `world` is its final state."""
    scene = _Scene(task, world, events, lambda: writes)
    groups: list[tuple[Literal["subgoal", "interaction", "forbidden"], Sequence[Criterion]]] = [
        ("subgoal", task.rubric.subgoals),
        ("interaction", task.rubric.interactions),
        ("forbidden", task.rubric.forbidden),
    ]
    results = []
    for group, criteria in groups:
        for criterion in criteria:
            passed, evidence = scene.holds(criterion)
            result = CriterionResult(
                id=criterion.id,
                kind=criterion.kind,
                group=group,
                passed=passed,
                weight=criterion.weight,
                evidence=evidence,
            )
            results.append(result)
    reward = reward_of(results)
    return Grade(reward=reward, success=reward == 1.0, criteria=tuple(results), asking=_asking(scene))


def succeeds(task: Task, world: World, events: Sequence[Event], writes: Callable[[], Sequence[Change]]) -> bool:
    """`grade(...).success` alone: stops at the first criterion that does not hold, those that cost least first."""
    rubric = task.rubric
    scene = _Scene(task, world, events, writes)
    order = sorted(rubric.criteria(), key=lambda criterion: criterion.kind in ("state", "writes"))
    return bool(rubric.subgoals or rubric.interactions) and all(scene.holds(criterion)[0] for criterion in order)


def unmet(task: Task, world: World, events: Sequence[Event], writes: Callable[[], Sequence[Change]]) -> tuple[str, ...]:
    """Ids of the criteria that do not hold: those that `grade` says have not passed, without its evidence."""
    scene = _Scene(task, world, events, writes)
    return tuple(criterion.id for criterion in task.rubric.criteria() if not scene.holds(criterion)[0])


def writes_hold(task: Task, writes: Sequence[Change]) -> bool:
    """Whether each criterion on net changes holds. Where one does not, only more changes can lead to success."""
    return all(_written(item, writes)[0] for item in task.rubric.criteria() if isinstance(item, WritesCriterion))


def is_lost(task: Task, world: World, events: Sequence[Event]) -> bool:
    """Whether success is out of reach whatever follows, since a value was used before it was told."""
    scene = _Scene(task, world, events, tuple)
    asked = [item.fact for item in task.rubric.interactions if isinstance(item, AskCriterion)]
    return any(scene.guessed_at(task.fact(name)) is not None for name in asked)


def reward_of(results: Sequence[CriterionResult], *, judge_share: float = JUDGE_SHARE) -> float:
    """R of the module's formula, in [0, 1]; the mean of a side is weighted.

    With P and J the weights of a side's predicates and of its judge criteria, and s = `judge_share`, judge weights
    are multiplied by min(1, s/(1-s) * P/J), so that they are s of the side at most.
    """
    if any(result.group == "forbidden" and not result.passed for result in results):
        return 0.0
    sides = [[result for result in results if result.group == group] for group in ("subgoal", "interaction")]
    means = [_mean(side, judge_share) for side in sides if side]
    return sum(means) / len(means) if means else 0.0


def _mean(side: Sequence[CriterionResult], judge_share: float) -> float:
    by_judge = [result for result in side if result.kind == "judge"]
    by_predicate = [result for result in side if result.kind != "judge"]
    weight, held = _weights(by_predicate)
    if by_judge:
        judged, granted = _weights(by_judge)
        scale = min(1.0, judge_share / (1 - judge_share) * weight / judged)
        weight, held = weight + scale * judged, held + scale * granted
    return held / weight if weight else 0.0


def _weights(results: Sequence[CriterionResult]) -> tuple[float, float]:
    """Weight of all, and of those that hold."""
    return sum(result.weight for result in results), sum(result.weight * result.passed for result in results)


class _Scene:
    """One finished episode under the eyes of the criteria."""

    def __init__(
        self, task: Task, world: World, events: Sequence[Event], writes: Callable[[], Sequence[Change]]
    ) -> None:
        self.task, self.world, self.events, self._take = task, world, events, writes
        self._released: dict[str, int] = {}
        for index, event in enumerate(events):
            if event.kind == "release":
                self._released.setdefault(event.name, index)
        self._guessed: dict[str, int | None] = {}

    @cached_property
    def writes(self) -> Sequence[Change]:
        return self._take()

    def holds(self, criterion: Criterion) -> Verdict:
        match criterion:
            case WritesCriterion():
                return _written(criterion, self.writes)
            case AskCriterion():
                return self._ask(self.task.fact(criterion.fact))
            case OrderCriterion():
                return self._order(criterion)
            case TellCriterion():
                return self._tell(criterion)
            case CallCriterion():
                return self._call(criterion)
            case StateCriterion():
                rows = self.world.query(criterion.sql, criterion.values)
                return bool(rows), f"{len(rows)} row(s) match"
            case ForbidCriterion():
                held, evidence = self.holds(criterion.of)
                return not held, evidence
            case JudgeCriterion():
                return False, "not judged"

    def _call(self, criterion: CallCriterion) -> Verdict:
        matcher = MATCHERS[criterion.compare]
        evidence = f"{criterion.tool} was not called with {criterion.code or 'success'}"
        for event in self.events:
            # A write whose reply got lost is `ok` and yet has a code: it was done.
            fits = event.code == criterion.code or (event.ok and not criterion.code)
            if fits and event.kind == "call" and event.name == criterion.tool:
                held, evidence = matcher(criterion.arguments, event.arguments, self.world)
                if held:
                    return True, evidence
        return False, evidence

    def _order(self, criterion: OrderCriterion) -> Verdict:
        seen = False
        for event in self.events:
            if _fits(criterion.then, event) and not seen:
                return False, f"{event.kind} {event.name} in turn {event.turn} came first"
            seen = seen or _fits(criterion.first, event)
        return True, "in order"

    def _ask(self, fact: Fact) -> Verdict:
        release = self.released_at(fact)
        use = self.guessed_at(fact)
        if use is not None:
            return False, f"used in turn {self.events[use].turn} before it was told"
        if release is None:
            return False, "never asked for"
        return True, f"told in turn {self.events[release].turn}"

    def _tell(self, criterion: TellCriterion) -> Verdict:
        words = fold(" \n ".join(event.text for event in self.events if event.kind == "say"))
        accepted = list(criterion.any_of)
        if criterion.sql:
            accepted += [str(row[0]) for row in self.world.query(criterion.sql, criterion.values)]
        for wording in accepted:
            if says(words, wording):
                return True, f"said {wording!r}"
        return False, f"none of {accepted[:4]!r} was said"

    def released_at(self, fact: Fact) -> int | None:
        return self._released.get(fact.id)

    def guessed_at(self, fact: Fact) -> int | None:
        """Index of the first call that used the fact's value, or wrote any value in its place, untold."""
        if fact.id not in self._guessed:
            untold = enumerate(self.events[: self.released_at(fact)])
            calls = ((index, event) for index, event in untold if event.kind == "call" and event.by == "agent")
            uses = (index for index, event in calls if self._uses(event, fact))
            self._guessed[fact.id] = next(uses, None)
        return self._guessed[fact.id]

    def _uses(self, event: Event, fact: Fact) -> bool:
        tool = self.world.image.tools.get(event.name)
        writes = tool is not None and tool.spec.effect == "write"
        for name, value in event.arguments.items():
            place = f"{event.name}.{name}"
            if fact.used_in and place not in fact.used_in:
                continue
            if same(fact.value, value) or (writes and fact.used_in and event.ok):
                return True
        return False


def _written(criterion: WritesCriterion, writes: Sequence[Change]) -> Verdict:
    for pattern in criterion.required:
        if not any(_matches(pattern, change) for change in writes):
            return False, f"no {pattern.op or 'change'} of {pattern.table}"
    if criterion.allowed is not None:
        for change in writes:
            if not any(_matches(pattern, change) for pattern in criterion.allowed):
                return False, f"{change.op} of {change.table} {json.dumps(change.key)} is not allowed"
    most = criterion.most
    return most is None or len(writes) <= most, f"{len(writes)} change(s)"


def _matches(pattern: WritePattern, change: Change) -> bool:
    if pattern.table != change.table or (pattern.op and pattern.op != change.op):
        return False
    if pattern.columns is not None and not set(change.columns) <= set(pattern.columns):
        return False
    if any(not same(value, change.key.get(name)) for name, value in pattern.key.items()):
        return False
    news = {name: pair[1] for name, pair in change.columns.items()}
    return all(name in news and same(value, news[name]) for name, value in pattern.new.items())


def _fits(pattern: EventPattern, event: Event) -> bool:
    return event.kind == pattern.kind and event.ok and pattern.name in ("", event.name)


def _asking(scene: _Scene) -> Asking:
    needed = [fact for fact in scene.task.hidden() if not fact.default_ok and not fact.discoverable]
    over = sum(event.kind == "question" for event in scene.events)
    return Asking(
        hidden=len(needed),
        under_ask=sum(scene.released_at(fact) is None for fact in needed),
        over_ask=over,
        guess=sum(scene.guessed_at(fact) is not None for fact in needed),
    )
