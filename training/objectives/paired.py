"""Losses on pairs of a chosen and a rejected completion of one prompt: DPO, and OTPO's token weights for it.

P pairs, M and N positions of the chosen and the rejected completion, D width. Inputs are log-probabilities in
nats; nothing here needs to know how they were computed. OTPO's weights go into `kto.weighted_logp` as the mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    weight: Tensor,
    normaliser: float,
    *,
    beta: float = 0.1,
) -> Tensor:
    """`-sum_p w_p log sigmoid(beta ((chosen - ref) - (rejected - ref))) / normaliser`.

    All (P,): summed log-probabilities of completions; weight >= 0; normaliser > 0 the whole batch's sum of w.
    At policy = reference each unit of weight costs log 2. DPO, arXiv 2305.18290, eq. 7.
    """
    margin = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))  # (P,)
    return -(weight.to(margin.dtype) * logsigmoid(margin)).sum() / normaliser


def otpo_weights(
    chosen: Tensor,
    rejected: Tensor,
    chosen_mask: Tensor,
    rejected_mask: Tensor,
    *,
    reg: float = 1.0,
    reg_m: float = 0.2,
    steps: int = 50,
) -> tuple[Tensor, Tensor]:
    """Token weights (P, M) and (P, N): the marginals of the transport plan, each side's sum being min(m, n).

    chosen (P, M, D), rejected (P, N, D): last hidden states; masks (P, M) and (P, N), 1 at the m and n trained
    tokens. The plan is `transport`'s between equal masses at Euclidean cost: tokens with a near counterpart
    in the other answer count more. No gradient. OTPO, arXiv 2505.18720 (METHODS section 5); equal masses and
    the Euclidean cost are our reading. Zero weights for a pair with an empty side.
    """
    with torch.no_grad():
        rows, columns = chosen_mask > 0, rejected_mask > 0
        inside = rows[:, :, None] & columns[:, None, :]  # (P, M, N)
        plan = transport(torch.cdist(chosen, rejected), inside, reg=reg, reg_m=reg_m, steps=steps)
        mass = torch.minimum(rows.sum(dim=1), columns.sum(dim=1)).to(plan)  # (P,) min(m, n)
        plan = plan * mass[:, None, None]
        return plan.sum(dim=2), plan.sum(dim=1)


def transport(cost: Tensor, inside: Tensor, *, reg: float, reg_m: float, steps: int = 50) -> Tensor:
    """The unbalanced entropic transport plan (P, M, N) between equal masses, scaled to a total of 1.

    cost (P, M, N) >= 0; inside (P, M, N) bool, the product of two masks. Minimises
    `<plan, cost> + reg KL(plan | uniform) + reg_m (KL(rows | equal) + KL(columns | equal))` by the scaling of
    Chizat et al., arXiv 1607.05816, in the log domain. A step shrinks the error by (reg_m / (reg_m + reg))^2
    at least, so at 1 and 0.2 ten are exact in float64; `steps` is for other choices. 0 for an empty pair.
    """
    damping = reg_m / (reg_m + reg)
    kernel = (-cost / reg).masked_fill(~inside, -torch.inf)  # (P, M, N)
    rows, columns = inside.any(dim=2), inside.any(dim=1)  # (P, M), (P, N)
    left, right = torch.zeros_like(kernel[:, :, 0]), torch.zeros_like(kernel[:, 0])
    for _ in range(steps):
        left = (-damping * (kernel + right[:, None, :]).logsumexp(dim=2)).masked_fill(~rows, 0.0)
        right = (-damping * (kernel + left[:, :, None]).logsumexp(dim=1)).masked_fill(~columns, 0.0)
    logs = kernel + left[:, :, None] + right[:, None, :]
    total = logs.flatten(1).logsumexp(dim=1)[:, None, None]
    return torch.where(inside, (logs - total).exp(), torch.zeros_like(logs))
