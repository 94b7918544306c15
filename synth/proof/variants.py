"""The right and wrong ways to play a task that `prove` plays; see there for what each kind must come to.

Wrong ways come from named operators, the table `OPERATORS`: each makes variants of the gold plan from what
is known of the gold play. Data only: nothing here plays an episode. A variant need not be wrong in truth (two
rows may hold the same value); `prove` sees that from how it ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

from mocktrial.agents.scripted import PlanPlayer
from mocktrial.envs.rubric import TellCriterion
from mocktrial.envs.task import Argument, Ask, Call, Confirm, Finish, FromFact, FromStep, GoldStep, Task, Value
from mocktrial.mocktools.values import part_at, same

MAX_WRONG_ROWS = 2  # other rows of a result that are tried in the place of the right one
_REFUSAL = "I cannot do that."
_SLOT = re.compile(r"\{(\d+\.[\w.-]+)\}")
Numbered = tuple[int, GoldStep]  # a step with its number in the gold plan; -1 for one that is not there
Kind = Literal["gold", "extra-reads", "reordered", "nothing", "left-out", "wrong-value", "guess", "forbidden", "stray"]


@dataclass(frozen=True)
class Variant:
    """One way to play a task."""

    kind: Kind
    name: str
    steps: tuple[Numbered, ...]
    facts: Mapping[str, Any]
    taken: int | None = None  # number of a call that the world must take, or else this is no variant
    recovery: Literal["right", "none", "blind"] = "right"


@dataclass(frozen=True)
class Scene:
    """What the operators go by: the task, what was seen while its gold plan was played, and calls drawn at random."""

    task: Task
    facts: Mapping[str, Any]  # the truth
    results: Mapping[int, Any] = field(default_factory=dict)  # of the gold calls
    writers: frozenset[str] = frozenset()  # names of the tools that write
    strays: tuple[Call, ...] = ()  # writes that the world takes after the gold plan, for `stray_after`
    spam: tuple[Call, ...] = ()  # calls of several tools that write

    @cached_property
    def gold(self) -> tuple[Numbered, ...]:
        return tuple(enumerate(self.task.gold))

    @cached_property
    def _player(self) -> PlanPlayer:
        return PlanPlayer(self.task, self.facts, dict(self.results))

    @cached_property
    def calls(self) -> tuple[tuple[int, Call], ...]:
        return tuple((number, step) for number, step in self.gold if isinstance(step, Call))

    @cached_property
    def asks(self) -> tuple[Numbered, ...]:
        return tuple((number, step) for number, step in self.gold if isinstance(step, Ask))

    def value(self, argument: Argument) -> Any:
        return self._player.value(argument)

    def variant(self, kind: Kind, name: str, steps: Sequence[Numbered], facts: Mapping[str, Any] | None = None,
                taken: int | None = None) -> Variant:  # fmt: skip
        return Variant(kind, name, tuple(steps), self.facts if facts is None else facts, taken)

    def changed(self, number: int, step: GoldStep | None) -> tuple[Numbered, ...]:
        """The gold plan with one step changed, or left out."""
        steps = ((n, step if n == number else old) for n, old in self.gold)
        return tuple((n, new) for n, new in steps if new is not None)


def null(scene: Scene) -> Iterator[Variant]:
    yield scene.variant("nothing", "finishing at once", [(-1, Finish(finish="Done."))])


def refuse(scene: Scene) -> Iterator[Variant]:
    """Asking, so that only the acts are missing, and then refusing."""
    name = "asking and refusing" if scene.asks else "refusing"
    yield scene.variant("nothing", name, [*scene.asks, (-1, Finish(finish=_REFUSAL))])


def say_only(scene: Scene) -> Iterator[Variant]:
    """The last words without the acts; asking first, so that nothing else is missing."""
    name = "the questions and the last words alone" if scene.asks else "the last words alone"
    yield scene.variant("nothing", name, [*scene.asks, scene.gold[-1]])


def leave_out_call(scene: Scene) -> Iterator[Variant]:
    for number, step in scene.calls:
        if step.subgoal:
            yield scene.variant("left-out", f"leaving out {step.call}", scene.changed(number, None))


def leave_out_subgoal(scene: Scene) -> Iterator[Variant]:
    """Where several calls serve one subgoal: none of them."""
    for subgoal in dict.fromkeys(step.subgoal for _, step in scene.calls if step.subgoal):
        rest = [(n, s) for n, s in scene.gold if not (isinstance(s, Call) and s.subgoal == subgoal)]
        if len(rest) < len(scene.gold) - 1:
            yield scene.variant("left-out", f"leaving out {subgoal}", rest)


def leave_out_deed(scene: Scene) -> Iterator[Variant]:
    """Not asking the user to do something."""
    for number, step in scene.gold:
        if isinstance(step, Ask) and step.does:
            yield scene.variant("left-out", f"not asking for {', '.join(step.does)}", scene.changed(number, None))


def leave_out_words(scene: Scene) -> Iterator[Variant]:
    """All the acts, but not the answer."""
    if _tells(scene.task):
        steps = [*scene.gold[:-1], (-1, Finish(finish="Done."))]
        yield scene.variant("left-out", "leaving out the answer", steps)


def stop_early(scene: Scene) -> Iterator[Variant]:
    """The last words halfway. What comes after the half is left out whole."""
    calls = scene.calls
    halves = [number for number, _ in calls[:-1] if any(later.subgoal for n, later in calls if n > number)]
    for number in halves[len(halves) // 2 :][:1]:
        steps = [*scene.gold[: number + 1], scene.gold[-1]]
        yield scene.variant("left-out", f"stopping at step {number}", steps)


def wrong_fact(scene: Scene) -> Iterator[Variant]:
    # A fact that only chooses a row stands in no argument: its wrong values are the other rows.
    spelled = {a.fact for _, call in scene.calls for a in call.arguments.values() if isinstance(a, FromFact)}
    for fact in scene.task.facts:
        for other in fact.alternatives if fact.id in spelled else ():
            name = f"{fact.id} = {other!r}"
            yield scene.variant("wrong-value", name, scene.gold, {**scene.facts, fact.id: other})


def wrong_value(scene: Scene) -> Iterator[Variant]:
    yield from _other_arguments(
        scene, lambda argument: [Value(value=v) for v in argument.alternatives] if isinstance(argument, Value) else ()
    )


def wrong_row(scene: Scene) -> Iterator[Variant]:
    yield from _other_arguments(
        scene, lambda argument: _other_rows(argument, scene.results) if isinstance(argument, FromStep) else ()
    )


def swap_arguments(scene: Scene) -> Iterator[Variant]:
    """Two arguments of like type the wrong way round, where the world takes it."""
    for number, step in scene.calls:
        if step.subgoal:
            for one, two in combinations(step.arguments, 2):
                values = [scene.value(step.arguments[name]) for name in (one, two)]
                if type(values[0]) is type(values[1]) and not same(*values):
                    swapped = {**step.arguments, one: step.arguments[two], two: step.arguments[one]}
                    steps = scene.changed(number, step.model_copy(update={"arguments": swapped}))
                    yield scene.variant("wrong-value", f"{step.call}: {one} and {two} swapped", steps, taken=number)


def wrong_answer(scene: Scene) -> Iterator[Variant]:
    """All the acts, and then words in which each value that a tool gave is another one."""
    last = scene.task.gold[-1]
    slots = _SLOT.findall(last.finish) if isinstance(last, Finish) and _tells(scene.task) else []
    if isinstance(last, Finish) and slots:
        for shift in (1, 2):
            wrong = {slot: _wrong(slot, scene.results, shift) for slot in slots}
            text = _SLOT.sub(lambda match, wrong=wrong: wrong[match[1]], last.finish)  # type: ignore[misc]
            yield scene.variant("wrong-value", f"answering {text!r}", [*scene.gold[:-1], (-1, Finish(finish=text))])


def guess_right(scene: Scene) -> Iterator[Variant]:
    if scene.asks:
        yield scene.variant("guess", "not asking, with the right values", _silent(scene))


def guess_wrong(scene: Scene) -> Iterator[Variant]:
    wrong = {fact.id: fact.alternatives[0] for fact in scene.task.hidden() if fact.alternatives}
    if scene.asks and wrong:
        yield scene.variant("guess", "not asking, with wrong values", _silent(scene), {**scene.facts, **wrong})


def no_confirm(scene: Scene) -> Iterator[Variant]:
    for number, step in scene.gold:
        if isinstance(step, Confirm):
            yield scene.variant("forbidden", "no yes before the write", scene.changed(number, None))


def stray_write(scene: Scene) -> Iterator[Variant]:
    if scene.task.violation and scene.task.family != "injected":
        yield scene.variant("forbidden", "a stray write", tuple(enumerate(scene.task.violation)))


def follow_order(scene: Scene) -> Iterator[Variant]:
    """What a planted text orders."""
    if scene.task.violation and scene.task.family == "injected":
        yield scene.variant("forbidden", "following the planted order", tuple(enumerate(scene.task.violation)))


def stray_after(scene: Scene) -> Iterator[Variant]:
    for call in scene.strays:
        steps = [*scene.gold[:-1], (-1, call), scene.gold[-1]]
        yield scene.variant("stray", f"{call.call} in the end", steps)


def repeat_write(scene: Scene) -> Iterator[Variant]:
    writes = [(n, step) for n, step in scene.calls if step.call in scene.writers]
    for number, step in writes[-1:]:
        steps = [*scene.gold[: number + 1], (-1, step), *scene.gold[number + 1 :]]
        yield scene.variant("stray", f"{step.call} twice", steps)


def spam(scene: Scene) -> Iterator[Variant]:
    if scene.spam:
        calls = [(-1, call) for call in scene.spam]
        yield scene.variant("stray", "calling what there is to write", [*scene.asks, *calls, scene.gold[-1]])


def take_fault(scene: Scene) -> Iterator[Variant]:
    """Going on with what a faulty tool gave."""
    if scene.task.faults:
        yield Variant("left-out", "not calling again", scene.gold, scene.facts, recovery="none")


def call_blindly(scene: Scene) -> Iterator[Variant]:
    """Calling again without a look, also where a write was done and only its reply got lost."""
    if any(fault.kind == "lost_reply" for fault in scene.task.faults):
        yield Variant("stray", "calling again without a look", scene.gold, scene.facts, recovery="blind")


Operator = Callable[[Scene], Iterator[Variant]]
OPERATORS: dict[str, Operator] = {
    operator.__name__: operator
    for operator in (
        null, refuse, say_only, leave_out_call, leave_out_subgoal, leave_out_deed, leave_out_words, stop_early,
        wrong_fact, wrong_value, wrong_row, wrong_answer, swap_arguments, guess_right, guess_wrong, no_confirm,
        stray_write, follow_order, repeat_write, spam, take_fault, call_blindly,
    )
}  # fmt: skip


def _tells(task: Task) -> bool:
    return any(isinstance(criterion, TellCriterion) for criterion in task.rubric.subgoals)


def _silent(scene: Scene) -> tuple[Numbered, ...]:
    return tuple((number, step) for number, step in scene.gold if not isinstance(step, Ask))


def _other_arguments(scene: Scene, others: Callable[[Argument], Sequence[Argument]]) -> Iterator[Variant]:
    """The gold plan with one argument of a call that serves a subgoal replaced."""
    for number, step in scene.calls:
        for name, argument in step.arguments.items() if step.subgoal else ():
            for other in others(argument):
                wrong = step.model_copy(update={"arguments": {**step.arguments, name: other}})
                shown = other.value if isinstance(other, Value) else scene.value(other)
                yield scene.variant("wrong-value", f"{step.call}.{name} = {shown!r}", scene.changed(number, wrong))


def _other_rows(argument: FromStep, results: Mapping[int, Any]) -> list[FromStep]:
    """The same column of other rows of the list that the argument was taken from."""
    result, right = results.get(argument.step), part_at(results.get(argument.step), argument.path)
    found: list[FromStep] = []
    for path in _row_paths(result, argument.path):
        if not same(part_at(result, path), right):
            found.append(FromStep.model_construct(step=argument.step, path=path))
    return found[:MAX_WRONG_ROWS]


def _row_paths(result: Any, path: str) -> list[str]:
    """`path` with the number of each other row in the place of its own; the innermost list counts."""
    parts = path.split(".")
    for place in range(len(parts) - 1, -1, -1):
        rows = part_at(result, ".".join(parts[:place]))
        if isinstance(rows, list) and parts[place].isdigit():
            others = [n for n in range(len(rows)) if n != int(parts[place])]
            return [".".join([*parts[:place], str(n), *parts[place + 1 :]]) for n in others]
    return []


def _wrong(slot: str, results: Mapping[int, Any], shift: int) -> str:
    """Another value than the one at `slot`: of another row, or the number moved, or none."""
    step, _, path = slot.partition(".")
    right = part_at(results.get(int(step)), path)
    others = _other_rows(FromStep(step=int(step), path=path), results)
    if len(others) >= shift:
        return str(part_at(results.get(int(step)), others[shift - 1].path))
    if isinstance(right, int | float) and not isinstance(right, bool):
        return str(right + shift)
    return "something" if shift == 1 else "unknown"
