"""GRPO: group-relative advantages, a token ratio clipped to each side by its own width, optional k3 KL.

B rows (rollouts), T sampled positions, G rollouts in a group (one task). Sources: DeepSeekMath,
arXiv 2402.03300, eq. 3 (objective, KL term) and 4.1.2 (advantage); asymmetric clip: METHODS section 1
(SynthAgent, 0.2 / 0.28) and DAPO, arXiv 2503.14476, eq. 10.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def grpo_advantages(
    rewards: Tensor, groups: Sequence[Hashable], weight: Tensor, *, eps: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """`A = (R - mean) / (std + eps)` in each group, and which rows are kept.

    rewards, weight (B,); groups: B keys. Returns advantages (B,) and kept (B,) bool. Mean and standard
    deviation are the weighted ones of the population (divided by the sum of w, not by G - 1), so that a
    row of weight 2 counts as two. Groups with max - min <= eps teach nothing: they are not kept, and so
    stand in neither numerator, denominator nor KL term (METHODS section 5, zero-variance elimination).
    """
    advantages, kept = torch.zeros_like(rewards), torch.zeros_like(rewards, dtype=torch.bool)
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        if float(weight[row]) > 0.0:
            members.setdefault(group, []).append(row)
    for rows in members.values():
        reward, share = rewards[rows], weight[rows].to(rewards.dtype)  # (G,), (G,)
        if float(reward.max() - reward.min()) <= eps:
            continue
        share = share / share.sum()
        mean = (share * reward).sum()
        std = (share * (reward - mean) ** 2).sum().sqrt()
        advantages[rows] = (reward - mean) / (std + eps)
        kept[rows] = True
    return advantages, kept


def grpo_loss(
    logps: Tensor,
    behaviour: Tensor,
    mask: Tensor,
    advantages: Tensor,
    weight: Tensor,
    normaliser: float,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    kl_weight: float = 0.0,
    reference: Tensor | None = None,
) -> Tensor:
    """`-sum_b w_b (1/n_b) sum_t m_bt [min(c A, clip(c, 1 - low, 1 + high) A) - kl_weight k3] / normaliser`.

    c = exp(logps - behaviour) is the token ratio, n_b the row's number of trained tokens, and
    k3 = exp(ref - logps) - (ref - logps) - 1 >= 0. logps, behaviour, mask, reference (B, T), behaviour being
    the recorded log-probabilities under the policy that sampled; advantages, weight (B,); normaliser > 0 the
    kept rows' sum of w over the whole batch. `reference` must be given if kl_weight > 0 (ValueError).
    arXiv 2402.03300, eq. 3 and 4.
    """
    trained = mask.to(logps.dtype)  # (B, T)
    ratio = torch.exp((logps - behaviour).masked_fill(mask == 0, 0.0))  # (B, T)
    advantage = advantages.to(logps.dtype)[:, None]  # (B, 1)
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)  # (B, T)
    gain = torch.minimum(ratio * advantage, clipped * advantage)  # (B, T)
    if kl_weight > 0.0:
        if reference is None:
            raise ValueError("kl_weight > 0 needs the reference log-probabilities")
        gap = (reference - logps).masked_fill(mask == 0, 0.0)  # (B, T)
        gain = gain - kl_weight * (torch.exp(gap) - gap - 1.0)
    lengths = trained.sum(dim=1).clamp(min=1.0)  # (B,)
    rows = (gain * trained).sum(dim=1) / lengths  # (B,)
    return -(rows * weight.to(logps.dtype)).sum() / normaliser
