"""The curriculum: it finds the band, follows a policy that learns, forgets nobody, and repeats itself exactly."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.curriculum import Band, Curriculum, State, beta_cdf, cell_of, pass_rates
from tests.support.ledger import CONFIG, make_task, make_trajectory

DOMAINS = ("clinic", "depot", "network")
TASKS = [
    make_task(1000 * calls + 10 * place + copy, domain=domain, difficulty=calls)
    for calls in range(1, 13)
    for place, domain in enumerate(DOMAINS)
    for copy in range(3)
]


def rate(task: Task, skill: float) -> float:
    """A policy of that skill: a cliff in the number of calls, a little shifted by domain."""
    return 1 / (1 + math.exp(-1.8 * (skill - task.difficulty - 0.5 * DOMAINS.index(task.domain))))


def share_in_band(band: Band, seed: int, *, uniform: bool) -> float:
    """Over 60 batches of 24 in which the policy's skill rises from 1 to 10 calls."""
    curriculum, chance = Curriculum(TASKS, band, seed=seed), random.Random(seed)
    state, inside = curriculum.start(), 0
    for number in range(60):
        skill = 1 + 9 * number / 59
        tasks, state = curriculum.batch(state, 24)
        if uniform:
            tasks = [chance.choice(TASKS) for _ in range(24)]
        inside += sum(band.low <= rate(task, skill) <= band.high for task in tasks)
        state = curriculum.observe(
            state, [(task.content_hash(), chance.random() < rate(task, skill)) for task in tasks]
        )
    return inside / (60 * 24)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_learning_policy_stays_in_the_band_twice_as_often(seed: int) -> None:
    band = Band(low=0.2, high=0.8)
    assert share_in_band(band, seed, uniform=False) >= 2 * share_in_band(band, seed, uniform=True)


def test_no_task_starves() -> None:
    curriculum = Curriculum(TASKS, seed=4)
    state = curriculum.start()
    for _ in range(200):  # all of three calls are in the band, all others far from it
        tasks, state = curriculum.batch(state, 10)
        results = [
            (task.content_hash(), number % 2 == 0 if task.difficulty == 3 else task.difficulty < 3)
            for number, task in enumerate(tasks)
        ]
        state = curriculum.observe(state, results)
    assert set(state.drawn) == {task.content_hash() for task in TASKS}
    by_calls = {
        calls: sum(state.drawn[t.content_hash()] for t in TASKS if t.difficulty == calls) for calls in range(1, 13)
    }
    assert max(by_calls, key=lambda calls: by_calls[calls]) == 3


def test_where_all_is_too_hard_the_easiest_cells_come_first() -> None:
    curriculum = Curriculum(TASKS, Band(low=0.4, high=0.6))
    rates = {task.content_hash(): (3 if task.difficulty == 1 else 0, 20) for task in TASKS}
    weights = curriculum.weights(curriculum.start(rates))
    assert min(w for cell, w in weights.items() if cell[2] == 1) > max(w for cell, w in weights.items() if cell[2] > 1)


def test_what_is_long_ago_is_forgotten() -> None:
    curriculum = Curriculum(TASKS, Band(forget=0.5))
    old = curriculum.start({task.content_hash(): (0, 50) for task in TASKS})
    for _ in range(12):
        old = curriculum.observe(old, [])
    assert all(abs(a / (a + b) - 0.5) < 0.05 for a, b in curriculum.beliefs(old).values())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(0, len(TASKS) - 1), st.booleans()), max_size=60),
    st.integers(1, 40),
)
def test_weights_batches_and_states(seed: int, results: list[tuple[int, bool]], size: int) -> None:
    curriculum = Curriculum(TASKS, seed=seed)
    state = curriculum.observe(curriculum.start(), [(TASKS[n].content_hash(), won) for n, won in results])
    weights = curriculum.weights(state)
    assert set(weights) == {cell_of(task) for task in TASKS}
    assert min(weights.values()) >= curriculum.band.explore / len(weights)
    assert math.isclose(sum(weights.values()), 1)
    tasks, after = curriculum.batch(state, size)
    assert len(tasks) == size
    assert all(task in TASKS for task in tasks)
    again = Curriculum(list(reversed(TASKS)), seed=seed)
    assert again.batch(State.model_validate_json(state.model_dump_json()), size) == (tasks, after)
    assert again.batch(after, 40)[0] != again.batch(after.model_copy(update={"round": 9}), 40)[0]


def test_usage() -> None:
    with pytest.raises(UsageError, match="needs tasks"):
        Curriculum([])
    with pytest.raises(UsageError, match="not in this curriculum"):
        Curriculum(TASKS).observe(State(), [("nobody", True)])
    with pytest.raises(UsageError, match="are no band"):
        Band(low=0.9, high=0.1)


@pytest.mark.parametrize(
    ("x", "a", "b", "expected"),
    [
        (0.3, 1, 1, 0.3),
        (0.5, 2, 2, 0.5),
        (0.25, 2, 1, 0.0625),
        (0.9, 1, 3, 0.999),
        (0.2, 2, 3, 0.1808),
        (1, 5, 5, 1),
        (0, 5, 5, 0),
        (0.5, 900, 900, 0.5),
    ],
)
def test_the_beta_distribution(x: float, a: float, b: float, expected: float) -> None:
    assert math.isclose(beta_cdf(x, a, b), expected, abs_tol=1e-9)


def test_pass_rates_of_named_agents(tmp_path: Path) -> None:
    tasks = [make_task(number) for number in range(2)]
    one, two = (task.content_hash() for task in tasks)
    with Ledger.open(tmp_path / "ledger.sqlite", CONFIG) as ledger:
        ledger.add_tasks(tasks)
        for trial, success in enumerate((True, False, True)):
            ledger.record(make_trajectory(tasks[0], trial, success=success))
        ledger.record(make_trajectory(tasks[1], agent="other", success=False))
        ledger.record(
            make_trajectory(tasks[1], outcome="no_result", end="no_result", reason="endpoint: dead", grade=None)
        )
    assert pass_rates([tmp_path]) == {one: (2, 3), two: (0, 1)}
    assert pass_rates([tmp_path / "ledger.sqlite", tmp_path], agent="cheap") == {one: (4, 6)}
    with pytest.raises(UsageError):
        pass_rates([tmp_path / "nothing"])
