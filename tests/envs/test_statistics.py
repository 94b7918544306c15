"""Estimates: closed forms, coverage, bounds where nothing differs; two runs compared; what varies, split."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from benchmarks.coverage import BANDS, GAINS, PAIRS, RATES, SIZES, Measure, coverage, plain
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.envs.statistics import (
    BOOTSTRAP,
    EXACT,
    PAIRED,
    SCORE,
    bootstrap,
    estimate,
    mcnemar,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    run_spread,
    runs_needed,
    variance_split,
)
from mocktrial.envs.statistics.quantiles import student_t


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


@pytest.mark.parametrize(
    ("freedom", "at_5", "at_1"),
    [(1, 12.7062047, 63.6567412), (2, 4.3026527, 9.9248432), (9, 2.2621572, 3.2498355), (50, 2.0085591, 2.6777933),
     (400, 1.9659123, 2.5881761), (401, 1.9658975, 2.5881452), (5000, 1.9604386, 2.5768130)],
)  # fmt: skip
def test_students_quantiles(freedom: int, at_5: float, at_1: float) -> None:
    """scipy.stats.t.ppf([.975, .995], freedom); the closed form and the expansion meet at 400."""
    assert student_t(0.025, freedom) == pytest.approx(at_5, abs=2e-7)
    assert student_t(0.005, freedom) == pytest.approx(at_1, abs=2e-7)


@pytest.mark.parametrize(("n", "low"), [(1, 0.025), (24, 0.857526), (50, 0.928878), (200, 0.981725)])
def test_all_equal_takes_clopper_and_pearsons_bound(n: int, low: float) -> None:
    """scipy.stats.binomtest(n, n).proportion_ci(method="exact").low"""
    best, worst = estimate([1.0] * n), estimate([0.0] * n)
    assert (best.value, best.high, best.method) == (1.0, 1.0, EXACT)
    assert best.low == pytest.approx(low, abs=1e-6)
    assert (worst.low, worst.high) == (0.0, pytest.approx(1 - low, abs=1e-6))


@pytest.mark.parametrize(
    ("c", "n", "low", "high"),
    [(1, 10, 0.017876, 0.404150), (15, 50, 0.191036, 0.437504), (190, 200, 0.910422, 0.972617)],
)
def test_successes_get_wilsons_interval(c: int, n: int, low: float, high: float) -> None:
    """scipy.stats.binomtest(c, n).proportion_ci(method="wilson")"""
    result = estimate([1.0] * c + [0.0] * (n - c))
    assert (result.value, result.method) == (c / n, SCORE)
    assert (result.low, result.high) == pytest.approx((low, high), abs=1e-6)


@given(st.lists(st.integers(0, 8).map(lambda n: n / 8), min_size=1, max_size=40))
def test_an_interval_holds_its_mean_and_stays_within_bounds(values: list[float]) -> None:
    result = estimate(values)
    mirrored = estimate([1 - value for value in values])
    assert 0 <= result.low <= result.value <= result.high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((result.low, result.high))


def test_tasks_that_differ_less_give_a_narrower_interval() -> None:
    """Many alike tasks: Student's interval for their mean, whatever the mean would let them vary."""
    values = random.Random(3).choices((0.25, 0.5, 0.75), k=400)
    result = estimate(values)
    mean = sum(values) / 400
    half = student_t(0.025, 399) * math.sqrt(sum((value - mean) ** 2 for value in values) / 399 / 400)
    assert result.high - result.low == pytest.approx(2 * half, rel=0.01)
    assert result.high - result.low < 0.5 * (estimate([0.0, 1.0] * 200).high - estimate([0.0, 1.0] * 200).low)


def test_few_alike_tasks_take_students_quantile() -> None:
    """By hand: deff (0.08 + 0.5) / 5.5, squared quantile 7.3008 between 1.96^2 and 2.776^2, 38.75 tasks' worth."""
    result = estimate([0.4, 0.5, 0.5, 0.5, 0.6])
    assert (result.low, result.high) == pytest.approx((0.5 - 0.19909, 0.5 + 0.19909), abs=1e-4)


def test_a_bootstrap_has_a_seed_and_expands_where_tasks_are_few() -> None:
    values = random.Random(1).choices((3.0, 4.5, 5.0, 20.0), k=12)
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) != bootstrap(values, seed=4)
    ours, narrow = bootstrap(values), bootstrap(values, plain=True)
    assert ours.low < narrow.low < ours.value < narrow.high < ours.high
    assert ours.method == BOOTSTRAP
    assert (bootstrap([7.0]).low, bootstrap([7.0]).high) == (7.0, 7.0)


def test_a_bootstraps_interval_is_the_normals_for_many_tasks() -> None:
    rng = random.Random(2)
    values = [rng.random() for _ in range(2000)]
    result = bootstrap(values)
    assert result.high - result.low == pytest.approx(2 * 1.96 * math.sqrt(1 / 12 / 2000), rel=0.1)


def test_nothing_is_refused() -> None:
    for function in (estimate, bootstrap):
        with pytest.raises(ValueError, match="no tasks"):
            function([])
    with pytest.raises(ValueError, match="no tasks"):
        paired_difference({"a": 1.0}, {"b": 1.0})


# Coverage: a tenth of `benchmarks/coverage.py` by default. A share of 200 lies within 5 points of its own truth.
@pytest.mark.parametrize("n", SIZES[:3])
@pytest.mark.parametrize("measure", [*RATES[:3], RATES[4], *PAIRS], ids=str)
def test_intervals_cover(measure: Measure, n: int) -> None:
    bands = GAINS if measure in PAIRS else BANDS
    shares = [coverage(measure, band, n, 200) for band in bands]
    assert 0.93 <= sum(shares) / len(shares) <= 0.98
    assert min(shares) >= 0.90


