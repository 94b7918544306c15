"""The right and wrong ways to play a task that `prove` plays; see there for what each kind must come to.

Data only: nothing here plays an episode. Seeded by the task, so that a proof can be had again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mocktrial.agents.scripted import PlanPlayer, truth
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Ask, Call, Confirm, Finish, FromFact, FromStep, GoldStep, Task, Value
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import same
from mocktrial.mocktools.world import World

MAX_WRONG_ROWS = 2  # other rows of a result that are tried in the place of the right one
_EXTRA_READS = 3


@dataclass(frozen=True)
class Variant:
    """One way to play a task. `steps` keep their numbers in the gold plan; None is a step left out."""

    kind: str
    name: str
    passes: bool
    steps: tuple[GoldStep | None, ...]
    facts: Mapping[str, Any]
    before: tuple[Call, ...] = ()  # calls made first, whose results nobody uses


def variants(task: Task, image: WorldImage) -> Iterator[Variant]:
    """Every way to play the task that its proof needs."""
    facts = truth(task)
    gold = task.gold
    yield Variant("gold", "the gold plan", True, gold, facts)
    yield Variant("nothing", "finishing at once", False, (Finish(finish="Done."),), facts)
    yield Variant("nothing", "the last words alone", False, gold[-1:], facts)
    for number, step in enumerate(gold):
        if isinstance(step, Call) and step.subgoal:
            without = (*gold[:number], None, *gold[number + 1 :])
            yield Variant("left-out", f"leaving out {step.call}", False, without, facts)
    yield from _wrong_values(task, image, facts)
    yield from _guesses(task, facts)
    yield from _forbidden(task, facts)
    reads = _harmless_reads(task, image)
    if reads:
        yield Variant("extra-reads", "harmless reads", True, gold, facts, reads)


def _wrong_values(task: Task, image: WorldImage, facts: Mapping[str, Any]) -> Iterator[Variant]:
    # A fact that only chooses a row stands in no argument: its wrong values are the other rows, below.
    calls = [step for step in task.gold if isinstance(step, Call)]
    spelled = {a.fact for call in calls for a in call.arguments.values() if isinstance(a, FromFact)}
    for fact in task.facts:
        for other in fact.alternatives if fact.id in spelled else ():
            name = f"{fact.id} = {other!r}"
            yield Variant("wrong-value", name, False, task.gold, {**facts, fact.id: other})
    results = _gold_results(task, image, facts)
    for number, step in enumerate(task.gold):
        if not isinstance(step, Call) or not step.subgoal:
            continue
        for name, argument in step.arguments.items():
            others: list[Value | FromStep | FromFact] = []
            if isinstance(argument, Value):
                others = [Value(value=value) for value in argument.alternatives]
            elif isinstance(argument, FromStep):
                others = list(_other_rows(argument, results))
            for other_argument in others:
                wrong = step.model_copy(update={"arguments": {**step.arguments, name: other_argument}})
                steps = (*task.gold[:number], wrong, *task.gold[number + 1 :])
                text = f"{step.call}.{name} = {other_argument.model_dump()}"
                yield Variant("wrong-value", text, False, steps, facts)


def _gold_results(task: Task, image: WorldImage, facts: Mapping[str, Any]) -> dict[int, Any]:
    player = PlanPlayer(task, facts)
    with World.open(image, task.seed) as world:
        for number, step in enumerate(task.gold):
            if isinstance(step, Call):
                given = {name: player.value(argument) for name, argument in step.arguments.items()}
                player.results[number] = world.call(step.call, given).value
    return player.results


def _other_rows(argument: FromStep, results: Mapping[int, Any]) -> Iterator[FromStep]:
    """The same column of other rows of the list that the argument was taken from."""
    head, _, rest = argument.path.partition(".")
    rows = results.get(argument.step)
    if head.isdigit() and isinstance(rows, list):
        wrong = [number for number in range(len(rows)) if number != int(head)]
        right = rows[int(head)]
        for number in [n for n in wrong if cell(rows[n], rest) != cell(right, rest)][:MAX_WRONG_ROWS]:
            yield FromStep(step=argument.step, path=f"{number}.{rest}")


def cell(row: Any, column: str) -> Any:
    """A column of one row of a result; None where there is none."""
    return row.get(column) if isinstance(row, dict) else None


def _guesses(task: Task, facts: Mapping[str, Any]) -> Iterator[Variant]:
    silent = tuple(None if isinstance(step, Ask) else step for step in task.gold)
    if silent == task.gold:
        return
    yield Variant("guess", "not asking, with the right values", False, silent, facts)
    wrong = {fact.id: fact.alternatives[0] for fact in task.hidden() if fact.alternatives}
    if wrong:
        yield Variant("guess", "not asking, with wrong values", False, silent, {**facts, **wrong})


def _forbidden(task: Task, facts: Mapping[str, Any]) -> Iterator[Variant]:
    if task.violation:
        yield Variant("forbidden", "a stray write", False, task.violation, facts)
    for number, step in enumerate(task.gold):
        if isinstance(step, Confirm):
            hasty = (*task.gold[:number], None, *task.gold[number + 1 :])
            yield Variant("forbidden", "no yes before the write", False, hasty, facts)


def _harmless_reads(task: Task, image: WorldImage) -> tuple[Call, ...]:
    """A few reads that succeed and use no hidden value, which would be a guess."""
    hidden = [fact.value for fact in task.hidden()]
    source = ArgumentSource(image.spec, derive(task.seed, "reads"))
    tools = [tool for tool in image.spec.tools() if tool.effect == "read"]
    reads: list[Call] = []
    with World.open(image, task.seed) as world:
        for number in range(4 * _EXTRA_READS if tools else 0):
            if len(reads) == _EXTRA_READS:
                break
            tool = tools[(task.seed + number) % len(tools)]
            given = source.draw(tool, strange=0.0)
            guesses = any(same(value, item) for value in hidden for item in given.values())
            if not guesses and world.call(tool.name, given).ok:
                reads.append(_literal(tool.name, given))
    return tuple(reads)


def _literal(tool: str, given: Mapping[str, Any]) -> Call:
    return Call(call=tool, arguments={name: Value(value=value) for name, value in given.items()})
