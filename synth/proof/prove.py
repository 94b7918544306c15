"""`prove(task, image) -> Proof`: a task ships only if its grader tells right from wrong (invariant 7).

    gold         the gold plan passes
    at-start     no subgoal and no interaction holds before the first action
    extra-reads  the gold plan with harmless reads before it passes
    reordered    the gold plan in another legal order passes
    all others   are mutants, each made by a named operator (`variants.OPERATORS`), and fail
    the end      of the gold plan fails with any one value wrong that the plan wrote, or in another row (`cells`)

A mutant counts where the world shows that it is one: not the messages of an earlier play, and not a success
with an end like the gold plan's. Two plays end alike when they made the same net changes, said the same words,
and were told, were given a yes and wrote in the same order; such a play is right, and no failure can hide behind
the rule, since a play that differs in any of these and passes is one. A task with fewer than `MIN_MUTANTS` does
not ship.

Every variant is an episode in the same environment that agents meet, graded by the same code. A guess is settled,
and its play over, at the first use of a value that was not told: no later act can mend that. A variant
in which the environment itself breaks (`NoResult`) is a failure of the task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import apsw

from mocktrial.agents.scripted import PlanPlayer, truth
from mocktrial.envs.proof import Proof
from mocktrial.envs.rubric import AskCriterion
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Ask, Call, Finish, FromFact, FromStep, Task
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.recalled import RecalledWorld
from mocktrial.mocktools.values import same
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.plan.stage import LATER, varies
from mocktrial.synth.plan.strays import Effect, calls_of, drawn, given_of
from mocktrial.synth.proof.cells import slips
from mocktrial.synth.proof.paraphrase import reordered
from mocktrial.synth.proof.rehearsal import Play, Rehearsal, failed
from mocktrial.synth.proof.variants import OPERATORS, Operator, Scene, Variant, stray_after

MIN_MUTANTS = 8
_WANTED = 10  # mutants, where generated writes can bring a task there
_EXTRA_READS = 3
_SPAM = 3  # tools that the agent calls which calls all
_STRAY_TRIES = 40  # generated writes, until enough of them change what the task leaves alone
_PLANNED = ("stray_write", "follow_order", "no_confirm")  # wrong however they end


def prove(task: Task, image: WorldImage) -> Proof:
    """Play every variant; the proof lists those that did not end as they must.

    Judge criteria are left out: predicates alone must tell right from wrong, so that no task hinges on a judge.
    """
    trial = _Trial(task.model_copy(update={"rubric": task.rubric.without_judges()}), image)
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
        self._seen: set[tuple[str, ...]] = set()  # what plays sent, of those that counted
        self._unbroken = {criterion.id: None for criterion in self.task.rubric.subgoals}
        self._writers = image.writers

    def run(self) -> None:
        unmet, rubric = self.stage.untouched(), self.task.rubric
        held = [item.id for item in (*rubric.subgoals, *rubric.interactions) if item.id not in unmet]
        self.counts["at-start"] = 1
        self.failures += [f"at-start: {name} holds before the first action" for name in held]
        reads = self._harmless_reads()
        gold = self.stage.play_gold()
        self.counts["gold"] = 1
        if not gold.success:
            self.failures.append("gold: the gold plan fails")
            return
        self._seen.add(gold.sent)
        scene = self._scene(gold)
        right = self._paraphrases(scene, reads)
        for variant in right:
            self._judge_right(variant, self.stage.play(variant, whole=True), gold)
        self._judge_mutants(_made_by(OPERATORS, scene), gold)
        self._judge_slips(gold)
        missing = max(0 if self._strays_already() else 1, _WANTED - self.made.total())
        strays = self._strays(gold, missing)
        if strays:
            self._judge_mutants(_made_by({"stray_after": stray_after}, replace(scene, strays=strays)), gold)
        self._conclude()

    def _scene(self, gold: Play) -> Scene:
        return Scene(
            self.task,
            truth(self.task),
            gold.results,
            writers=frozenset(tool.name for tool in self._writers),
            spam=self._drawn("write")[:_SPAM],
        )

    def _drawn(self, effect: Effect) -> tuple[Call, ...]:
        return calls_of(self.stage.image, effect, self.task.seed)

    def _strays_already(self) -> bool:
        """Whether the violation is a drawn write: one that a goal forbids by name does not show that others fail."""
        drawn_writes = self._drawn("write")
        tools = {call.call for call in drawn_writes}
        return any(
            isinstance(step, Call) and step.call in tools and step in drawn_writes for step in self.task.violation
        )

    def _paraphrases(self, scene: Scene, reads: tuple[Call, ...]) -> list[Variant]:
        found = []
        if reads:
            steps = (*((-1, call) for call in reads), *scene.gold)
            found.append(Variant("extra-reads", "harmless reads", steps, scene.facts))
        order = reordered(scene)
        if order:
            found.append(Variant("reordered", "another order of the gold plan", order, scene.facts))
        return found

    def _judge_right(self, variant: Variant, play: Play, gold: Play) -> None:
        if variant.kind == "reordered" and (play.results != gold.results or play.writes != gold.writes):
            return  # no legal order: some call gave something else
        self.counts[variant.kind] += 1
        if not play.success:
            self.failures.append(f"{variant.kind}: {variant.name} fails")

    def _judge_mutants(self, variants: Iterable[tuple[str, Variant]], gold: Play) -> None:
        """Each with its operator's name."""
        idle = not any(isinstance(step, Call) and step.subgoal for step in self.task.gold)
        for operator, variant in variants:
            shows = variant.kind == "left-out" or (variant.kind == "nothing" and idle)
            play = self.stage.play(variant, whole=shows and bool(self._unbroken))
            for name in play.unmet if shows else ():
                self._unbroken.pop(name, None)
            refused = variant.taken is not None and failed(play.results.get(variant.taken))
            alike = play.success and play.ending == gold.ending and operator not in _PLANNED
            if play.sent in self._seen or refused or alike:
                continue
            self._seen.add(play.sent)
            self.counts[variant.kind] += 1
            self.made[operator] += 1
            self.killed[operator] += not play.success
            if play.success:
                self.failures.append(f"{variant.kind}: {variant.name} passes")

    def _judge_slips(self, gold: Play) -> None:
        for slip in slips(self.stage.to_the_end(), gold.writes, self._twin(gold)):
            success = self.stage.succeeds_with(slip)
            if success is not None:
                self.counts["wrong-value"] += 1
                self.made[slip.operator] += 1
                self.killed[slip.operator] += not success
                if success:
                    self.failures.append(f"wrong-value: {slip.name} wrong in the end passes")

    def _twin(self, gold: Play) -> tuple[Change, ...]:
        """What the gold plan writes with another seed and later: the calls that the planner's own twin made."""
        image, deeds = self.stage.image, {deed.id: deed for deed in self.task.deeds}
        calls = [step.call for step in self.task.gold if isinstance(step, Call)]
        if not varies(image, [*calls, *(deed.tool for deed in self.task.deeds)]):
            return gold.writes
        player = PlanPlayer(self.task, truth(self.task))
        with RecalledWorld.open(image, self.task.seed + 1) as world:
            world.advance(world.now + LATER)
            for number, step in enumerate(self.task.gold):
                if isinstance(step, Call):
                    given = {name: player.value(argument) for name, argument in step.arguments.items()}
                    player.results[number] = world.call_parsed(step.call, given).value
                for name in step.does if isinstance(step, Ask) else ():
                    world.call_as_user(deeds[name].tool, deeds[name].arguments)
            return world.write_set()

    def _conclude(self) -> None:
        """What only all of the mutants together show."""
        self.failures += [f"left-out: {name} holds whichever call is left out" for name in self._unbroken]
        if self.task.rubric.forbidden and not self.counts["forbidden"]:
            self.failures.append("forbidden: no plan breaks it")
        if self.made.total() < MIN_MUTANTS:
            self.failures.append(f"mutants: only {self.made.total()}")

    def _harmless_reads(self) -> tuple[Call, ...]:
        """A few reads that succeed at the start and use no hidden value, which would be a guess."""
        hidden = [fact.value for fact in self.task.hidden()]
        faulty = {fault.tool for fault in self.task.faults}
        reads = (
            call
            for call in self._drawn("read")
            if call.call not in faulty
            and not any(same(value, item) for value in hidden for item in given_of(call).values())
        )
        return tuple(islice(reads, _EXTRA_READS))

    def _strays(self, gold: Play, count: int) -> tuple[Call, ...]:
        """Writes that the world takes after the gold plan, and that leave it otherwise than the plan did."""
        found: list[Call] = []
        if not count or not self._writers:
            return ()
        source = ArgumentSource(self.stage.image.spec, derive(self.task.seed, "proof"), self.stage.image.pools)
        for number in range(_STRAY_TRIES):
            if len(found) == count:
                break
            world = self.stage.to_the_end()
            call = drawn(source, self._writers[(self.task.seed + number) % len(self._writers)])
            if world.call(call.call, given_of(call)).ok and world.write_set() != gold.writes and call not in found:
                found.append(call)
        return tuple(found)


def _made_by(operators: Mapping[str, Operator], scene: Scene) -> Iterator[tuple[str, Variant]]:
    """What the operators make, each variant with its operator's name."""
    return ((name, variant) for name, operator in operators.items() for variant in operator(scene))


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
    asked = [name for step in task.gold if isinstance(step, Ask) for name in step.does]
    deeds = [deed.id for deed in task.deeds]
    wrong += [f"gold: there is no deed {name!r}" for name in dict.fromkeys(asked) if name not in deeds]
    wrong += [f"deeds: {name!r} is the id of a fact" for name in deeds if name in facts]
    if not task.gold or not isinstance(task.gold[-1], Finish):
        wrong.append("gold: does not end with finish")
    return wrong
