"""Where the variance of single results comes from: the task, the trial, the user's seed.

Nested: a task has trials, a trial may be played under several user seeds (the same world, agent's seed and
facts; other words of the user). Whatever repeats of one trial differ by for other reasons, such as an endpoint
that does not honour seeds, is in the innermost part too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mocktrial.mocktools.spec import Frozen


class VarianceSplit(Frozen):
    """Variances that add up to that of one result. None: nothing was repeated that would tell it apart."""

    task: float
    trial: float | None  # None: in `task`
    user: float | None  # None: in `trial`
    negative: tuple[str, ...] = ()  # parts whose estimate came out below 0 and was set to 0

    @property
    def shares(self) -> dict[str, float]:
        """Each known part over their sum; empty when nothing varies."""
        parts = {"task": self.task, "trial": self.trial, "user seed": self.user}
        known = {name: part for name, part in parts.items() if part is not None}
        total = math.fsum(known.values())
        return {name: part / total for name, part in known.items()} if total else {}


def variance_split(results: Mapping[str, Sequence[Sequence[float]]]) -> VarianceSplit | None:
    """Variance components of `results` (task -> trials -> results by user seed) by analysis of variance.

    The mean squares of the unbalanced nested classification are set equal to their expectations and solved
    (method of moments; Searle, Casella and McCulloch, Variance Components, Wiley 1992). The estimates are
    unbiased but may come out below 0 where a part is small: such a part is set to 0 and named, the others
    stay as they are. None when there is one task only, or no task was played twice.
    """
    tasks = [[list(cell) for cell in trials if cell] for trials in results.values()]
    cells = [trials for trials in tasks if trials]
    sizes = [[len(cell) for cell in trials] for trials in cells]
    of_task = [sum(trials) for trials in sizes]
    everything, tasks_played, trials_played = sum(of_task), len(sizes), sum(map(len, sizes))
    if tasks_played < 2 or everything == tasks_played:
        return None
    by_user = _mean_square(cells, everything - trials_played)
    means = [[(math.fsum(cell) / len(cell), len(cell)) for cell in trials] for trials in cells]
    by_trial = _mean_square_of_means(means, trials_played - tasks_played)
    over = [(math.fsum(mean * size for mean, size in trials) / n, n) for trials, n in zip(means, of_task, strict=True)]
    by_task = _mean_square_of_means([over], tasks_played - 1) or 0.0
    within = math.fsum(math.fsum(size**2 for size in row) / n for row, n in zip(sizes, of_task, strict=True))
    squares = math.fsum(size**2 for row in sizes for size in row) / everything
    user = by_user or 0.0
    trial = 0.0
    if by_trial is not None:
        trial = (by_trial - user) / ((everything - within) / (trials_played - tasks_played))
    expected = user + (within - squares) / (tasks_played - 1) * trial
    spread = (everything - math.fsum(n**2 for n in of_task) / everything) / (tasks_played - 1)
    task = (by_task - expected) / spread
    found = {"task": task, "trial": trial}
    return VarianceSplit(
        task=max(0.0, task),
        trial=None if by_trial is None else max(0.0, trial),
        user=by_user,
        negative=tuple(name for name, part in found.items() if part < 0),
    )


def _mean_square(cells: Sequence[Sequence[Sequence[float]]], freedom: int) -> float | None:
    """Of the results around the mean of their trial; None without a repeat."""
    if not freedom:
        return None
    means = [(cell, math.fsum(cell) / len(cell)) for trials in cells for cell in trials]
    return math.fsum((result - mean) ** 2 for cell, mean in means for result in cell) / freedom


def _mean_square_of_means(groups: Sequence[Sequence[tuple[float, int]]], freedom: int) -> float | None:
    """Of means, each with the number of results behind it, around the mean of their group."""
    if not freedom:
        return None
    total = 0.0
    for group in groups:
        n = sum(size for _, size in group)
        center = math.fsum(mean * size for mean, size in group) / n
        total += math.fsum(size * (mean - center) ** 2 for mean, size in group)
    return total / freedom
