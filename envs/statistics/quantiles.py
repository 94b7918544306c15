"""Quantiles that the intervals need, without scipy: Student's t and the normal distribution."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

_MANY = 400  # degrees of freedom from which three terms of the expansion give nine digits


@lru_cache(maxsize=4096)
def student_t(tail: float, freedom: int) -> float:
    """The value that Student's t passes with probability `tail` < 1/2.

    Few degrees of freedom: the distribution function of Abramowitz and Stegun, 26.7.3 and 26.7.4, bisected.
    Many: their expansion 26.7.5.
    """
    if freedom > _MANY:
        x = NormalDist().inv_cdf(1 - tail)
        first = (x**3 + x) / 4
        second = (5 * x**5 + 16 * x**3 + 3 * x) / 96
        third = (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384
        return x + first / freedom + second / freedom**2 + third / freedom**3
    low, high = 0.0, math.pi / 2  # of the angle atan(t / sqrt(freedom)), so that every t is within reach
    for _ in range(60):
        middle = (low + high) / 2
        if 1 - _within(middle, freedom) > 2 * tail:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """P(|T| <= t) for angle = atan(t / sqrt(freedom))."""
    cosine = math.cos(angle) ** 2
    odd = freedom % 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for step in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * step / (step + 1)
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def normal_tail(value: float) -> float:
    """P(Z > value)."""
    return math.erfc(value / math.sqrt(2)) / 2
