"""A unit: one world of a source with its proved tasks, made from (seed, number) alone.

    make_unit(source, number, seed, per_world) -> Unit

So units can be made in any order, on any machine, and come out the same. A world that does not compile or
breaks its contract is dropped whole, with the reason; so is a draft that cannot be planned, repeats another
of the unit or fails its proof. What repeats across units is the business of `produce`. `Style` says who speaks
and what is disguised; a `Reworder` has a model reword what was made, and what it changed is proved again.
"""

from __future__ import annotations

import gc
import itertools
import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from mocktrial.envs.dataset import Proof
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Persona, Task
from mocktrial.mocktools.check import check_image
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.audit.dedup import Duplicates, Sample, sample_of
from mocktrial.synth.audit.leaks import leaks, static_texts
from mocktrial.synth.blueprint import Blueprint, BlueprintSource
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.disguise import reword, scramble
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.personas import Personas
from mocktrial.synth.plan.planning import Unplannable
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.toolset import distract, trim

TEST_SHARE = 4  # one group in so many is for testing
_Made: TypeAlias = tuple[Task, Proof, Sample]
Kind: TypeAlias = tuple[str, int, str]  # family, calls, and why the agent must ask

_PATIENCE = 6  # drafts in a row that a goal may lose before it is closed
_HOPELESS = (
    "no fact that must be asked for",
    "no row to bind",
    "no forbidden write found",
)  # seldom got over in a world
_HOPE = 2  # drafts that a goal may lose so before its first task
_CHECK_ROUNDS = 5  # calls of each tool on generated arguments, a world
_ID_ROOM = 58  # characters of a task's id before its number
_OFFER = 4  # a donor world for so many foreign tools
_COLLECTED_AT = 20_000  # containers made and not gone, a few megabytes
_DONORS = 2**10  # worlds of a kit that a donor is chosen from
_MOST_DONORS = 24  # their tables, 125 at most, leave room for a world's own below the limit
MOST_DISTRACTORS = 500  # of the donors' tools a world takes 700 or more: in the others names or tables clash