@pytest.mark.soak
@pytest.mark.parametrize("k", [1, 4])
def test_intervals_cover_at_every_size_and_truth(k: int) -> None:
    shares = [
        coverage(measure, band, n, 2000)
        for measure in (*RATES, *PAIRS) if measure.k == k
        for band in (GAINS if measure in PAIRS else BANDS) for n in SIZES
    ]  # fmt: skip
    assert 0.94 <= sum(shares) / len(shares) <= 0.965
    assert sum(0.93 <= share <= 0.97 for share in shares) >= 0.8 * len(shares)


def test_the_plain_bootstrap_covers_less_than_it_says() -> None:
    """Why it is not what rates get."""
    rare = BANDS[0]
    assert coverage(RATES[1], rare, 10, 100, plain) < 0.90 < coverage(RATES[1], rare, 10, 100)


def test_a_difference_is_paired_by_task() -> None:
    """Task difficulty cancels: both vary from task to task, their difference hardly."""
    first = {f"t{n}": n / 100 for n in range(90)}
    second = {f"t{n}": n / 100 + 0.1 * (n % 3 > 0) for n in range(95)}
    result = paired_difference(first, second)
    assert (result.tasks, result.method) == (90, PAIRED)
    assert result.value == pytest.approx(0.1 * 2 / 3)
    assert 0.05 < result.low < result.value < result.high < 0.08
    back = paired_difference(second, first)
    assert (-back.high, -back.low) == pytest.approx((result.low, result.high))


def test_no_difference_anywhere_is_still_uncertain() -> None:
    scores = {f"t{n}": 1.0 for n in range(40)}
    result = paired_difference(scores, scores)
    bound = 1 - 0.025 ** (1 / 40)
    assert (result.value, result.method) == (0.0, EXACT)
    assert (result.low, result.high) == pytest.approx((-bound, bound))
    total = paired_difference(dict.fromkeys(scores, 0.0), scores)
    assert (total.low, total.high) == pytest.approx((1 - 2 * bound, 1.0))


@pytest.mark.parametrize(("better", "worse", "p"), [(0, 0, 1.0), (1, 0, 1.0), (5, 1, 0.21875), (9, 1, 0.021484375)])
def test_mcnemar_tosses_a_coin_for_each_task_that_differs(better: int, worse: int, p: float) -> None:
    """scipy.stats.binomtest(worse, better + worse).pvalue; ties and tasks of one run only do not count."""
    first = {f"b{n}": 0.25 for n in range(better)} | {f"w{n}": 1.0 for n in range(worse)} | {"tie": 0.5, "alone": 0.0}
    second = {f"b{n}": 0.5 for n in range(better)} | {f"w{n}": 0.75 for n in range(worse)} | {"tie": 0.5}
    result = mcnemar(first, second)
    assert (result.better, result.worse, result.p) == (better, worse, pytest.approx(p))


def test_mcnemar_takes_thousands_of_tasks() -> None:
    first = {str(n): 0.0 for n in range(4000)}
    result = mcnemar(first, dict.fromkeys(first, 1.0))
    assert (result.better, result.p) == (4000, 0.0)


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


def drawn(rng: random.Random, tasks: int, uneven: bool) -> dict[str, list[list[float]]]:
    """Variances 4 for the task, 1 for the trial, 0.25 for the user's seed; `uneven` leaves results out."""
    results = {}
    for number in range(tasks):
        task = rng.gauss(0, 2)
        trials = [rng.gauss(task, 1) for _ in range(rng.randint(1, 4) if uneven else 3)]
        results[str(number)] = [
            [rng.gauss(trial, 0.5) for _ in range(rng.randint(1, 3) if uneven else 2)] for trial in trials
        ]
    return results


@pytest.mark.parametrize("uneven", [False, True])
def test_a_split_finds_the_variances_that_were_put_in(uneven: bool) -> None:
    """The mean of many estimates: the method is unbiased, balanced or not."""
    rng = random.Random(11)
    found = [split for _ in range(150) if (split := variance_split(drawn(rng, 40, uneven)))]
    for part, truth in (("task", 4.0), ("trial", 1.0), ("user", 0.25)):
        assert sum(getattr(split, part) for split in found) / len(found) == pytest.approx(truth, rel=0.07)


def test_a_split_says_what_it_cannot_tell_apart() -> None:
    assert variance_split({"a": [[1.0]], "b": [[0.0]]}) is None
    assert variance_split({"a": [[1.0], [0.0]]}) is None
    by_trial = variance_split({"a": [[1.0], [0.0]], "b": [[1.0], [1.0]], "c": [[0.0], [0.0]]})
    assert by_trial is not None
    assert (by_trial.task, by_trial.trial, by_trial.user) == (pytest.approx(1 / 6), pytest.approx(1 / 6), None)
    assert by_trial.shares == {"task": pytest.approx(0.5), "trial": pytest.approx(0.5)}
    by_user = variance_split({"a": [[1.0, 0.0]], "b": [[1.0, 1.0]], "c": [[0.0, 0.0]]})
    assert by_user is not None
    assert (by_user.task, by_user.trial, by_user.user) == (pytest.approx(1 / 6), None, pytest.approx(1 / 6))


def test_a_variance_below_zero_is_none_and_named() -> None:
    """Trials differ and tasks do not: the moments say less than nothing for tasks."""
    split = variance_split({"a": [[1.0], [0.0]], "b": [[0.0], [1.0]]})
    assert split is not None
    assert (split.task, split.trial, split.negative) == (0.0, 0.5, ("task",))
    alike = variance_split({"a": [[1.0], [1.0]], "b": [[1.0], [1.0]]})
    assert alike is not None
    assert (alike.shares, alike.negative) == ({}, ())
