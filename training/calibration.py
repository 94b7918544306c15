"""What a click is worth: weights of click samples for KTO, after ToolRec (arXiv 2606.08466; METHODS, section 3).

Pure functions of what a log shows; no truth is needed. A sample is a set of suggestions or a single one, with a
label (clicked or not), its user's historical click rate and the usage percentile of the tool that it invokes.
Readiness learned from data, in place of a formula, is in `readiness`. Bad numbers raise `ValueError`.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

System = Literal["none", "static", "frequency"]


@dataclass(frozen=True)
class Sample:
    """clicked: any of it was. rate: the user's clicks a suggestion before this sample; None: no history yet.
    percentile: of the invoked tool, in [0, 1]; None: plain chat."""

    clicked: bool
    rate: float | None
    percentile: float | None = None


@dataclass(frozen=True)
class Calibration:
    """Which weights apply, with the paper's constants.

    user: the user level. system: the system level, static or by frequency. a, g, k as in METHODS section 3; mu the
    upper quartile of the users' click rates, s their standard deviation (the paper does not say which spread).
    """

    user: bool = True
    system: System = "frequency"
    a: float = 0.25
    g: float = 1.25
    k: float = 3.0
    mu: float = 0.07
    s: float = 0.07

    def __post_init__(self) -> None:
        if not (0 <= self.a < 1 and self.g >= 0 and self.k > 0 and self.s > 0):
            raise ValueError(f"needs 0 <= a < 1, g >= 0, k > 0 and s > 0, got {self}")


NONE = Calibration(user=False, system="none")  # every sample counts as one


def user_weight(sample: Sample, calibration: Calibration) -> float:
    """`w_u = 1 - a*tanh((uctr - mu)/s)` for a clicked sample, `1 + a*tanh((uctr - mu)/s)` for an unclicked one.

    ToolRec, user level (METHODS section 3). A click of somebody who rarely clicks counts more than 1, and so does a
    non-click of somebody who often does. Within [1 - a, 1 + a]; 1 where there is no history.
    """
    if sample.rate is None:
        return 1.0
    if not 0 <= sample.rate <= 1:
        raise ValueError(f"a click rate is in [0, 1], got {sample.rate}")
    lean = calibration.a * math.tanh((sample.rate - calibration.mu) / calibration.s)
    return 1 - lean if sample.clicked else 1 + lean


def system_weight(sample: Sample, calibration: Calibration) -> float:
    """`w_s = (1+g)^(p^k)` where clicked and invoking a tool, 0 where unclicked and invoking one, 1 otherwise.

    ToolRec, system level (METHODS section 3), frequency-aware. The static form takes p = 1 for every tool, our
    reading of "static". Within [1, 1 + g] or exactly 0.
    """
    if sample.percentile is None:
        return 1.0
    if not 0 <= sample.percentile <= 1:
        raise ValueError(f"a percentile is in [0, 1], got {sample.percentile}")
    if not sample.clicked:
        return 0.0
    p = 1.0 if calibration.system == "static" else sample.percentile
    return float((1 + calibration.g) ** (p**calibration.k))


def sample_weight(sample: Sample, calibration: Calibration) -> float:
    """`max(w_u, w_s)` where clicked, `min(w_u, w_s)` where not; the one level alone where the other is off.

    ToolRec, aggregation (METHODS section 3).
    """
    levels = []
    if calibration.user:
        levels.append(user_weight(sample, calibration))
    if calibration.system != "none":
        levels.append(system_weight(sample, calibration))
    if not levels:
        return 1.0
    return max(levels) if sample.clicked else min(levels)


def effective_size(weights: Sequence[float]) -> float:
    """Kish's effective sample size, `(sum w)^2 / sum w^2`: equal weights count in full, zeros not at all."""
    if any(not 0 <= weight < math.inf for weight in weights):
        raise ValueError("weights are finite and not below 0")
    top = max(weights, default=0.0)
    if top == 0:
        return 0.0
    scaled = [weight / top for weight in weights]  # so that no square leaves the floats
    return math.fsum(scaled) ** 2 / math.fsum(weight**2 for weight in scaled)


def spread_of_users(rates: Sequence[float]) -> tuple[float, float]:
    """(mu, s) of a log: upper quartile over users' click rates, and their standard deviation.

    Raises `ValueError` for fewer than two users, or where all click alike.
    """
    if len(rates) < 2 or (s := statistics.pstdev(rates)) == 0:
        raise ValueError("needs users who differ in how often they click")
    return statistics.quantiles(rates, n=4, method="inclusive")[2], s


def percentiles(uses: Mapping[str, int]) -> dict[str, float]:
    """Usage-frequency percentile p in [0, 1] of each tool: 0 the least used, 1 the most; equals share the middle."""
    ordered = sorted(uses.values())
    most = max(1, len(ordered) - 1)

    def place(count: int) -> float:
        return (bisect.bisect_left(ordered, count) + bisect.bisect_right(ordered, count) - 1) / 2

    return {tool: place(count) / most for tool, count in uses.items()}
