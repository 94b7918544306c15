"""`prove(task, image) -> Proof`: a task ships only if its grader tells right from wrong (invariant 7).

    gold         the gold plan passes
    at-start     no subgoal and no interaction holds before the first action
    nothing      doing nothing fails
    left-out     the gold plan without one subgoal's call fails, and so does each subgoal in one of these
    wrong-value  a write or a told answer made with another value that the world takes fails
    guess        not asking fails, whether the guesses are right or wrong
    forbidden    a stray write fails, and so does a write that wants a yes without one
    extra-reads  the gold plan with harmless reads before it passes

Every variant is an episode in the same environment that agents meet, graded by the same code. A variant
in which the environment itself breaks (`NoResult`) is a failure of the task.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

import apsw

from mocktrial.agents.scripted import PlanPlayer, truth
from mocktrial.envs.dataset import Proof
from mocktrial.envs.episode import Episode, Observation
from mocktrial.envs.rubric import AskCriterion
from mocktrial.envs.task import (
    Argument,
    Ask,
    Call,
    Confirm,
    Finish,
    FromFact,
    FromStep,
    Task,
)
from mocktrial.envs.trajectory import Grade
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.variants import Variant, cell, variants

_T = TypeVar("_T")


class _Persistent(PlanPlayer):
    """Takes the first row where a wrong value's result has no such row as the plan's: it still writes."""

    def value(self, argument: Argument) -> Any:
        found = super().value(argument)
        if found is None and isinstance(argument, FromStep):
            rows = self.results.get(argument.step)
            found = cell(rows[0], argument.path.partition(".")[2]) if isinstance(rows, list) and rows else None
        return found


def prove(task: Task, image: WorldImage) -> Proof:
    """Play every variant; the proof lists those that did not end as they must."""
    counts: Counter[str] = Counter()
    failures = _dangling(task)
    if failures:
        return Proof(task=task.id, task_hash=task.content_hash(), failures=tuple(failures))
    episode = Episode(task, image, agent="proof")
    try:
        held = _held_at_start(episode)
        counts["at-start"] = 1
        failures += [f"at-start: {name} holds before the first action" for name in held]
        unbroken = {criterion.id: None for criterion in task.rubric.subgoals}
        for variant in variants(task, image):
            counts[variant.kind] += 1
            grade = _play(episode, variant)
            if grade.success != variant.passes:
                failures.append(f"{variant.kind}: {variant.name} {'passes' if grade.success else 'fails'}")
            if variant.kind == "left-out":
                for result in grade.criteria:
                    unbroken.pop(result.id if not result.passed else "", None)
        failures += [f"left-out: {name} holds whichever call is left out" for name in unbroken]
        if task.rubric.forbidden and not counts["forbidden"]:
            failures.append("forbidden: no plan breaks it")
    except (NoResult, apsw.Error) as error:  # the environment broke, or a criterion's SQL
        failures.append(f"no-result: {error}")
    finally:
        episode.close()
    return Proof(task=task.id, task_hash=task.content_hash(), counts=dict(counts), failures=tuple(failures))


def _dangling(task: Task) -> list[str]:
    """References of the gold plan and the rubric to what is not there."""
    facts = {fact.id for fact in task.facts}
    named = [name for step in task.gold if isinstance(step, Ask) for name in step.ask]
    named += [item.fact for item in task.rubric.criteria() if isinstance(item, AskCriterion)]
    wrong = []
    for number, step in enumerate(task.gold):
        for argument in step.arguments.values() if isinstance(step, Call) else ():
            if isinstance(argument, FromFact):
                named.append(argument.fact)
            elif isinstance(argument, FromStep) and (
                argument.step >= number or not isinstance(task.gold[argument.step], Call)
            ):
                wrong.append(f"gold: step {number} refers to step {argument.step}, no earlier call")
    wrong += [f"gold: there is no fact {name!r}" for name in dict.fromkeys(named) if name not in facts]
    if not task.gold or not isinstance(task.gold[-1], Finish):
        wrong.append("gold: does not end with finish")
    return wrong


def _held_at_start(episode: Episode) -> list[str]:
    _drive(episode.reset())
    episode.finish("finished")
    grade = episode.trajectory().grade
    criteria = grade.criteria if grade else ()
    return [result.id for result in criteria if result.passed and result.group != "forbidden"]


def _play(episode: Episode, variant: Variant) -> Grade:
    player = _Persistent(episode.task, variant.facts)
    # It asks for a yes to the right thing and then does the wrong one: the user's no must not hide a blind grader.
    honest = PlanPlayer(episode.task, truth(episode.task), player.results)
    observation = _drive(episode.reset())
    for call in variant.before:
        observation = _drive(episode.step(player.message(call)))
    for number, step in enumerate(variant.steps):
        if observation.done:
            break
        if step is None:
            continue
        speaker = honest if isinstance(step, Confirm) else player
        observation = _drive(episode.step(speaker.message(step)))
        if isinstance(step, Call):
            player.results[number] = _result(observation)
    episode.finish("finished")
    grade = episode.trajectory().grade
    assert grade is not None, "a scored episode has a grade"
    return grade


def _result(observation: Observation) -> Any:
    return json.loads(observation.messages[0]["content"])


def _drive(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never waits for anything outside (the scripted user does not)."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    coroutine.close()
    raise NoResult("a proof waits for nothing outside", blame="bug")
