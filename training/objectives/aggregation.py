"""How tokens and rows add up: each row's factor, and what it adds to the batch's denominator.

B rows. An aggregation is a function (lengths, weight, constant) -> (factor (B,), count (B,)); the loss is
`sum_b factor_b sum_t m_bt l_bt / sum_b count_b`, the denominator over the whole optimizer batch. lengths
(B,): trained tokens (or sums of token weights); weight (B,) >= 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from torch import Tensor

from mocktrial.training.objectives.levels import nonzero

Aggregation: TypeAlias = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def token(lengths: Tensor, weight: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """The mean over tokens: DAPO, arXiv 2503.14476, eq. 8 (TRL's `dapo`, and `bnpo` on an unsplit batch)."""
    return weight, weight * lengths


def sequence(lengths: Tensor, weight: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """The mean over rows of each row's mean: GRPO, arXiv 2402.03300, eq. 3."""
    return weight / nonzero(lengths), weight


def constant(lengths: Tensor, weight: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """The mean over rows of sums over `constant` tokens, whatever their length: Dr. GRPO, arXiv 2503.20783."""
    return weight / constant, weight


AGGREGATIONS: Mapping[str, Aggregation] = MappingProxyType({"token": token, "sequence": sequence, "constant": constant})
