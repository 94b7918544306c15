"""A unit: one world of a source with its proved tasks, made from (seed, number) alone.

    make_unit(source, number, seed, per_world) -> Unit

So units can be made in any order, on any machine, and come out the same. A world that does not compile or
breaks its contract is dropped whole, with the reason; so is a draft that cannot be planned, repeats another
of the unit or fails its proof. What repeats across units is the business of `produce`.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from mocktrial.envs.dataset import Proof
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.blueprint import Blueprint, BlueprintSource
from mocktrial.synth.dedup import Duplicates, sample_of
from mocktrial.synth.goals import Goal
from mocktrial.synth.planning import Unplannable
from mocktrial.synth.prove import prove
from mocktrial.synth.rows import make_world
from mocktrial.synth.tasks import make_task

TEST_SHARE = 4  # one group in so many is for testing
_PATIENCE = 6  # drafts in a row that a goal may lose before it is closed
_CHECK_ROUNDS = 5  # calls of each tool on generated arguments, a world
_ID_ROOM = 58  # characters of a task's id before its number


@dataclass(frozen=True)
class Unit:
    number: int
    image: WorldImage | None  # None: the world itself was dropped
    pairs: tuple[tuple[Task, Proof], ...]
    dropped: dict[str, int]  # drafts that did not become tasks, by reason

    @property
    def spec(self) -> WorldSpec | None:
        return self.image.spec if self.image else None


def make_unit(
    source: BlueprintSource,
    number: int,
    seed: int,
    per_world: int,
    *,
    gap: bool = True,
    max_calls: int | None = None,
) -> Unit:
    """World `number` of `source` with up to `per_world` proved tasks, spread over its goals.

    gap: whether tasks hide facts; without, the same drafts tell all. max_calls: of a gold plan at most.
    """
    dropped: Counter[str] = Counter()
    try:
        blueprint = source.blueprint(number)
        image = compile_world(make_world(blueprint, number, seed))
    except SpecError as error:
        return Unit(number, None, (), {f"world: {error}"[:120]: 1})
    problems = check_world(image.spec, rounds=_CHECK_ROUNDS, seed=derive(seed, "check", number)).problems
    if problems:
        return Unit(number, None, (), {f"world: {problems[0].rule}": 1})
    maker = _Maker(blueprint, image, number, seed, gap, max_calls, dropped)
    pairs = tuple(itertools.islice(maker.draw(), per_world))
    return Unit(number, image, pairs, dict(sorted(dropped.items())))


def split_of(seed: int, task: Task) -> str:
    """A quarter is for testing. One wish in one world never parts, however it is worded or hidden."""
    return "train" if derive(seed, "split", task.world, task.goal) % TEST_SHARE else "test"


class _Maker:
    """Draws tasks, taking turns between kinds of goals and, within a kind, between goals."""

    def __init__(
        self, blueprint: Blueprint, image: WorldImage, number: int, seed: int,
        gap: bool, max_calls: int | None, dropped: Counter[str],
    ) -> None:  # fmt: skip
        self.blueprint, self.image, self.number, self.seed = blueprint, image, number, seed
        self.gap, self.max_calls, self.dropped = gap, max_calls, dropped
        self.drafts: Counter[str] = Counter()
        self.taken = Duplicates()
        kinds: dict[tuple[str, int], deque[Goal]] = {}
        for goal in blueprint.goals.goals:
            if max_calls is None or goal.difficulty <= max_calls:
                kinds.setdefault(_kind(goal), deque()).append(goal)
        self.kinds = deque(kinds[kind] for kind in sorted(kinds))
        self.kinds.rotate(-number)  # so that a short last round does not always leave out the same kinds

    def draw(self) -> Iterator[tuple[Task, Proof]]:
        serial = 0
        while self.kinds:
            goals = self.kinds.popleft()
            pair = self._of_kind(goals, serial)
            if pair:
                self.kinds.append(goals)
                serial += 1
                yield pair

    def _of_kind(self, goals: deque[Goal], serial: int) -> tuple[Task, Proof] | None:
        """A task of the next goal that still gives one; None when all of them are closed."""
        while goals:
            for _ in range(_PATIENCE):
                pair = self._draft(goals[0], serial)
                if not isinstance(pair, str):
                    goals.rotate(-1)
                    return pair
                self.dropped[pair] += 1
            goals.popleft()
        return None

    def _draft(self, goal: Goal, serial: int) -> tuple[Task, Proof] | str:
        """The next draft of a goal, proved; or why it is none."""
        number = self.drafts[goal.id]
        self.drafts[goal.id] += 1
        seed = derive(self.seed, "task", self.number, goal.id, number)
        try:
            task = self._task(goal, serial, seed)
        except Unplannable as error:
            return error.reason.removeprefix(f"{goal.id}: ")
        if self.max_calls is not None and task.difficulty > self.max_calls:
            return "too many calls"
        repeats = self.taken.take(sample_of(task))  # before the proof, which costs more
        if repeats:
            return f"{repeats[0]} duplicate"
        proof = prove(task, self.image)
        if not proof.ok:
            return f"proof: {proof.failures[0].split(':')[0]}"
        return task, proof

    def _task(self, goal: Goal, serial: int, seed: int) -> Task:
        blueprint, name = self.blueprint, self.image.spec.name
        task = make_task(
            goal, self.image, domain=blueprint.name, personas=blueprint.goals.personas, seed=seed, gap=self.gap
        )
        changed = {"id": f"{f'{name}-{goal.id}'[:_ID_ROOM]}-{serial}", "split": split_of(self.seed, task)}
        return task.model_copy(update=changed)


def _kind(goal: Goal) -> tuple[str, int]:
    return goal.family, goal.difficulty
