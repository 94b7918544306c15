"""Rates over tasks with their 95% intervals: success, pass@k, pass^k.

A task enters with one number (its mean over trials), so its trials are never counted as if they were
independent. `estimate` serves for numbers between 0 and 1, `bootstrap` for those without bounds, such as
turns or cost. `benchmarks/coverage.py` measures how often the intervals hold the truth.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from statistics import NormalDist

from mocktrial.envs.statistics.quantiles import normal_tail, student_t
from mocktrial.mocktools.spec import Frozen

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
SCORE = "Wilson score over tasks"
PAIRED = "paired t over tasks"
BOOTSTRAP = "bootstrap over tasks"
EXACT = "Clopper-Pearson over tasks"  # all tasks gave the same value: nothing is known of how tasks differ
_Z = NormalDist().inv_cdf(1 - TAIL)


class Estimate(Frozen):
    """A mean over tasks with its 95% interval and the method that gave the interval."""

    value: float
    low: float
    high: float
    tasks: int
    method: str


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k trials succeeds, from c successes in n trials (METHODS, section 6).

    1 - C(n-c, k) / C(n, k), the unbiased estimator. Raises `ValueError` unless 0 <= c <= n and 1 <= k <= n.
    """
    _check(n, c, k)
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of k trials succeed, pass^k = C(c, k) / C(n, k). Errors as in `pass_at_k`."""
    _check(n, c, k)
    return math.comb(c, k) / math.comb(n, k)


def _check(n: int, c: int, k: int) -> None:
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"needs 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of `values`, one number in [0, 1] a task, with Wilson's score interval over tasks.

    For numbers that are 0 or 1 this is Wilson's own interval (JASA 22, 1927), which keeps its level where
    the percentile bootstrap does not: with few tasks, and near 0 and 1 (Brown, Cai and DasGupta, Statistical
    Science 16, 2001). Numbers in between vary less; the interval then counts n / deff tasks, where deff =
    variance / (mean * (1 - mean)), after Korn and Graubard (Survey Methodology 24, 1998) and Dean and Pagano
    (J. Survey Statistics and Methodology 3, 2015). Since deff is itself estimated, and too low
    where rare tasks were not drawn: 2 - 6 * mean * (1 - mean) tasks of deff 1 are added (half a one in the
    middle, two at the ends: our choice, by `benchmarks/coverage.py`), and the quantile moves from the normal's,
    at deff 1, to Student's with n - 1 degrees of freedom at deff 0.
    """
    n = len(values)
    mean = mean_of(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    room = mean * (1 - mean)
    if alike(values) or room <= 0:
        low, high = all_equal(mean, n, (0.0, 1.0))
        return Estimate(value=mean, low=low, high=high, tasks=n, method=EXACT)
    added = 2 - 6 * room
    effect = min(1.0, (squares / room + added) / (n + added))
    student = student_t(TAIL, n - 1)
    square = _Z**2 + (1 - effect) * (student**2 - _Z**2)
    low, high = _wilson(mean, n / effect / (1 + (1 - effect) / (n - 1)), square)
    return Estimate(value=mean, low=low, high=high, tasks=n, method=SCORE)


def _wilson(share: float, n: float, square: float) -> tuple[float, float]:
    """Wilson's interval for `share` of `n` (any number > 0) at a squared quantile."""
    center = (share + square / (2 * n)) / (1 + square / n)
    half = math.sqrt(square * (share * (1 - share) / n + square / (4 * n * n))) / (1 + square / n)
    return max(0.0, center - half), min(1.0, center + half)


def all_equal(value: float, n: int, bounds: tuple[float, float]) -> tuple[float, float]:
    """Interval when n of n tasks gave `value`: at most a share b of all tasks may give anything else.

    b = 1 - (alpha/2)^(1/n) is Clopper and Pearson's bound at 0 of n (Biometrika 26, 1934); that share is
    then put at either end of `bounds`. For successes (value 0 or 1) this is their interval itself.
    """
    differing = 1 - TAIL ** (1 / n)
    return value - differing * (value - bounds[0]), value + differing * (bounds[1] - value)


def alike(values: Sequence[float]) -> bool:
    return all(value == values[0] for value in values)


def mean_of(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("no tasks to estimate from")
    return math.fsum(values) / len(values)


def bootstrap(values: Sequence[float], *, seed: int = 0, resamples: int = 2000, plain: bool = False) -> Estimate:
    """Mean of `values`, one number a task, with the bootstrap's percentile interval over tasks.

    The percentiles are those that make up for a resample's spread being sqrt((n-1)/n) too small and for the
    normal's tails being lighter than Student's: "expanded percentiles", Hesterberg, What Teachers Should
    Know About the Bootstrap, The American Statistician 69 (2015). `plain` leaves them at 2.5 and 97.5.

    A draw takes 16 random bits through a table of the sorted values, three times as fast as
    `random.choices`; each distinct value keeps its share to within 1/65,536.
    """
    mean = mean_of(values)
    n = len(values)
    if n == 1:
        return Estimate(value=mean, low=mean, high=mean, tasks=n, method=BOOTSTRAP)
    tail = TAIL if plain else normal_tail(math.sqrt(n / (n - 1)) * student_t(TAIL, n - 1))
    rng = random.Random(seed)
    ordered = sorted(values)
    table = [ordered[(2 * slot + 1) * n >> 17] for slot in range(1 << 16)]
    draw = table.__getitem__
    means = sorted(sum(map(draw, array("H", rng.randbytes(2 * n)))) / n for _ in range(resamples))
    cut = int(tail * resamples)
    return Estimate(value=mean, low=means[cut], high=means[-1 - cut], tasks=n, method=BOOTSTRAP)