@dataclass(frozen=True)
class Style:
    """Who speaks, and what is disguised (`disguise`). Part of the recipe.

    voices: personas of their own speak; without, the goals' personas in the goals' words.
    personas: those that speak, in turn; drawn by seed when empty. max_tools: of a world's own at most; 0 = all.
    distractors: foreign tools in every world. Raises `UsageError` for more than every world is sure to get.
    """

    voices: bool = False
    personas: tuple[Persona, ...] = ()
    max_tools: int = 0
    distractors: int = 0
    scramble: bool = False
    reword: bool = False

    def __post_init__(self) -> None:
        if self.distractors > MOST_DISTRACTORS:
            raise UsageError(
                f"{self.distractors} distractors are more than the kits' worlds have to give",
                hint=f"ask for {MOST_DISTRACTORS} at most",
            )

    def speaker(self, seed: int, task: int, draft: int, roles: Sequence[str]) -> Persona | None:
        """Who asks for task number `task`: the next of the list, or one drawn by `draft`, the draft's own seed,
        so that a task and its twin of the control set have one speaker."""
        if not self.voices:
            return None
        if self.personas:
            return self.personas[task % len(self.personas)]
        return Personas(seed).persona(draft, roles)

    def disguised(self, blueprint: Blueprint, seed: int, max_calls: int | None = None) -> Blueprint:
        """The blueprint with its knobs turned, in the order in which they work on one another's results.

        max_calls: of the goals that are kept where tools are left out. Raises `SpecError` where none is.
        """
        if self.max_tools:
            blueprint = trim(blueprint, self.max_tools, seed, max_calls)
        if self.distractors:
            blueprint = distract(blueprint, self._donors(seed), self.distractors, seed)
        if self.reword:
            blueprint = reword(blueprint, seed)
        return scramble(blueprint, seed) if self.scramble else blueprint

    def _donors(self, seed: int) -> list[Blueprint]:
        """Worlds of different kits, whatever the source is."""
        kits, chance = Composer(seed), random.Random(derive(seed, "donors"))
        chosen = chance.sample(range(len(kits.names)), min(_MOST_DONORS, 2 + self.distractors // _OFFER))
        return [kits.blueprint(kit + chance.randrange(_DONORS) * len(kits.names)) for kit in chosen]


class Reworder(Protocol):
    """A model that rewords instructions: tasks in their order, and how it went, by reason."""

    @property
    def name(self) -> str: ...

    def __call__(self, tasks: Sequence[Task]) -> tuple[list[Task], dict[str, int]]: ...


@dataclass(frozen=True)
class Unit:
    number: int
    image: WorldImage | None  # None: the world itself was dropped
    pairs: tuple[tuple[Task, Proof], ...]
    samples: tuple[Sample, ...]  # of the tasks
    dropped: dict[str, int]  # drafts that did not become tasks, by reason
    reworded: dict[str, int] = field(default_factory=dict)  # tasks that a model reworded, or why not

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
    style: Style = Style(),
    reworder: Reworder | None = None,
) -> Unit:
    """World `number` of `source` with up to `per_world` proved tasks, spread over its goals.

    gap: whether tasks hide facts; without, the same drafts tell all. max_calls: of a gold plan at most.
    """
    with _few_collections():
        return _made(source, number, seed, per_world, gap, max_calls, style, reworder)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Python looks for cycles at every 700th new container. Here are few, and to look takes a twentieth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECTED_AT, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _made(
    source: BlueprintSource, number: int, seed: int, per_world: int,
    gap: bool, max_calls: int | None, style: Style, reworder: Reworder | None,
) -> Unit:  # fmt: skip
    dropped: Counter[str] = Counter()
    try:
        blueprint = style.disguised(source.blueprint(number), derive(seed, "disguise", number), max_calls)
        image = compile_world(make_world(blueprint, number, seed))
    except SpecError as error:
        return Unit(number, None, (), (), {f"world: {error}"[:120]: 1})
    problems = check_image(image, rounds=_CHECK_ROUNDS, seed=derive(seed, "check", number)).problems
    if problems:
        return Unit(number, None, (), (), {f"world: {problems[0].rule}": 1})
    speaker = _Speaker(style, blueprint, seed, number * per_world)
    maker = _Maker(blueprint, image, number, seed, gap, max_calls, speaker, dropped)
    made = tuple(itertools.islice(maker.draw(), per_world))
    pairs, samples = tuple((task, proof) for task, proof, _ in made), tuple(sample for *_, sample in made)
    reworded: dict[str, int] = {}
    if reworder and pairs:
        tasks, reworded = reworder([task for task, _ in pairs])
        pairs = _proved_again(pairs, tasks, image)
        samples = tuple(sample_of(task) for task, _ in pairs)
    return Unit(number, image, pairs, samples, dict(sorted(dropped.items())), dict(sorted(reworded.items())))


def split_of(seed: int, task: Task) -> str:
    """A quarter is for testing. One wish in one world never parts, however it is worded or hidden."""
    return "train" if derive(seed, "split", task.world, task.goal) % TEST_SHARE else "test"


def _proved_again(
    pairs: Sequence[tuple[Task, Proof]], tasks: Sequence[Task], image: WorldImage
) -> tuple[tuple[Task, Proof], ...]:
    """The tasks in their new words where these prove themselves, else as they were."""
    found = []
    for (old, proof), new in zip(pairs, tasks, strict=True):
        again = prove(new, image) if new != old else proof
        found.append((new, again) if again.ok else (old, proof))
    return tuple(found)


@dataclass(frozen=True)
class _Speaker:
    style: Style
    blueprint: Blueprint
    seed: int
    first: int  # number of the unit's first task

    def __call__(self, serial: int, draft: int) -> Persona | None:
        roles = [persona.occupation for persona in self.blueprint.goals.personas if persona.occupation]
        return self.style.speaker(self.seed, self.first + serial, draft, roles)


class _Maker:
    """Draws tasks, taking turns between kinds of goals and, within a kind, between goals."""

    def __init__(
        self, blueprint: Blueprint, image: WorldImage, number: int, seed: int,
        gap: bool, max_calls: int | None, speaker: _Speaker, dropped: Counter[str],
    ) -> None:  # fmt: skip
        self.blueprint, self.image, self.number, self.seed = blueprint, image, number, seed
        self.gap, self.max_calls, self.speaker, self.dropped = gap, max_calls, speaker, dropped
        self.drafts: Counter[str] = Counter()
        self.given: set[str] = set()  # goals that gave a task
        self.taken = Duplicates()
        self.texts = static_texts(image.spec)
        kinds: dict[Kind, deque[Goal]] = {}
        for goal in blueprint.goals.goals:
            if max_calls is None or goal.difficulty <= max_calls:
                kinds.setdefault(_kind(goal), deque()).append(goal)
        self.kinds = deque(kinds[kind] for kind in _interleaved(sorted(kinds)))
        self.kinds.rotate(-number)  # so that a short last round does not always leave out the same kinds

    def draw(self) -> Iterator[_Made]:
        serial = 0
        while self.kinds:
            goals = self.kinds.popleft()
            made = self._of_kind(goals, serial)
            if made:
                self.kinds.append(goals)
                serial += 1
                yield made

    def _of_kind(self, goals: deque[Goal], serial: int) -> _Made | None:
        """A task of the next goal that still gives one; None when all of them are closed."""
        while goals:
            hopeless = 0
            for _ in range(_PATIENCE):
                made = self._draft(goals[0], serial)
                if not isinstance(made, str):
                    self.given.add(goals[0].id)
                    goals.rotate(-1)
                    return made
                self.dropped[made] += 1
                hopeless += made in _HOPELESS
                if hopeless == _HOPE and goals[0].id not in self.given:
                    break
            goals.popleft()
        return None

    def _draft(self, goal: Goal, serial: int) -> _Made | str:
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
        if leaks(task, self.texts):
            return "a text tells what is hidden"
        sample = sample_of(task)
        repeats = self.taken.take(sample)  # before the proof, which costs more
        if repeats:
            return f"{repeats[0]} duplicate"
        proof = prove(task, self.image)
        if not proof.ok:
            return f"proof: {proof.failures[0].split(':')[0]}"
        return task, proof, sample

    def _task(self, goal: Goal, serial: int, seed: int) -> Task:
        blueprint, name = self.blueprint, self.image.spec.name
        task = make_task(
            goal, self.image, domain=blueprint.name, personas=blueprint.goals.personas, seed=seed, gap=self.gap,
            speaker=lambda: self.speaker(serial, seed), known=self.taken.knows,
        )  # fmt: skip
        changed = {"id": f"{f'{name}-{goal.id}'[:_ID_ROOM]}-{serial}", "split": split_of(self.seed, task)}
        return task.model_copy(update=changed)


def _interleaved(kinds: list[Kind]) -> list[Kind]:
    """Each family's kinds evenly through the whole, so that a few tasks of a world are of several families."""
    families = Counter(family for family, *_ in kinds)
    place: Counter[str] = Counter()
    spots: dict[Kind, float] = {}
    for kind in kinds:
        spots[kind] = (place[kind[0]] + 0.5) / families[kind[0]]
        place[kind[0]] += 1
    return sorted(kinds, key=lambda kind: (spots[kind], kind))


def _kind(goal: Goal) -> Kind:
    """What tasks are spread over."""
    gaps = [fact.kind for fact in goal.facts if fact.hide and fact.kind != "missing"]
    return goal.family, goal.difficulty, gaps[0] if gaps else "missing"
