"""Generated datasets: many, different, balanced, split, the same from the same seed, and graded right."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from mocktrial.agents.base import Agent
from mocktrial.agents.scripted import Expert, Guesser, Interrogator, Null, Violator
from mocktrial.envs.dataset import Dataset
from mocktrial.envs.episode import Episode
from mocktrial.envs.task import Ask, Call, Task
from mocktrial.envs.users.base import says
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.values import fold, same
from mocktrial.synth.blueprint import Blueprint, Domains, load_blueprint
from mocktrial.synth.form.goals import Goal, Goals
from mocktrial.synth.form.recipes import RowRecipe
from mocktrial.synth.plan.planning import carry_out
from mocktrial.synth.production.generate import generate
from mocktrial.synth.production.produce import Job, collect
from mocktrial.synth.production.units import make_unit
from tests.support.home import GOAL, home


def bytes_of(dataset: Dataset) -> str:
    worlds = {name: spec.model_dump(mode="json") for name, spec in dataset.worlds.items()}
    tasks = [task.model_dump(mode="json") for task in dataset.tasks]
    proofs = [proof.model_dump(mode="json") for proof in dataset.proofs]
    return json.dumps([dataset.recipe.model_dump(mode="json"), worlds, tasks, proofs])


def test_three_hundred_different_tasks_from_one_seed(dataset: Dataset) -> None:
    assert len(dataset.tasks) == 300
    assert len({task.content_hash() for task in dataset.tasks}) == 300
    assert len({task.id for task in dataset.tasks}) == 300
    assert len({(task.world, task.goal, task.instruction) for task in dataset.tasks}) == 300


def test_tasks_are_balanced_over_domains_and_difficulties(dataset: Dataset) -> None:
    cells = Counter((task.domain, task.difficulty) for task in dataset.tasks)
    assert len(cells) == 12
    assert min(cells.values()) >= 15  # a cell that repeats itself gives less
    assert max(cells.values()) <= 33
    assert all(task.difficulty == sum(isinstance(step, Call) for step in task.gold) for task in dataset.tasks)
    assert {len(task.hidden()) for task in dataset.tasks} == {1, 2}


def test_a_quarter_is_for_testing_and_no_instruction_is_in_both(dataset: Dataset) -> None:
    assert 0.2 <= len(dataset.split("test")) / 300 <= 0.3
    homes: dict[tuple[str, str], str] = {}
    for task in dataset.tasks:
        assert homes.setdefault((task.world, task.instruction), task.split) == task.split
    assert {(task.domain, task.difficulty) for task in dataset.split("test")} == {
        (task.domain, task.difficulty) for task in dataset.tasks
    }


def test_same_seed_same_bytes_and_another_seed_other_tasks() -> None:
    first, again, other = generate(3, 12), generate(3, 12), generate(4, 12)
    assert bytes_of(first) == bytes_of(again)
    assert not {task.content_hash() for task in first.tasks} & {task.content_hash() for task in other.tasks}


def test_domains_can_be_chosen_and_an_impossible_number_is_refused() -> None:
    told: list[int] = []
    dataset = generate(1, 8, ["depot"], worlds_per_domain=1, progress=told.append)
    assert {task.world for task in dataset.tasks} == set(dataset.worlds) == {"depot-0"}
    assert told[-1] == 8
    with pytest.raises(UsageError, match="'bakery'"):
        generate(1, 1, ["bakery"])


class Tiny:
    """A source of one small world, again and again."""

    name = "tiny"
    only = Blueprint(
        name="tiny",
        world=home(("Ann", "phone"), ("Ann", "laptop")),
        rows=RowRecipe(tables=()),
        goals=Goals(goals=(Goal.model_validate(GOAL),)),
    )

    def blueprint(self, number: int) -> Blueprint:
        return self.only


def test_a_source_that_has_no_more_tasks_says_so() -> None:
    job = Job(Tiny(), seed=1, per_world=4)
    made = collect(job, 1, name="tiny", progress=lambda taken: None)
    assert len(made.tasks) == 1
    with pytest.raises(UsageError, match=r"tiny gave only \d different tasks of 50 .*duplicate"):
        collect(job, 50, name="tiny", progress=lambda taken: None)


@pytest.mark.parametrize(
    ("agent", "share"),
    [
        (Expert(), 1.0),
        (Null(), 0.0),
        (Guesser(), 0.0),
        (Guesser(lucky=True), 0.0),
        (Interrogator(), 0.0),
        (Violator(), 0.0),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_the_expert_always_succeeds_and_adversaries_never(dataset: Dataset, agent: Agent, share: float) -> None:
    for task in dataset.tasks:
        async with Episode(task, dataset.image(task), agent=agent.name) as episode:
            await agent.play(episode)
            grade = episode.trajectory().grade
        assert grade is not None
        assert grade.success == bool(share), (task.id, grade)


def goal_of(task: Task) -> Goal:
    goals = load_blueprint(task.domain).goals.goals
    return next(goal for goal in goals if goal.id == task.provenance["goal"])


def test_every_hidden_fact_is_needed_and_each_alternative_ends_elsewhere(dataset: Dataset) -> None:
    for task in dataset.tasks[::7]:
        goal, image = goal_of(task), dataset.image(task)
        values = {fact.id: fact.value for fact in task.facts}
        gold = carry_out(goal, image, values, task.seed)
        for fact in task.hidden():
            assert fact.alternatives, task.id
            assert fact.needed_by, task.id
            assert fact.used_in, task.id
            for other in fact.alternatives:
                assert not same(other, fact.value)
                run = carry_out(goal, image, {**values, fact.id: other}, task.seed)
                assert not run.ends_like(gold), (task.id, fact.id, other)


def test_nothing_that_the_agent_sees_tells_what_is_hidden(dataset: Dataset) -> None:
    for task in dataset.tasks:
        rules = dataset.worlds[task.world].rules
        for fact in task.hidden():
            for text in (task.instruction, rules, *(f.spoken for f in task.facts if f.id != fact.id)):
                assert not says(fold(text), fact.spoken), (task.id, text)
                assert not says(fold(text), str(fact.value)), (task.id, text)
        for fact in task.facts:
            assert fact.hidden or says(fold(task.instruction), fact.spoken), task.id
            assert says(fold(task.goal), fact.spoken), task.id


def test_the_gold_plan_asks_first_and_once(dataset: Dataset) -> None:
    for task in dataset.tasks:
        asks = [step for step in task.gold if isinstance(step, Ask)]
        assert asks == [task.gold[0]]
        assert asks[0].ask == tuple(fact.id for fact in task.hidden())


class _Telling:
    """The clinic, with rules that name one day of the week and no other."""

    name = "telling"

    def blueprint(self, number: int) -> Blueprint:
        clinic = Domains(["clinic"]).blueprint(number)
        world = clinic.world.model_copy(update={"rules": f"{clinic.world.rules} Most come on a Monday."})
        return clinic.model_copy(update={"world": world})


def test_a_task_whose_hidden_value_stands_in_the_rules_does_not_ship() -> None:
    unit = make_unit(_Telling(), 0, 3, 60)
    assert unit.dropped["a text tells what is hidden"] > 0
    assert unit.pairs
    assert not [task.id for task, _ in unit.pairs for fact in task.hidden() if fact.value == "Monday"]
