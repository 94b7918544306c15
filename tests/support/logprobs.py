"""What a model says of given tokens in one plain forward pass: the oracle of what was sampled or reused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from mocktrial.agents.local.attention import forward
from mocktrial.agents.local.logprobs import scores_of
from mocktrial.agents.local.render import Row
from mocktrial.envs.chat import TokenTrace


def row_of(traces: Iterable[TokenTrace]) -> Row:
    """A whole conversation exactly as it was sampled."""
    ids: list[int] = []
    mask: list[int] = []
    for trace in traces:
        ids += trace.context + trace.sampled
        mask += [0] * len(trace.context) + [1] * len(trace.sampled)
    return Row(tuple(ids), tuple(mask))


def logprobs_of(model: PreTrainedModel, rows: Sequence[Row]) -> list[Tensor]:
    """Natural log-probability at temperature 1 of each token with mask 1: a tensor (sum(mask),) a row.

    A row's first token has nothing before it and may not have mask 1.
    """
    ids = [token for row in rows for token in row.ids]
    positions = [place for row in rows for place in range(len(row.ids))]
    wanted = [place for place, bit in enumerate(bit for row in rows for bit in row.mask) if bit]
    hidden = forward(model, ids, positions, _Packed([len(row.ids) for row in rows]))
    before = torch.tensor(wanted, device=model.device, dtype=torch.long) - 1
    targets = torch.tensor([ids[place] for place in wanted], device=model.device, dtype=torch.long)
    scores = scores_of(model, hidden[before])
    logprobs = scores.gather(1, targets[:, None])[:, 0] - scores.logsumexp(dim=1)
    return list(torch.split(logprobs, [sum(row.mask) for row in rows]))


class _Packed:
    """Rows of the given lengths, each attending to itself alone. Nothing is kept; gradients flow."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = list(lengths)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        rows = zip(*(torch.split(part, self._lengths, dim=1) for part in (q, k, v)), strict=True)
        out = [
            scaled_dot_product_attention(*(part[None] for part in row), is_causal=True, scale=scale, enable_gqa=True)[0]
            for row in rows
        ]
        return torch.cat(out, dim=1)
