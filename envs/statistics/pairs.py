"""Two runs on the same tasks: the difference with its interval, McNemar's test, and how many runs would do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mocktrial.envs.statistics.estimates import EXACT, PAIRED, TAIL, Estimate, alike, all_equal, mean_of
from mocktrial.envs.statistics.quantiles import student_t
from mocktrial.mocktools.spec import Frozen


class McNemar(Frozen):
    """Tasks that went better and worse in the second run, and the exact two-sided p of so uneven a split."""

    better: int
    worse: int
    p: float


def paired_difference(first: Mapping[str, float], second: Mapping[str, float]) -> Estimate:
    """Mean over common tasks of second - first (task -> value in [0, 1]) with Student's paired interval.

    The difficulty of a task cancels. Where no task differs from another, the bound of Clopper and Pearson.
    Tasks that only one of them has are left out. Raises `ValueError` when none is common.
    """
    values = [second[task] - first[task] for task in sorted(first.keys() & second.keys())]
    mean, n = mean_of(values), len(values)
    if alike(values):
        low, high = all_equal(mean, n, (-1.0, 1.0))
        return Estimate(value=mean, low=low, high=high, tasks=n, method=EXACT)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = student_t(TAIL, n - 1) * math.sqrt(variance / n)
    return Estimate(value=mean, low=max(-1.0, mean - half), high=min(1.0, mean + half), tasks=n, method=PAIRED)


def mcnemar(first: Mapping[str, float], second: Mapping[str, float]) -> McNemar:
    """McNemar's exact test over common tasks (Psychometrika 12, 1947): a fair coin for each task that differs.

    With one trial a task, the values are 0 or 1 and this is the test itself. With several, a task counts once,
    by the sign of the difference of its means: trials of one task are no independent pairs, and the k-th trial
    of one run has nothing to do with the k-th of another, so pairs of trials would make p too small.
    """
    common = sorted(first.keys() & second.keys())
    better = sum(second[task] > first[task] for task in common)
    worse = sum(second[task] < first[task] for task in common)
    n = better + worse
    tail = sum(math.comb(n, k) for k in range(min(better, worse) + 1))
    return McNemar(better=better, worse=worse, p=min(1.0, 2 * tail / 2**n))


def run_spread(trials: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation of a single run's mean over these tasks (one trial a task), from repeated trials.

    trials: one sequence of results a task. Within-task variances only, since every run plays the same
    tasks; tasks with one trial say nothing about it. None when no task has two.
    """
    repeated = [results for results in trials if len(results) > 1]
    if not repeated:
        return None
    variances = []
    for results in repeated:
        mean = math.fsum(results) / len(results)
        variances.append(math.fsum((result - mean) ** 2 for result in results) / (len(results) - 1))
    return math.sqrt(math.fsum(variances) / len(variances) / len(trials))


def runs_needed(difference: float, spread: float) -> int | None:
    """Runs an arm to see `difference` at a spread of `spread` between runs (METHODS, section 6).

    n >= 15.68 / (D/sigma)^2, at 95% confidence and 80% power; at least 1. None for a difference of 0.
    """
    if difference == 0:
        return None
    return max(1, math.ceil(15.68 * (spread / difference) ** 2))
