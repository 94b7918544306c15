"""What a local policy is sampled through: `Sampler`, and what goes in and comes out. Token ids only, no messages.

Requests advance independently: each is answered when its own turn is over. `batching` has the one for processors,
`paged` that of transformers for CUDA. Only data here, and the choice between the two.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from torch import Tensor
from transformers import PreTrainedModel

from mocktrial.agents.local.speculation import LENIENCE, Draft, Top

OnToken: TypeAlias = Callable[[int, float], bool]


@dataclass
class History:
    """Ids of one conversation. `shared` leading ids are likely those of others too; 0 for none.

    prefix: keys and values (L, 2, K, P, D) of the shared ids. kept: (L, 2, K, S, D), of the S ids after them.
    """

    ids: list[int] = field(default_factory=list)
    shared: int = 0
    prefix: Tensor | None = None
    kept: Tensor | None = None

    @property
    def run(self) -> int:
        """How many ids after the shared ones have been run."""
        return 0 if self.kept is None else self.kept.shape[3]


@dataclass(eq=False)
class Request:
    """One turn to be sampled: `history` is extended by it, up to `max_new_tokens` ids or the first stop id, included.

    The history must hold at least one id beyond its shared ones that has not been run.
    draw: of this row alone, so that what is drawn does not depend on the other rows.
    temperature: 0 takes the likeliest id (the lowest of equals), else ids are drawn at it.
    draft: an earlier epoch's turn that may be reused, at temperature 1. lenience: of its test; None: exact.
    top: how many of the likeliest tokens are told for each id, for an exact test later.
    on_token: told each id as it is drawn, with its log-probability, in the thread that decodes; True ends the turn.
    """

    history: History
    draw: random.Random
    max_new_tokens: int
    temperature: float = 0.0
    draft: Draft | None = None
    lenience: float | None = LENIENCE
    top: int = 0
    on_token: OnToken | None = None


@dataclass(frozen=True)
class Sample:
    """One turn as drawn. `logprobs` are natural, at temperature 1, whatever temperature drew the ids."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    reused: int = 0  # leading ids that were the draft's
    top: Top | None = None


class Sampler(Protocol):
    """Samples turns of many conversations at once."""

    async def sample(self, request: Request) -> Sample:
        """Raises `NoResult` when decoding breaks."""
        ...

    def forget(self) -> None:
        """Drop all that old weights made. Call when they have changed; older histories are stale too."""
        ...


def sampler_for(model: PreTrainedModel, stop: frozenset[int], *, rows: int, paged: bool = True) -> Sampler:
    """Transformers' own continuous batching on CUDA, ours elsewhere and where not `paged`. rows: at a time, at most."""
    if paged and model.device.type == "cuda":
        from mocktrial.agents.local.paged import PagedSampler

        return PagedSampler(model, stop)
    from mocktrial.agents.local.batching import BatchedSampler

    return BatchedSampler(model, stop, rows=rows)
