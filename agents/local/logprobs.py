"""The vocabulary's scores, of which log-probabilities are made."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel


def scores_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """The vocabulary's scores (n, V) in float32 (or wider) for hidden states (n, hidden)."""
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    scores: Tensor = head(hidden)
    return scores if scores.dtype == torch.float64 else scores.float()
