"""Weighted KTO on unpaired feedback: the value of a completion against a shared reference point z.

B rows. Inputs are log-probabilities summed over the completion's trained tokens (nats).
Sources: KTO, arXiv 2402.01306, section 4 (v, lambda, z0 clamped at 0); ToolRec, arXiv 2606.08466
(the calibrated weight w of a row: METHODS section 3).
"""

from __future__ import annotations

import torch
from torch import Tensor


def kto_reference_point(policy: Tensor, reference: Tensor, weight: Tensor) -> Tensor:
    """z0 = max(0, weighted mean over mismatched pairs of log pi(y'|x) - log ref(y'|x)): scalar, no gradient.

    policy, reference (P,): log-probabilities of completion y' of *another* prompt given prompt x; weight
    (P,) is that of x's row, so that a row of weight 2 still counts as two. z0 has not been multiplied by
    beta. Without any pair (all rows of a batch share one prompt) z0 is 0: nothing is known of the drift.
    METHODS section 4; arXiv 2402.01306, section 4.1.
    """
    total = weight.sum()
    if policy.numel() == 0 or float(total) <= 0.0:
        return policy.new_zeros(())
    drift = (weight.to(policy.dtype) * (policy - reference)).sum() / total.to(policy.dtype)
    return drift.clamp(min=0.0).detach()


def kto_loss(
    policy: Tensor,
    reference: Tensor,
    desirable: Tensor,
    weight: Tensor,
    z: Tensor,
    normaliser: float,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """`sum_b w_b lambda_b (1 - v_b) / normaliser`, where `r = log pi - log ref` and

        v = sigmoid(beta (r - z)) where desirable, sigmoid(beta (z - r)) where not.

    policy, reference, weight (B,), desirable (B,) bool, z scalar from `kto_reference_point` over the whole
    batch, normaliser > 0 the batch's sum of w. lambda is `desirable_weight` or `undesirable_weight`.
    At policy = reference and z = 0 each unit of weight costs lambda / 2. METHODS sections 3 and 4.
    """
    margin = beta * (policy - reference - z)  # (B,)
    value = torch.sigmoid(torch.where(desirable, margin, -margin))  # (B,)
    costs = policy.new_tensor([undesirable_weight, desirable_weight])  # lambda by label, in policy's dtype
    lambdas = costs[desirable.long()]  # (B,)
    return (weight.to(policy.dtype) * lambdas * (1.0 - value)).sum() / normaliser
