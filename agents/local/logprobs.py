"""Log-probabilities of given tokens under a model: what objectives, reference models and tests need.

One forward pass over all rows without padding; the vocabulary's scores are made only where a token is
trained on. Differentiable, unless the caller switches gradients off.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mocktrial.agents.local.attention import Packed, forward
from mocktrial.agents.local.render import Row


def logprobs_of(model: PreTrainedModel, rows: Sequence[Row]) -> list[Tensor]:
    """Natural log-probability at temperature 1 of each token with mask 1: a tensor (sum(mask),) a row.

    A row's first token has nothing before it and may not have mask 1.
    """
    ids = [token for row in rows for token in row.ids]
    positions = [place for row in rows for place in range(len(row.ids))]
    wanted = [place for place, bit in enumerate(bit for row in rows for bit in row.mask) if bit]
    hidden = forward(model, ids, positions, Packed([len(row.ids) for row in rows]))
    before = torch.tensor(wanted, device=model.device, dtype=torch.long) - 1
    targets = torch.tensor([ids[place] for place in wanted], device=model.device, dtype=torch.long)
    scores = scores_of(model, hidden[before])
    logprobs = scores.gather(1, targets[:, None])[:, 0] - scores.logsumexp(dim=1)
    return list(torch.split(logprobs, [sum(row.mask) for row in rows]))


def scores_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """The vocabulary's scores (n, V) in float32 (or wider) for hidden states (n, hidden)."""
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    scores: Tensor = head(hidden)
    return scores if scores.dtype == torch.float64 else scores.float()
