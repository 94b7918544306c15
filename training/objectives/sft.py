"""Supervised fine-tuning: weighted negative log-likelihood of the tokens that the policy is to write.

B rows, T trained positions. Tool results, user turns and padding have mask 0 and so no gradient.
"""

from __future__ import annotations

from torch import Tensor


def sft_normaliser(mask: Tensor, weight: Tensor) -> float:
    """Weighted number of trained tokens, `sum_b w_b sum_t m_bt`, of a whole optimizer batch.

    mask (B, T), weight (B,) >= 0. Added over micro-batches it gives the batch's normaliser.
    """
    return float((weight.double() * mask.double().sum(dim=1)).sum())


def sft_loss(logps: Tensor, mask: Tensor, weight: Tensor, normaliser: float) -> Tensor:
    """`-sum_bt w_b m_bt log pi(y_bt | y_b<t, x_b) / normaliser`: the token mean, each row weighted.

    logps (B, T) in nats, mask (B, T) of 0 and 1, weight (B,) >= 0, normaliser > 0 of the whole batch.
    A row of weight 0 counts as removed, a row of weight 2 as present twice.
    """
    kept = logps.masked_fill(mask == 0, 0.0)  # (B, T): a NaN at a masked place must not spread
    return -(kept.sum(dim=1) * weight.to(logps.dtype)).sum() / normaliser
