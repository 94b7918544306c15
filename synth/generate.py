"""`generate(seed, count) -> Dataset`: worlds filled, goals planned, tasks proved, split.

Deterministic: equal arguments give equal bytes. Tasks are spread evenly over domains and difficulties; no
two share world, instruction and wish. A draft that cannot be planned or proved is dropped and its reason counted in the
recipe. Raises `UsageError` for an unknown domain or when the domains cannot give that many tasks.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version

from mocktrial.envs.dataset import Dataset, Proof, Recipe
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.synth.blueprint import Blueprint, Goal, load_blueprint, shipped_domains
from mocktrial.synth.planning import Unplannable
from mocktrial.synth.prove import prove
from mocktrial.synth.rows import make_world
from mocktrial.synth.tasks import make_task

TEST_SHARE = 0.25
_PATIENCE = 60  # drafts in a row that a cell may lose before it counts as exhausted
_DECIDING = ("mimesis", "apsw")  # packages whose version can change the bytes


def generate(
    seed: int,
    count: int,
    domains: Sequence[str] | None = None,
    *,
    name: str = "tasks",
    worlds_per_domain: int = 6,
    max_calls: int | None = None,
    progress: Callable[[int], None] = lambda made: None,
) -> Dataset:
    """`count` proved tasks of at most `max_calls` gold calls each.

    progress: is told the number made so far, for a bar.
    """
    chosen = tuple(dict.fromkeys(domains)) if domains else shipped_domains()
    maker = _Maker(seed, [load_blueprint(domain) for domain in chosen], worlds_per_domain, max_calls)
    made: list[tuple[Task, Proof]] = []
    while len(made) < count:
        if not maker.cells:
            raise UsageError(
                f"the domains {', '.join(chosen)} gave only {len(made)} different tasks of {count}",
                hint="ask for fewer tasks or for more worlds",
            )
        for cell in list(maker.cells):
            pair = maker.draw(cell) if len(made) < count else None
            if pair:
                made.append(pair)
                progress(len(made))
    used = {task.world for task, _ in made}
    recipe = Recipe(
        name=name, seed=seed, count=count, worlds_per_domain=worlds_per_domain, max_calls=max_calls or 0,
        domains=chosen, dropped=dict(sorted(maker.dropped.items())),
        versions={item: version(item) for item in _DECIDING},
    )  # fmt: skip
    made.sort(key=lambda pair: pair[0].id)
    return Dataset(
        recipe=recipe,
        worlds={name: image.spec for name, image in sorted(maker.images.items()) if name in used},
        tasks=_split([task for task, _ in made], seed),
        proofs=tuple(proof for _, proof in made),
    )


Cell = tuple[str, int]  # domain, difficulty


class _Maker:
    """Draws tasks cell by cell. A cell that only repeats itself is closed."""

    def __init__(self, seed: int, blueprints: Sequence[Blueprint], worlds: int, max_calls: int | None) -> None:
        self.seed, self.worlds = seed, worlds
        self.blueprints = {blueprint.name: blueprint for blueprint in blueprints}
        self.images: dict[str, WorldImage] = {}
        self.dropped: Counter[str] = Counter()
        self.drafts: Counter[Cell] = Counter()
        self._seen: set[tuple[str, str, str]] = set()
        self.cells: dict[Cell, list[Goal]] = {}
        for blueprint in blueprints:
            goals = [goal for goal in blueprint.goals.goals if max_calls is None or goal.difficulty <= max_calls]
            for goal in goals:
                self.cells.setdefault((blueprint.name, goal.difficulty), []).append(goal)
        self.cells = dict(sorted(self.cells.items(), key=lambda item: (item[0][1], item[0][0])))

    def draw(self, cell: Cell) -> tuple[Task, Proof] | None:
        """A new proved task of the cell; None, and the cell closed, when it has no more."""
        for _ in range(_PATIENCE):
            self.drafts[cell] += 1
            try:
                task = self._draft(cell)
            except Unplannable as error:
                self.dropped[error.reason] += 1
                continue
            same = task.world, task.instruction, task.goal  # whatever the seed, the user or the alternatives
            if same in self._seen:
                self.dropped["made before"] += 1
                continue
            self._seen.add(same)
            proof = prove(task, self.images[task.world])
            if proof.ok:
                return task, proof
            self.dropped[f"{task.provenance['goal']}: {proof.failures[0].split(':')[0]}"] += 1
        del self.cells[cell]
        return None

    def _draft(self, cell: Cell) -> Task:
        domain, difficulty = cell
        seed = derive(self.seed, "task", domain, difficulty, self.drafts[cell])
        chance = random.Random(seed)
        goal = chance.choice(self.cells[cell])
        blueprint = self.blueprints[domain]
        image = self._image(blueprint, chance.randrange(self.worlds))
        task = make_task(goal, image, domain=domain, personas=blueprint.goals.personas, seed=seed)
        return task.model_copy(update={"id": f"{domain}-{goal.id}-{task.content_hash()[:8]}"})

    def _image(self, blueprint: Blueprint, number: int) -> WorldImage:
        name = f"{blueprint.name}-{number}"
        if name not in self.images:
            self.images[name] = compile_world(make_world(blueprint, number, self.seed))
        return self.images[name]


def _split(tasks: Sequence[Task], seed: int) -> tuple[Task, ...]:
    """About a quarter of each domain and difficulty is for testing; one instruction in one world never parts.

    Two goals may share an instruction: such a group counts where its first task does.
    """
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.world, task.instruction), []).append(task)
    cells: dict[Cell, list[list[Task]]] = {}
    for key in sorted(groups):
        first = groups[key][0]
        cells.setdefault((first.domain, first.difficulty), []).append(groups[key])
    testing: set[str] = set()
    for cell in sorted(cells):
        order = cells[cell]
        random.Random(derive(seed, "split", *cell)).shuffle(order)
        room = round(TEST_SHARE * sum(len(group) for group in order))
        for group in order:
            if len(group) <= room:
                room -= len(group)
                testing.update(task.id for task in group)
    return tuple(task.model_copy(update={"split": "test" if task.id in testing else "train"}) for task in tasks)
