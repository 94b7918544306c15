"""How far a judge agrees with the truth: shares, Cohen's kappa, flips, quality at the top. Intervals over tasks.

Cases of one task are not independent, so every interval comes from a bootstrap that draws tasks (METHODS, section 6).
Where all cases gave the same, the bootstrap would say nothing; the interval is then the exact one over tasks
(`statistics.estimates.all_equal`). Pure Python, seeded. Empty input gives None.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from mocktrial.envs.statistics.estimates import BOOTSTRAP, EXACT, TAIL, Estimate, all_equal

T = TypeVar("T")
_RESAMPLES = 1000


class Answer(NamedTuple):
    """What a judge made of one case."""

    truth: bool
    said: bool
    score: float


ByTask = Mapping[str, Sequence[T]]  # cases by task


def share(cases: ByTask[bool], *, seed: int = 0) -> Estimate | None:
    """Share of True among all cases."""
    found = _estimate(cases, lambda drawn: sum(drawn) / len(drawn), seed)
    return _exact(found.value, cases) if found and found.low == found.high else found


def kappa(cases: ByTask[Answer], *, seed: int = 0) -> Estimate | None:
    """Cohen's kappa of truth and answer (Educational and Psychological Measurement 20, 1960), in [-1, 1].

    (p_o - p_e) / (1 - p_e), p_o the share of equal answers, p_e what chance would give at these marginals. None where
    truth and answers are all the same, which says nothing; such draws of the bootstrap are left out.
    """
    found = _estimate(cases, _kappa, seed)
    if found is None or found.value < 1:
        return found
    chance = _chance([answer for answers in cases.values() for answer in answers])
    exact = _exact(1.0, cases)  # of p_o
    return exact.model_copy(update={"low": (exact.low - chance) / (1 - chance)})


def _kappa(answers: Sequence[Answer]) -> float | None:
    observed = sum(answer.truth == answer.said for answer in answers) / len(answers)
    chance = _chance(answers)
    return None if math.isclose(chance, 1) else (observed - chance) / (1 - chance)


def _chance(answers: Sequence[Answer]) -> float:
    true = sum(answer.truth for answer in answers) / len(answers)
    yes = sum(answer.said for answer in answers) / len(answers)
    return true * yes + (1 - true) * (1 - yes)


def top_share(cases: ByTask[Answer], eta: float, *, seed: int = 0) -> Estimate | None:
    """True rate among the `eta` of cases with the best scores (after RETA; METHODS, section 6). 0 < eta <= 1.

    Cases with equal scores at the edge enter by their mean: the value is what any order of them gives on average.
    """
    found = _estimate(cases, lambda drawn: _top_share(drawn, eta), seed)
    return _exact(found.value, cases) if found and found.low == found.high else found


def _top_share(answers: Sequence[Answer], eta: float) -> float:
    wanted = max(1, math.ceil(eta * len(answers) - 1e-9))
    edge = sorted((answer.score for answer in answers), reverse=True)[wanted - 1]
    above = [answer.truth for answer in answers if answer.score > edge]
    tied = [answer.truth for answer in answers if answer.score == edge]
    return (sum(above) + (wanted - len(above)) * sum(tied) / len(tied)) / wanted


def _exact(value: float, cases: ByTask[T]) -> Estimate:
    """The interval of a share where all tasks gave `value`."""
    tasks = sum(bool(values) for values in cases.values())
    low, high = all_equal(value, tasks, (0.0, 1.0))
    return Estimate(value=value, low=low, high=high, tasks=tasks, method=EXACT)


def _estimate(cases: ByTask[T], of: Callable[[Sequence[T]], float | None], seed: int) -> Estimate | None:
    """A statistic of all cases, and its percentile interval over draws of as many tasks."""
    tasks = [list(values) for values in cases.values() if values]
    value = of([case for task in tasks for case in task]) if tasks else None
    if value is None:
        return None
    chance = random.Random(seed)
    drawn = ([case for task in chance.choices(tasks, k=len(tasks)) for case in task] for _ in range(_RESAMPLES))
    found = sorted(result for result in map(of, drawn) if result is not None)
    cut = int(TAIL * len(found))
    return Estimate(value=value, low=found[cut], high=found[-1 - cut], tasks=len(tasks), method=BOOTSTRAP)
