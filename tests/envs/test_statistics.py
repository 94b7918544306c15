"""Estimates: closed forms, coverage, bounds where a bootstrap would say nothing."""

from __future__ import annotations

import itertools
import math
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.envs.statistics import (
    BOOTSTRAP,
    EXACT,
    estimate,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    run_spread,
    runs_needed,
)


@given(st.data())
def test_pass_at_k_and_pass_hat_k_count_subsets(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 8))
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    for function in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match="needs"):
            function(n, c, k)


@pytest.mark.parametrize(("n", "low"), [(1, 0.025), (24, 0.857526), (50, 0.928878), (200, 0.981725)])
def test_all_equal_takes_clopper_and_pearsons_bound(n: int, low: float) -> None:
    """scipy.stats.binomtest(n, n).proportion_ci(method="exact").low"""
    best, worst = estimate([1.0] * n), estimate([0.0] * n)
    assert (best.value, best.high, best.method) == (1.0, 1.0, EXACT)
    assert best.low == pytest.approx(low, abs=1e-6)
    assert (worst.low, worst.high) == (0.0, pytest.approx(1 - low, abs=1e-6))


def test_two_values_give_the_binomials_quantiles() -> None:
    """scipy.stats.binom.ppf([.025, .975], 50, .3) / 50, also when the two values are not 0 and 1."""
    result = estimate([1.0] * 15 + [0.0] * 35)
    assert (result.value, result.low, result.high) == (0.3, 9 / 50, 22 / 50)
    assert result.method == BOOTSTRAP
    shifted = estimate([0.75] * 15 + [0.25] * 35)
    assert (shifted.low, shifted.high) == (0.25 + 0.5 * 9 / 50, 0.25 + 0.5 * 22 / 50)


def test_drawing_agrees_with_the_exact_quantiles() -> None:
    """A third value that hardly matters sends the same data through the drawn bootstrap."""
    drawn = estimate([1.0] * 300 + [0.0] * 699 + [1e-9])
    exact = estimate([1.0] * 300 + [0.0] * 700)
    assert drawn.low == pytest.approx(exact.low, abs=0.003)
    assert drawn.high == pytest.approx(exact.high, abs=0.003)
    assert (drawn.low, drawn.high) != (exact.low, exact.high)


def test_same_seed_same_interval() -> None:
    values = random.Random(1).choices((0.0, 0.25, 0.5, 1.0), k=99)
    assert estimate(values, seed=3) == estimate(values, seed=3)
    assert estimate(values, seed=3) != estimate(values, seed=4)


@pytest.mark.parametrize("repeats", [150, pytest.param(1000, marks=pytest.mark.soak)])
def test_intervals_over_tasks_cover(repeats: int) -> None:
    """METHODS 6: four trials a task, tasks of very different difficulty; the true mean is inside."""
    rng = random.Random(5)
    covered = 0
    for _ in range(repeats):
        chances = [rng.betavariate(0.5, 0.5) for _ in range(60)]
        result = estimate([sum(rng.random() < p for _ in range(4)) / 4 for p in chances], resamples=400)
        covered += result.low <= 0.5 <= result.high
    assert 0.90 <= covered / repeats <= 0.99


def test_five_thousand_tasks_are_quick() -> None:
    rng = random.Random(2)
    values = [rng.random() for _ in range(5000)]
    start = time.process_time()
    result = estimate(values)
    assert time.process_time() - start < 3  # about 0.5 on a quiet core
    assert result.high - result.low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 5000), rel=0.1)


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no tasks"):
        estimate([])
    with pytest.raises(ValueError, match="no tasks"):
        paired_difference({"a": 1.0}, {"b": 1.0})


def test_a_difference_is_paired_by_task() -> None:
    """Task difficulty cancels: both vary from task to task, their difference hardly."""
    first = {f"t{n}": n / 100 for n in range(90)}
    second = {f"t{n}": n / 100 + 0.1 * (n % 3 > 0) for n in range(95)}
    result = paired_difference(first, second)
    assert result.tasks == 90
    assert result.value == pytest.approx(0.1 * 2 / 3)
    assert 0.05 < result.low < result.value < result.high < 0.08


def test_no_difference_anywhere_is_still_uncertain() -> None:
    scores = {f"t{n}": 1.0 for n in range(40)}
    result = paired_difference(scores, scores)
    bound = 1 - 0.025 ** (1 / 40)
    assert (result.value, result.method) == (0.0, EXACT)
    assert (result.low, result.high) == pytest.approx((-bound, bound))
    total = paired_difference(dict.fromkeys(scores, 0.0), scores)
    assert (total.low, total.high) == pytest.approx((1 - 2 * bound, 1.0))


def test_runs_needed_and_spread() -> None:
    assert runs_needed(0.05, 0.05) == 16
    assert runs_needed(-0.02, 0.04) == 63
    assert runs_needed(0.5, 0.0) == 1
    assert runs_needed(0.0, 0.1) is None
    assert run_spread([[1.0], [0.0]]) is None
    assert run_spread([[0.0, 1.0]] * 50) == pytest.approx(math.sqrt(0.5 / 50))


def test_the_spread_is_that_of_repeated_runs() -> None:
    rng = random.Random(8)
    chances = [rng.random() for _ in range(40)]

    def play() -> list[list[float]]:
        return [[float(rng.random() < p) for _ in range(4)] for p in chances]

    means = [sum(trials[0] for trials in play()) / 40 for _ in range(2000)]
    center = sum(means) / len(means)
    spread = math.sqrt(sum((mean - center) ** 2 for mean in means) / len(means))
    estimates = [run_spread(play()) or 0.0 for _ in range(50)]
    assert sum(estimates) / 50 == pytest.approx(spread, rel=0.08)
