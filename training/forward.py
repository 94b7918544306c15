"""Log-probabilities of the trained tokens of a pack, differentiable, without padding or repeated prefixes.

The model runs through `agents.local.attention` (call its `install` on the model first), to which this
module adds one way of telling rows apart: the forest of `training.packing`. The vocabulary's scores are
made only for hidden states that predict a trained token. Shapes: L tokens, N trained tokens, B rows, T
columns, H query heads, K key/value heads, D head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from mocktrial.agents.local.attention import forward
from mocktrial.agents.local.logprobs import scores_of
from mocktrial.training.packing import Pack, Segment


class Forest:
    """Each segment attends to its ancestors and, causally, to itself; no (L, L) mask is ever built.

    A `Rows` of `agents.local.attention`; gradients flow into shared segments from all their descendants.
    """

    def __init__(self, segments: Sequence[Segment], device: torch.device) -> None:
        self._segments = segments
        self._masks = [_mask(segment, device) for segment in segments]  # shared by all layers

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """q (H, L, D), k and v (K, L, D) -> (H, L, D)."""
        heads, _, width = q.shape
        groups = k.shape[0]
        out = []
        for segment, mask in zip(self._segments, self._masks, strict=True):
            spans = [*segment.ancestors, (segment.start, segment.stop)]
            keys, values = (torch.cat([kind[:, start:stop] for start, stop in spans], dim=1) for kind in (k, v))
            shape = (groups, heads // groups, keys.shape[1], width)  # (K, G, S, D)
            queries = q[:, segment.start : segment.stop].reshape(groups, heads // groups, -1, width)
            seen = scaled_dot_product_attention(
                queries,
                keys[:, None].expand(shape),
                values[:, None].expand(shape),
                attn_mask=mask,
                is_causal=mask is None,
                scale=scale,
            )
            out.append(seen.reshape(heads, -1, width))
        return torch.cat(out, dim=1)


def _mask(segment: Segment, device: torch.device) -> Tensor | None:
    """(own, seen) bool, True where a token may look; None for a root, which is plainly causal."""
    if not segment.ancestors:
        return None
    own = segment.stop - segment.start
    before = sum(stop - start for start, stop in segment.ancestors)
    return torch.ones(own, before + own, dtype=torch.bool, device=device).tril(before)


def token_logprobs(model: PreTrainedModel, pack: Pack) -> tuple[Tensor, Tensor]:
    """(logps, mask), both (B, T): natural log-probability of each trained token of `pack.rows`, in order.

    T is the largest number of trained tokens of a row; mask is False where a row has fewer, logps 0 there.
    """
    logps, mask, _ = token_statistics(model, pack)
    return logps, mask


def token_statistics(
    model: PreTrainedModel, pack: Pack, *, entropy: bool = False
) -> tuple[Tensor, Tensor, Tensor | None]:
    """`token_logprobs`, and where asked for the entropy (nats, no gradient) of each token's distribution, (B, T)."""
    device = model.device
    source, target, row, column = (
        torch.tensor(places, device=device) for places in (pack.source, pack.target, pack.row, pack.column)
    )  # (N,) each
    hidden = forward(model, pack.ids, pack.positions, Forest(pack.segments, device))  # (L, width)
    scores = scores_of(model, hidden[source])  # (N, V)
    picked = scores.gather(1, target[:, None])[:, 0] - scores.logsumexp(dim=1)  # (N,)
    shape = (len(pack.rows), max(pack.column) + 1)
    mask = torch.zeros(shape, dtype=torch.bool, device=device)
    mask[row, column] = True
    logps = picked.new_zeros(shape).index_put((row, column), picked)
    if not entropy:
        return logps, mask, None
    known = scores.detach().log_softmax(dim=1)  # (N, V)
    spread = -(known.exp() * known).sum(dim=1)  # (N,)
    return logps, mask, spread.new_zeros(shape).index_put((row, column), spread)
