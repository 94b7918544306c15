"""Over what a log-ratio is averaged before it becomes a ratio: a token, a sequence, tokens alike in entropy.

B rows, T positions, K groups a row. A level is a function (values, mask, entropy, count) -> (B, T) that
gives every position the mean of `values` over its peers in the row. It sees one row at a time, so a split
into micro-batches, an order or padding changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import torch
from torch import Tensor

Level: TypeAlias = Callable[[Tensor, Tensor, Tensor | None, int], Tensor]


def nonzero(total: Tensor) -> Tensor:
    """`total`, 1 where it is 0: a denominator of sums that are then 0 themselves."""
    return total.where(total > 0, torch.ones_like(total))


def token(values: Tensor, mask: Tensor, entropy: Tensor | None, count: int) -> Tensor:
    """Each position alone: PPO, GRPO (arXiv 2402.03300, eq. 3)."""
    return values


def sequence(values: Tensor, mask: Tensor, entropy: Tensor | None, count: int) -> Tensor:
    """The mean over the row's trained tokens, at each position: GSPO (arXiv 2507.18071, eq. 7)."""
    return ((values * mask).sum(dim=1) / nonzero(mask.sum(dim=1)))[:, None].expand_as(values)


def entropy_group(values: Tensor, mask: Tensor, entropy: Tensor | None, count: int) -> Tensor:
    """The mean over the tokens of the row whose entropy is in the same of `count` quantiles.

    entropy (B, T) in nats. ESPO, arXiv 2512.00499: "tokens grouped by predictive entropy, a ratio a group";
    quantiles within the row, equal in size, are our reading of a scheme (METHODS section 5, [N]).
    """
    if entropy is None:
        raise ValueError("grouping by entropy needs each token's entropy")
    trained = mask > 0  # (B, T)
    order = entropy.masked_fill(~trained, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)  # (B, T) rank in row
    number = order * count // nonzero(trained.sum(dim=1))[:, None]  # (B, T) in 0..K-1 where trained
    member = torch.nn.functional.one_hot(number.clamp(max=count - 1), count).to(values) * mask[..., None]  # (B, T, K)
    means = (member * values[..., None]).sum(dim=1) / nonzero(member.sum(dim=1))  # (B, K)
    return (member.sign() * means[:, None, :]).sum(dim=2)


LEVELS: Mapping[str, Level] = MappingProxyType({"token": token, "sequence": sequence, "entropy": entropy_group})
