"""Attention over rows of different lengths laid end to end, with or without kept keys and values.

A batch of rows is run as one sequence of N tokens, so no token is spent on padding; the rows are told
apart here, inside the attention. `install` points a transformers model at this attention; a call that
hands over no `rows` (plain `generate`) falls back to transformers' own. Fails with `UsageError` for a model
whose attention sees only a window.

Shapes: N tokens of all rows, H query heads, K key/value heads, G = H / K, D head width, S tokens seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from mocktrial.mocktools.errors import UsageError

_NAME = "mocktrial_rows"


class Rows(Protocol):
    """One way of telling rows apart: q (H, N, D), k and v (K, N, D) -> (H, N, D)."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor: ...


class Packed:
    """Rows of the given lengths, each attending to itself alone. Nothing is kept; gradients flow."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = list(lengths)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out = []
        start = 0
        for length in self._lengths:
            here = slice(start, start + length)
            out.append(_one_row(q[:, here], k[:, here], v[:, here], None, scale))
            start += length
        return torch.cat(out, dim=1)


class Slab:
    """Keys and values of a batch: kept (B, L, 2, K, capacity, D), where L counts layers.

    A row's i-th token stands at index i, so index and position are the same and a shared prefix is
    aligned. What stands beyond a row's length is left over from before: no query may see it, and it must
    be finite, since a masked NaN is still a NaN.
    """

    def __init__(self, model: PreTrainedModel, rows: int, capacity: int) -> None:
        config = model.config
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (rows, config.num_hidden_layers, 2, config.num_key_value_heads, capacity, width)
        self.kept = torch.zeros(shape, dtype=model.dtype, device=model.device)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and capacity."""
        return self.kept.shape[0], self.kept.shape[4]

    def put(self, row: int, tokens: Tensor) -> None:
        """Copy in `tokens` (L, 2, K, S, D) as the row's first S."""
        self.kept[row, :, :, :, : tokens.shape[3]] = tokens

    def get(self, row: int, length: int) -> Tensor:
        """A copy (L, 2, K, S, D) of the row's first `length` tokens."""
        return self.kept[row, :, :, :, :length].clone()


class Extend:
    """Appends several tokens to each row: `pasts[i]` tokens are kept of row i, `news[i]` arrive."""

    def __init__(self, slab: Slab, rows: Sequence[int], pasts: Sequence[int], news: Sequence[int]) -> None:
        self._kept = slab.kept
        self._spans = list(zip(rows, pasts, news, strict=True))
        hidden = torch.full((1,), float("-inf"), dtype=slab.kept.dtype, device=slab.kept.device)
        self._masks = [hidden.expand(new, past + new).triu(past + 1) if past else None for _, past, new in self._spans]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out = []
        start = 0
        for (row, past, new), mask in zip(self._spans, self._masks, strict=True):
            here, seen = slice(start, start + new), past + new
            keys, values = self._kept[row, layer]
            keys[:, past:seen] = k[:, here]
            values[:, past:seen] = v[:, here]
            out.append(_one_row(q[:, here], keys[:, :seen], values[:, :seen], mask, scale))
            start += new
        return torch.cat(out, dim=1)


class Step:
    """Appends one token to each of the first n rows; row i's stands at `positions[i]`."""

    def __init__(self, slab: Slab, positions: Tensor) -> None:  # (n,)
        seen = int(positions.max()) + 1
        self._kept = slab.kept[: len(positions)]
        self._rows = torch.arange(len(positions), device=positions.device)
        self._positions = positions
        self._seen = seen
        beyond = torch.arange(seen, device=positions.device) > positions[:, None]
        self._mask = torch.zeros(beyond.shape, dtype=slab.kept.dtype, device=positions.device)
        self._mask = self._mask.masked_fill_(beyond, float("-inf"))[:, None, None]  # (n, 1, 1, S)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        keys, values = self._kept[:, layer, 0], self._kept[:, layer, 1]  # (n, K, capacity, D)
        keys[self._rows, :, self._positions] = k.transpose(0, 1)
        values[self._rows, :, self._positions] = v.transpose(0, 1)
        heads, rows, width = q.shape
        grouped = q.transpose(0, 1).reshape(rows, k.shape[0], -1, width)  # (n, K, G, D): G stands as queries
        out = scaled_dot_product_attention(
            grouped, keys[:, :, : self._seen], values[:, :, : self._seen], attn_mask=self._mask, scale=scale
        )
        return out.reshape(rows, heads, width).transpose(0, 1)


def _one_row(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Attention of one row, q (H, T, D) and k, v (K, S, D); causal where no mask (T, S) is given."""
    out = scaled_dot_product_attention(
        q[None], k[None], v[None], attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
    )
    return out[0]


def install(model: PreTrainedModel) -> None:
    """Let `forward` below run on this model. Other uses of the model are unchanged."""
    if set(getattr(model.config, "layer_types", None) or ()) - {"full_attention"}:
        raise UsageError(
            f"{model.config.model_type} models attend to a window, which the local policy cannot do",
            hint="use a model with full attention, such as smollm2",
        )
    AttentionInterface.register(_NAME, _attention)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)


def forward(model: PreTrainedModel, ids: Sequence[int], positions: Sequence[int], rows: Rows) -> Tensor:
    """Final hidden states (N, hidden) of the tokens `ids`, laid end to end, row after row."""
    device = model.device
    output = model.base_model(
        input_ids=torch.tensor([ids], device=device),
        position_ids=torch.tensor([positions], device=device),
        # Any 4-D mask stops transformers from making one of its own; ours comes from `rows`.
        attention_mask=torch.empty(1, 1, 1, 1, device=device),
        use_cache=False,
        rows=rows,
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


def _attention(
    module: Any, q: Tensor, k: Tensor, v: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    rows: Rows | None = given.pop("rows", None)
    if rows is None:
        return sdpa_attention_forward(module, q, k, v, attention_mask, **given)
    out = rows.attend(module.layer_idx, q[0], k[0], v[0], given["scaling"])
    return out.transpose(0, 1)[None], None
