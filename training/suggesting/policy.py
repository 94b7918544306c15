"""A softmax policy over the candidates of a scene, and the log-probability of the sequence that it shows.

Candidates are drawn without replacement (Plackett-Luce): `log pi(y|x) = sum_t [f(y_t) - logsumexp over those left]`.
B rows, K candidates, F features, N places shown.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mocktrial.training.suggesting.features import SceneTable, item_numbers


class CandidatePolicy(nn.Module):
    """`f = base + w . features + b[item]`; all zero at the start, where the policy is the base policy."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features))
        self.item = nn.Parameter(torch.zeros(len(item_numbers())))

    def forward(self, table: SceneTable, scenes: Tensor) -> Tensor:
        """Logits (B, K) of the scenes numbered `scenes` (B,); -inf where there is no candidate."""
        logits: Tensor = table.base[scenes] + table.seen[scenes] @ self.weight + self.item[table.items[scenes]]
        return logits.masked_fill(~table.valid[scenes], -torch.inf)


def sequence_logprob(logits: Tensor, order: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """log-probability (B,) of the places `first` <= t < `last` of the sequences `order`, given those before.

    logits (B, K), order (B, N) places in the pool, first and last (B,).
    """
    left, total = logits, logits.new_zeros(len(logits))
    for step in range(order.shape[1]):
        chosen = order[:, step : step + 1]  # (B, 1)
        part = logits.gather(1, chosen)[:, 0] - left.logsumexp(dim=1)
        counted = (first <= step) & (step < last)
        total = total + torch.where(counted, part, torch.zeros_like(part))
        left = left.scatter(1, chosen, -torch.inf)
    return total


def sampled(logits: Tensor, shown: int, generator: torch.Generator) -> Tensor:
    """Sequences (B, shown) drawn from the policy, by Gumbel noise. No gradient."""
    uniform = torch.rand(logits.shape, generator=generator).clamp(min=1e-12)
    return (logits.detach() - torch.log(-torch.log(uniform))).topk(shown, dim=1).indices


def one_thread() -> None:
    """Let torch compute in one thread, in the whole process: these tensors are too small to be shared out."""
    torch.set_num_threads(1)
