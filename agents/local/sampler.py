"""Batched decoding on kept keys and values. No messages here, no event loop: token ids in, token ids out.

A `History` is one conversation's ids with the keys and values of those already run, kept from turn to
turn. The leading ids that many conversations share (system prompt and tools) are run once for each set of
weights; conversations that are still identical (trials of one task) are run once for all of them. Rows that
have finished leave the batch at once.

A row's draws come from its own generator, so they do not depend on the other rows; what is left of the
batch's influence is the last bits of the matrix products. Fails with `NoResult` when the scores are not
finite.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mocktrial.agents.local.attention import Extend, Slab, Step, forward
from mocktrial.agents.local.logprobs import scores_of
from mocktrial.mocktools.errors import NoResult

_PREFIXES = 16  # shared prefixes kept; the one unused for longest goes first
_SPARE = 128  # tokens: room for the turns that follow, so that a slab is not made for each


@dataclass
class History:
    """Ids of one conversation. `shared` leading ids are likely those of others too; 0 for none."""

    ids: list[int] = field(default_factory=list)
    shared: int = 0
    kept: Tensor | None = None  # (L, 2, K, S, D): the first S ids have been run

    @property
    def run(self) -> int:
        return 0 if self.kept is None else self.kept.shape[3]


@dataclass(frozen=True)
class Sample:
    """One turn as drawn. `logprobs` are natural, at temperature 1, whatever temperature drew the ids."""

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass
class _Row:
    """A history while it is being decoded."""

    history: History
    draw: random.Random
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Sampler:
    """Decodes with one model. Not thread-safe: one `sample` at a time."""

    def __init__(self, model: PreTrainedModel, stop: frozenset[int]) -> None:
        self._model = model
        self._stop = stop
        self._prefixes: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()
        self._slab: Slab | None = None

    def forget(self) -> None:
        """Drop all that old weights made. Call when they have changed; older histories are stale too."""
        self._prefixes.clear()
        self._slab = None

    @torch.inference_mode()
    def sample(
        self,
        histories: Sequence[History],
        draws: Sequence[random.Random],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
    ) -> list[Sample]:
        """Extend each history by one turn: up to `max_new_tokens` ids, or to the first stop id, included.

        temperature: 0 takes the likeliest id (the lowest of equals), else ids are drawn at it.
        Each history must hold at least one id that has not been run, beyond its shared ones.
        """
        rows = [_Row(history, draw) for history, draw in zip(histories, draws, strict=True)]
        if not rows:
            return []
        self._share(histories)
        slab = self._room(len(rows), max(len(history.ids) for history in histories) + max_new_tokens)
        hidden = self._extend(slab, histories)
        active = list(rows)
        while active:
            self._draw(active, hidden, temperature)
            active = self._retire(slab, active, max_new_tokens)
            if active:
                places = [len(row.history.ids) - 1 for row in active]
                step = Step(slab, torch.tensor(places, device=self._model.device))
                hidden = forward(self._model, [row.history.ids[-1] for row in active], places, step)
        return [Sample(tuple(row.ids), tuple(row.logprobs)) for row in rows]

    def _room(self, rows: int, capacity: int) -> Slab:
        """A slab of at least this size: the last one where it is large enough."""
        had_rows, had_capacity = self._slab.size if self._slab else (0, 0)
        if self._slab is None or rows > had_rows or capacity > had_capacity:
            self._slab = None  # freed before the next one is taken
            self._slab = Slab(self._model, max(rows, had_rows), max(capacity + _SPARE, had_capacity))
        return self._slab

    def _share(self, histories: Sequence[History]) -> None:
        """Give every fresh history the keys and values of its shared ids."""
        for history in histories:
            if history.kept is not None or not history.shared:
                continue
            key = tuple(history.ids[: history.shared])
            if key not in self._prefixes:
                slab = Slab(self._model, 1, len(key))
                forward(self._model, key, range(len(key)), Extend(slab, [0], [0], [len(key)]))
                self._prefixes[key] = slab.kept[0]
                if len(self._prefixes) > _PREFIXES:
                    self._prefixes.popitem(last=False)
            self._prefixes.move_to_end(key)
            history.kept = self._prefixes[key]

    def _extend(self, slab: Slab, histories: Sequence[History]) -> Tensor:
        """Run what is new in each history into the slab; the last hidden states (B, hidden)."""
        first: dict[tuple[int, ...], int] = {}  # row that runs these ids, for itself and for its likes
        runs = [first.setdefault(tuple(history.ids), row) for row, history in enumerate(histories)]
        rows = sorted(first.values())
        for row in rows:
            if (kept := histories[row].kept) is not None:
                slab.put(row, kept)
        pasts = [histories[row].run for row in rows]
        news = [len(histories[row].ids) - past for row, past in zip(rows, pasts, strict=True)]
        ids = [token for row, past in zip(rows, pasts, strict=True) for token in histories[row].ids[past:]]
        places = [past + place for past, new in zip(pasts, news, strict=True) for place in range(new)]
        hidden = forward(self._model, ids, places, Extend(slab, rows, pasts, news))
        ends = dict(zip(rows, torch.tensor(news).cumsum(0).tolist(), strict=True))
        for row, run in enumerate(runs):
            if run != row:
                slab.put(row, slab.kept[run, :, :, :, : len(histories[row].ids)])
        return hidden[[ends[run] - 1 for run in runs]]

    def _draw(self, active: Sequence[_Row], hidden: Tensor, temperature: float) -> None:
        scores = scores_of(self._model, hidden)  # (n, V)
        if temperature == 0:
            drawn = scores.argmax(dim=1)
        else:
            mass = (scores / temperature).softmax(dim=1).double().cumsum(dim=1)
            targets = torch.tensor([row.draw.random() for row in active], device=mass.device, dtype=mass.dtype)
            drawn = torch.searchsorted(mass, targets[:, None] * mass[:, -1:], right=True)[:, 0]
            drawn = drawn.clamp(max=scores.shape[1] - 1)
        logprobs = scores.gather(1, drawn[:, None])[:, 0] - scores.logsumexp(dim=1)
        if not logprobs.isfinite().all():
            raise NoResult("the model's scores are not finite: its weights have diverged", blame="model")
        for row, token, logprob in zip(active, drawn.tolist(), logprobs.tolist(), strict=True):
            row.ids.append(token)
            row.logprobs.append(logprob)
            row.history.ids.append(token)

    def _retire(self, slab: Slab, active: list[_Row], max_new_tokens: int) -> list[_Row]:
        """Take finished rows out: their keys and values go home, the last rows move into the gaps.

        The id just drawn has not been run: it waits in the history for the next turn.
        """
        active = list(active)
        for place in reversed(range(len(active))):
            row = active[place]
            if row.ids[-1] not in self._stop and len(row.ids) < max_new_tokens:
                continue
            row.history.kept = slab.get(place, len(row.history.ids) - 1)
            last = active.pop()
            if last is not row:
                slab.put(place, slab.kept[len(active), :, :, :, : len(last.history.ids) - 1])
                active[place] = last
        return active
