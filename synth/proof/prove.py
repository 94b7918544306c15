"""`prove(task, image) -> Proof`: a task ships only if its grader tells right from wrong (invariant 7).

    gold         the gold plan passes
    at-start     no subgoal and no interaction holds before the first action
    extra-reads  the gold plan with harmless reads before it passes
    reordered    the gold plan in another legal order passes
    all others   are mutants, each made by a named operator (`variants.OPERATORS`), and fail

A mutant counts where the world shows that it is one: not the messages of an earlier play, and not a success
with an end like the gold plan's. Two plays end alike when they made the same net changes, said the same words,
and were told, were given a yes and wrote in the same order; such a play is right, and no failure can hide behind
the rule, since a play that differs in any of these and passes is one. A task with fewer than `MIN_MUTANTS` does
not ship.

Every variant is an episode in the same environment that agents meet, graded by the same code. A variant
in which the environment itself breaks (`NoResult`) is a failure of the task.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import apsw

from mocktrial.agents.scripted import truth
from mocktrial.envs.proof import Proof
from mocktrial.envs.rubric import AskCriterion
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Ask, Call, Finish, FromFact, FromStep, Task, Value
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import ToolSpec
from mocktrial.mocktools.values import same
from mocktrial.synth.proof.paraphrase import reordered
from mocktrial.synth.proof.rehearsal import Play, Rehearsal
from mocktrial.synth.proof.variants import OPERATORS, Operator, Scene, Variant, stray_after

MIN_MUTANTS = 8
_SPARE = 6  # mutants drawn beyond those, since some turn out to be none
_EXTRA_READS = 3
_SPAM = 3  # tools that the agent calls which calls all
_STRAY_TRIES = 40  # generated writes, until enough of them change what the task leaves alone
_PLANNED = ("stray_write", "follow_order", "no_confirm")  # wrong however they end


def prove(task: Task, image: WorldImage) -> Proof:
    """Play every variant; the proof lists those that did not end as they must."""
    trial = _Trial(task, image)
    try:
        trial.failures += _dangling(task)
        if not trial.failures:
            trial.run()
    except (NoResult, apsw.Error) as error:  # the environment broke, or a criterion's SQL
        trial.failures = [f"no-result: {error}"]
    finally:
        trial.stage.close()
    return Proof(
        task=task.id,
        task_hash=task.content_hash(),
        counts=dict(trial.counts),
        mutants={name: (made, trial.killed[name]) for name, made in trial.made.items()},
        failures=tuple(trial.failures),
    )


class _Trial:
    """The proof of one task while it is under way."""

    def __init__(self, task: Task, image: WorldImage) -> None:
        self.task = task
        self.stage = Rehearsal(task, image)
        self.counts: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.failures: list[str] = []
        self._source = ArgumentSource(image.spec, derive(task.seed, "proof"), image.pools)
        self._readers = [tool for tool in image.spec.tools() if tool.effect == "read"]
        self._writers = [tool for tool in image.spec.tools() if tool.effect == "write"]

    def run(self) -> None:
        start = self.stage.untouched()
        held = [result.id for result in start.criteria if result.passed and result.group != "forbidden"]
        self.counts["at-start"] = 1
        self.failures += [f"at-start: {name} holds before the first action" for name in held]
        reads = self._harmless_reads()
        gold = self.stage.play_gold()
        self.counts["gold"] = 1
        if not gold.success:
            self.failures.append("gold: the gold plan fails")
            return
        scene = self._scene(gold)
        right = self._paraphrases(scene, reads)
        mutants = _made_by(OPERATORS, scene)
        count = max(1, MIN_MUTANTS + _SPARE - len(mutants))
        mutants += _made_by({"stray_after": stray_after}, replace(scene, strays=self._strays(gold, count)))
        plays = self.stage.play([*right, *mutants])
        for variant, play in zip(right, plays, strict=False):
            self._judge_right(variant, play, gold)
        self._judge_mutants(mutants, plays[len(right) :], gold)

    def _scene(self, gold: Play) -> Scene:
        chance = random.Random(derive(self.task.seed, "spam"))
        return Scene(
            self.task,
            truth(self.task),
            gold.results,
            writers=frozenset(tool.name for tool in self._writers),
            spam=tuple(self._drawn(tool) for tool in chance.sample(self._writers, min(_SPAM, len(self._writers)))),
        )

    def _paraphrases(self, scene: Scene, reads: tuple[Call, ...]) -> list[Variant]:
        found = []
        if reads:
            steps = (*((-1, call) for call in reads), *scene.gold)
            found.append(Variant("extra-reads", "", "harmless reads", steps, scene.facts))
        order = reordered(scene)
        if order:
            found.append(Variant("reordered", "", "another order of the gold plan", order, scene.facts))
        return found

    def _judge_right(self, variant: Variant, play: Play, gold: Play) -> None:
        if variant.kind == "reordered" and (play.results != gold.results or play.writes != gold.writes):
            return  # no legal order: some call gave something else
        self.counts[variant.kind] += 1
        if not play.success:
            self.failures.append(f"{variant.kind}: {variant.name} fails")

    def _judge_mutants(self, variants: Sequence[Variant], plays: Sequence[Play], gold: Play) -> None:
        idle = not any(isinstance(step, Call) and step.subgoal for step in self.task.gold)
        unbroken = {criterion.id: None for criterion in self.task.rubric.subgoals}
        seen = {gold.sent}
        for variant, play in zip(variants, plays, strict=True):
            if variant.kind == "left-out" or (variant.kind == "nothing" and idle):
                for name in play.unmet:
                    unbroken.pop(name, None)
            refused = variant.taken is not None and _failed(play.results.get(variant.taken))
            alike = play.success and play.ending == gold.ending and variant.operator not in _PLANNED
            if play.sent in seen or refused or alike:
                continue
            seen.add(play.sent)
            self.counts[variant.kind] += 1
            self.made[variant.operator] += 1
            self.killed[variant.operator] += not play.success
            if play.success:
                self.failures.append(f"{variant.kind}: {variant.name} passes")
        self.failures += [f"left-out: {name} holds whichever call is left out" for name in unbroken]
        if self.task.rubric.forbidden and not self.counts["forbidden"]:
            self.failures.append("forbidden: no plan breaks it")
        if self.made.total() < MIN_MUTANTS:
            self.failures.append(f"mutants: only {self.made.total()}")

    def _harmless_reads(self) -> tuple[Call, ...]:
        """A few reads that succeed at the start and use no hidden value, which would be a guess."""
        hidden = [fact.value for fact in self.task.hidden()]
        faulty = {fault.tool for fault in self.task.faults}
        tools = [tool for tool in self._readers if tool.name not in faulty]
        reads: list[Call] = []
        for number in range(4 * _EXTRA_READS if tools else 0):
            if len(reads) == _EXTRA_READS:
                break
            call = self._drawn(tools[(self.task.seed + number) % len(tools)])
            given = _given(call)
            guesses = any(same(value, item) for value in hidden for item in given.values())
            if not guesses and self.stage.episode.world.call(call.call, given).ok:
                reads.append(call)
        return tuple(reads)

    def _strays(self, gold: Play, count: int) -> tuple[Call, ...]:
        """Writes that the world takes after the gold plan, and that leave it otherwise than the plan did."""
        found: list[Call] = []
        world = self.stage.episode.world
        end = world.mark()
        for number in range(_STRAY_TRIES if self._writers else 0):
            if len(found) == count:
                break
            call = self._drawn(self._writers[(self.task.seed + number) % len(self._writers)])
            if world.call(call.call, _given(call)).ok and world.write_set() != gold.writes and call not in found:
                found.append(call)
            world.rewind(end)
        return tuple(found)

    def _drawn(self, tool: ToolSpec) -> Call:
        given = self._source.draw(tool, strange=0.0)
        return Call(call=tool.name, arguments={name: Value(value=value) for name, value in given.items()})


def _made_by(operators: Mapping[str, Operator], scene: Scene) -> list[Variant]:
    """What the operators make, each variant with its operator's name."""
    return [replace(variant, operator=name) for name, operator in operators.items() for variant in operator(scene)]


def _failed(result: Any) -> bool:
    return result is None or (isinstance(result, dict) and isinstance(result.get("error"), dict))


def _given(call: Call) -> dict[str, Any]:
    return {name: argument.value for name, argument in call.arguments.items() if isinstance(argument, Value)}


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
