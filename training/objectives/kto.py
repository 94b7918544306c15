"""Weighted KTO on unpaired feedback: the value of a completion against a shared reference point z.

B rows, T positions, P pairs. Log-probabilities in nats. The batch is always the whole optimizer batch: z, its
partners and the normaliser are fixed before the first micro-batch. Sources: KTO, arXiv 2402.01306, section 4
(v, lambda, z0 clamped at 0); ToolRec, arXiv 2606.08466 (the calibrated weight w of a row: METHODS section 3).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from mocktrial.envs.seeds import derive


def weighted_logp(logps: Tensor, mask: Tensor) -> Tensor:
    """`sum_t m_bt log pi_bt`, (B,): a completion's log-probability, or with token weights in `mask` a part of it.

    logps, mask (B, T); mask is 0 for tokens that the policy did not write, else 1 or the token's weight, the
    same for policy and reference.
    """
    return (logps.masked_fill(mask == 0, 0.0) * mask.to(logps.dtype)).sum(dim=1)


def shuffled_partners(rows: Sequence[str], prompts: Sequence[Hashable], seed: int, step: int) -> list[int | None]:
    """For each row the row of another prompt whose completion it is paired with; None where there is none.

    rows: what each row is, as text (rows alike in it are the same row), without rows of weight 0; prompts: what
    each row's prompt is.
    Of the candidates the one that a hash of (seed, step, row, candidate) ranks first is taken. So the choice
    is new each step, uniform over the distinct rows of other prompts, and the same in any order and with rows
    repeated: a row of weight 2 is exactly that row twice. METHODS section 4 has the traps this avoids.
    """
    partners: list[int | None] = []
    for row, prompt in zip(rows, prompts, strict=True):
        others = (place for place, other in enumerate(prompts) if other != prompt)
        partners.append(min(others, key=lambda place: derive(seed, "kto", step, row, rows[place]), default=None))
    return partners


def shifted_partners(count: int) -> list[int | None]:
    """Row i with the completion of row i - 1, the first with the last; a row alone with itself.

    As TRL 1.16 `KTOTrainer` does within each of its batches: whatever the prompts are, and fixed by the
    order. For comparison with it, together with an unweighted mean.
    """
    return [(place - 1) % count for place in range(count)]


def kto_reference_point(policy: Tensor, reference: Tensor, weight: Tensor, *, clip: float = 0.0) -> Tensor:
    """z0 = max(0, weighted mean over mismatched pairs of log pi(y'|x) - log ref(y'|x)): scalar, no gradient.

    policy, reference (P,): log-probabilities of completion y' of *another* prompt given prompt x; weight
    (P,) is that of x's row, so that a row of weight 2 still counts as two; ones for the reference libraries'
    mean. clip > 0 bounds each pair as in `kto_loss`. z0 has not been multiplied by beta. Without any pair
    (all rows of a batch share one prompt) z0 is 0: nothing is known of the drift.
    METHODS section 4; arXiv 2402.01306, section 4.1.
    """
    total = weight.sum()
    if policy.numel() == 0 or float(total) <= 0.0:
        return policy.new_zeros(())
    drift = (weight.to(policy.dtype) * _bounded(policy - reference, clip)).sum() / total.to(policy.dtype)
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
    clip: float = 0.0,
) -> Tensor:
    """`sum_b w_b lambda_b (1 - v_b) / normaliser`, where `r = log pi - log ref` and

        v = sigmoid(beta (r - z)) where desirable, sigmoid(beta (z - r)) where not.

    policy, reference (B,) of `weighted_logp`, weight (B,), desirable (B,) bool, z scalar from
    `kto_reference_point` over the whole batch (a zero for KTO without z), normaliser > 0 the batch's sum of w.
    lambda is `desirable_weight` or `undesirable_weight`. clip > 0 bounds r to [-clip, clip] nats, beyond which
    a row has no gradient (ours, not of the papers: a row that ran away stops pulling). At policy = reference
    and z = 0 each unit of weight costs lambda / 2. METHODS sections 3 and 4; arXiv 2402.01306, eq. 8.
    """
    margin = beta * (_bounded(policy - reference, clip) - z)  # (B,)
    value = torch.sigmoid(torch.where(desirable, margin, -margin))  # (B,)
    costs = policy.new_tensor([undesirable_weight, desirable_weight])  # lambda by label, in policy's dtype
    lambdas = costs[desirable.long()]  # (B,)
    return (weight.to(policy.dtype) * lambdas * (1.0 - value)).sum() / normaliser


def _bounded(log_ratio: Tensor, clip: float) -> Tensor:
    return log_ratio.clamp(-clip, clip) if clip > 0.0 else log_ratio
