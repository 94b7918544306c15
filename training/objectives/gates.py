"""How far a ratio may carry an advantage: the gain of each token, to be maximised.

B rows, T positions. A gate is a function (config, terms) -> gain (B, T); positions with mask 0 hold
whatever, the caller leaves them out. GSPO is `clip` at the sequence's level, PPO `clip` with equal widths,
DAPO with a wider upper one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

from mocktrial.training.objectives.levels import LEVELS, nonzero
from mocktrial.training.objectives.presets import PolicyLoss


@dataclass(frozen=True, slots=True)
class Terms:
    """What gates look at. log_ratio: log pi - log behaviour, 0 where mask is 0; entropy in nats, no gradient."""

    log_ratio: Tensor  # (B, T)
    mask: Tensor  # (B, T), token weights >= 0
    advantage: Tensor  # (B, 1)
    entropy: Tensor | None  # (B, T)

    def at(self, level: str, values: Tensor, count: int) -> Tensor:
        return LEVELS[level](values, self.mask, self.entropy, count)  # (B, T)


Gate: TypeAlias = Callable[[PolicyLoss, Terms], Tensor]


def clipped_gain(ratio: Tensor, advantage: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """`min(c A, clip(c, 1 - low, 1 + high) A)`: PPO, arXiv 1707.06347, eq. 7. ratio c (B, T), advantage A (B, 1)."""
    lower = torch.as_tensor(1.0 - low, dtype=ratio.dtype, device=ratio.device)
    upper = torch.as_tensor(1.0 + high, dtype=ratio.dtype, device=ratio.device)
    return torch.minimum(ratio * advantage, ratio.clamp(lower, upper) * advantage)


def none(config: PolicyLoss, terms: Terms) -> Tensor:
    """`c A`: importance-weighted REINFORCE; on-policy its gradient is `A grad log pi`."""
    return terms.at(config.level, terms.log_ratio, config.entropy_groups).exp() * terms.advantage


def clip(config: PolicyLoss, terms: Terms) -> Tensor:
    """PPO's minimum with a width to each side: DAPO, arXiv 2503.14476, eq. 10; GSPO, arXiv 2507.18071, eq. 5."""
    ratio = terms.at(config.level, terms.log_ratio, config.entropy_groups).exp()
    return clipped_gain(ratio, terms.advantage, config.clip_low, config.clip_high)


def mixed(config: PolicyLoss, terms: Terms) -> Tensor:
    """`w g(c_token) + (1 - w) g(c_sequence)`, each ratio clipped in its own region, no gradient through w.

    w = `mix`, or the token's entropy over the largest in its row. DHPO, arXiv 2601.05607 (METHODS section 5,
    [N]). That g is PPO's minimum, the widths, and how entropy makes w, are our reading; with it w = 1 is
    GRPO and w = 0 is GSPO.
    """
    by_token = clipped_gain(terms.log_ratio.exp(), terms.advantage, config.clip_low, config.clip_high)
    ratio = terms.at("sequence", terms.log_ratio, 1).exp()
    by_sequence = clipped_gain(ratio, terms.advantage, config.sequence_low, config.sequence_high)
    share: Tensor | float
    if config.mix == "entropy":
        entropy = _entropy(terms)
        share = entropy / nonzero(entropy.amax(dim=1, keepdim=True))  # (B, T)
    else:
        share = config.mix
    return share * by_token + (1.0 - share) * by_sequence


def adaptive(config: PolicyLoss, terms: Terms) -> Tensor:
    """`clip` whose widths are multiplied by `1 + growth * H`, H the mean entropy (nats) of the token's group.

    ESPO, arXiv 2512.00499: the clip width grows with the group's entropy (METHODS section 5, scheme [N]);
    that it grows linearly, and the lower bound stays >= 0, is our reading.
    """
    ratio = terms.at(config.level, terms.log_ratio, config.entropy_groups).exp()
    wider = 1.0 + config.growth * terms.at(config.level, _entropy(terms), config.entropy_groups)  # (B, T)
    return clipped_gain(ratio, terms.advantage, (config.clip_low * wider).clamp(max=1.0), config.clip_high * wider)


def _entropy(terms: Terms) -> Tensor:
    if terms.entropy is None:
        raise ValueError("this gate needs each token's entropy")
    return terms.entropy


GATES: Mapping[str, Gate] = MappingProxyType({"none": none, "clip": clip, "mixed": mixed, "adaptive": adaptive})
