"""Attention over rows of different lengths laid end to end, with or without kept keys and values.

A batch of rows is run as one sequence of N tokens, so no token is spent on padding; the rows are told
apart here, inside the attention. `install` points a transformers model at this attention; a call that
hands over no `rows` (plain `generate`) falls back to transformers' own. Fails with `UsageError` for a model
whose attention sees only a window.

Shapes: N tokens of all rows, H query heads, K key/value heads, G = H / K, D head width, S tokens seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


class Slab:
    """Keys and values that a batch of rows is being decoded on: kept (L, 2, B, K, capacity, D), L counts layers.

    B and K stand side by side, so that a layer's products are one strided batch and copy nothing.
    A row's tokens are those after its prefix, which stands once for all rows that begin with it (L, 2, K, P, D); the
    i-th of them stands at index i. What stands beyond a row's length is left over from before: no query may see it,
    and it must be finite, since a masked NaN is still a NaN.
    """

    def __init__(self, model: PreTrainedModel, rows: int, capacity: int) -> None:
        self.kept = empty(model, rows, capacity)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and capacity."""
        return self.kept.shape[2], self.kept.shape[4]

    def put(self, row: int, tokens: Tensor) -> None:
        """Copy in `tokens` (L, 2, K, S, D) as the row's first S."""
        self.kept[:, :, row, :, : tokens.shape[3]] = tokens

    def get(self, row: int, length: int) -> Tensor:
        """A copy (L, 2, K, S, D) of the row's first `length` tokens."""
        return self.seen(row, length).clone()

    def seen(self, row: int, length: int) -> Tensor:
        return self.kept[:, :, row, :, :length]


@dataclass(frozen=True)
class Span:
    """A row of a slab to which `new` tokens are appended, after `past` of its own and after its prefix."""

    row: int
    prefix: Tensor  # (L, 2, K, P, D)
    past: int
    new: int


class Extend:
    """Appends several tokens to each of some rows, one row after the other."""

    def __init__(self, slab: Slab, spans: Sequence[Span]) -> None:
        self._kept, self._spans = slab.kept, list(spans)
        hidden = torch.full((1,), float("-inf"), dtype=slab.kept.dtype, device=slab.kept.device)
        pasts = [span.prefix.shape[3] + span.past for span in spans]
        self._masks = [
            hidden.expand(span.new, past + span.new).triu(past + 1) if past else None
            for span, past in zip(spans, pasts, strict=True)
        ]

    @property
    def tokens(self) -> int:
        return sum(span.new for span in self._spans)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        out = []
        start = 0
        for span, mask in zip(self._spans, self._masks, strict=True):
            here, seen = slice(start, start + span.new), span.past + span.new
            own = self._kept[layer, :, span.row]  # (2, K, capacity, D)
            own[0, :, span.past : seen], own[1, :, span.past : seen] = k[:, here], v[:, here]
            keys, values = torch.cat([span.prefix[layer], own[:, :, :seen]], dim=2)
            out.append(_one_row(q[:, here], keys, values, mask, scale))
            start += span.new
        return torch.cat(out, dim=1) if out else q[:, :0]


class Step:
    """Appends one token to each of the slab's first n rows, all rows together.

    The scores of a prefix are one product for all rows that begin with it, so its keys are read once.
    """

    def __init__(self, slab: Slab, prefixes: Sequence[Tensor], pasts: Sequence[int]) -> None:  # n of each
        device = slab.kept.device
        self._seen = max(pasts, default=-1) + 1
        self._kept = slab.kept[:, :, : len(pasts)]
        self._rows = torch.arange(len(pasts), device=device)
        self._pasts = torch.tensor(pasts, device=device, dtype=torch.long)
        alike: dict[int, list[int]] = {}
        for row, prefix in enumerate(prefixes):
            alike.setdefault(id(prefix), []).append(row)
        self._shared = [
            (slice(None) if len(alike) == 1 else torch.tensor(rows, device=device), prefixes[rows[0]])
            for rows in alike.values()
        ]  # a slice, where all rows are alike, copies nothing
        self._ahead = max((prefix.shape[3] for prefix in prefixes), default=0)
        self._mask = self._hidden(prefixes).to(slab.kept.dtype)[:, None, None]  # (n, 1, 1, ahead + seen)

    def _hidden(self, prefixes: Sequence[Tensor]) -> Tensor:
        """-inf where a row has no token, before its own or beyond them; else 0."""
        device = self._pasts.device
        lengths = torch.tensor([prefix.shape[3] for prefix in prefixes], device=device)
        ahead = torch.arange(self._ahead, device=device) >= lengths[:, None]
        beyond = torch.arange(self._seen, device=device) > self._pasts[:, None]
        no_token = torch.cat([ahead, beyond], dim=1)
        return torch.zeros(no_token.shape, device=device).masked_fill_(no_token, float("-inf"))

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        keys, values = self._kept[layer]  # (n, K, capacity, D)
        keys[self._rows, :, self._pasts] = k.transpose(0, 1)
        values[self._rows, :, self._pasts] = v.transpose(0, 1)
        keys, values = keys[:, :, : self._seen], values[:, :, : self._seen]
        heads, rows, width = q.shape
        grouped = (q * scale).transpose(0, 1).reshape(rows, k.shape[0], -1, width)  # (n, K, G, D)
        scores = grouped.new_zeros((*grouped.shape[:3], self._ahead + self._seen))
        scores[..., self._ahead :] = grouped @ keys.transpose(2, 3)
        for alike, prefix in self._shared:
            scores[alike, :, :, : prefix.shape[3]] = _together(grouped[alike], prefix[layer, 0].transpose(1, 2))
        mass = (scores + self._mask).softmax(dim=3)
        out = mass[..., self._ahead :] @ values
        for alike, prefix in self._shared:
            out[alike] += _together(mass[alike, :, :, : prefix.shape[3]], prefix[layer, 1])
        stacked: Tensor = out.reshape(rows, heads, width)
        return stacked.transpose(0, 1)


def _together(left: Tensor, right: Tensor) -> Tensor:
    """left (n, K, G, A) times right (K, A, C), as K products of n * G rows: (n, K, G, C)."""
    rows, groups, size, _ = left.shape
    product = left.transpose(0, 1).reshape(groups, rows * size, -1) @ right
    return product.reshape(groups, rows, size, -1).transpose(0, 1)


class Mixed:
    """Several tokens for each of some rows, then one for each of others: one pass over the weights."""

    def __init__(self, extend: Extend, step: Step) -> None:
        self._extend, self._step = extend, step

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        many, few = slice(self._extend.tokens), slice(self._extend.tokens, None)
        parts = [
            part.attend(layer, q[:, own], k[:, own], v[:, own], scale)
            for part, own in ((self._extend, many), (self._step, few))
            if q[:, own].shape[1]
        ]
        return torch.cat(parts, dim=1)


def empty(model: PreTrainedModel, rows: int, tokens: int) -> Tensor:
    """Room for keys and values (L, 2, B, K, S, D) of `rows` rows of `tokens` each."""
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    shape = (config.num_hidden_layers, 2, rows, config.num_key_value_heads, tokens, width)
    return torch.zeros(shape, dtype=model.dtype, device=model.device)


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
