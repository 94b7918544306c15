"""Continuous batched decoding on kept keys and values: one pass over the weights, one more id for each row.

A row that has finished leaves at once and a waiting request takes its place in the next pass, which runs the new ids
of those that come beside the last ids of those that go on. The keys and values of a conversation are kept from turn
to turn, those of the leading ids that many share (system prompt and tools) once for each set of weights, and
conversations that are still identical (trials of one task) are run once for all of them.

A row's draws come from its own generator, so they do not depend on the other rows; what is left of the batch's
influence is the last bits of the matrix products. Fails with `NoResult` when the scores are not finite.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mocktrial.agents.local.attention import Extend, Mixed, Slab, Span, Step, empty, forward
from mocktrial.agents.local.logprobs import scores_of
from mocktrial.agents.local.sampler import History, Request, Sample
from mocktrial.agents.local.speculation import Top, verify
from mocktrial.mocktools.errors import NoResult

_PREFIXES = 16  # shared prefixes kept; the one unused for longest goes first
_SPARE = 128  # tokens: room for the turns that follow, so that a slab is not made for each
_PASS = 2048  # tokens that requests may bring into one pass; the next ones wait for the next


@dataclass
class _Row:
    """A request while it is being decoded. Its place in the slab is its place among the rows."""

    request: Request
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    tops: list[Top] = field(default_factory=list)
    reused: int = 0
    ended: bool = False  # by the one who is told the ids

    @property
    def history(self) -> History:
        return self.request.history

    @property
    def prefix(self) -> Tensor:
        assert self.history.prefix is not None  # given when the row was admitted
        return self.history.prefix

    @property
    def own(self) -> int:
        """Ids after the shared ones."""
        return len(self.history.ids) - self.history.shared

    @property
    def new(self) -> list[int]:
        """Ids to be run when the row comes in, those of its draft included."""
        draft = self.request.draft
        return [*self.history.ids[self.history.shared + self.history.run :], *(draft.ids if draft else ())]

    @property
    def likeness(self) -> Hashable:
        """Equal for rows whose first pass gives the same."""
        return id(self) if self.request.draft else (self.history.shared, *self.history.ids)

    def add(self, token: int, logprob: float) -> None:
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.history.ids.append(token)
        if self.request.on_token and self.request.on_token(token, logprob):
            self.ended = True

    def is_over(self, stop: frozenset[int]) -> bool:
        return self.ended or (bool(self.ids) and (self.ids[-1] in stop or len(self.ids) >= self.request.max_new_tokens))

    def sample(self) -> Sample:
        top = Top.cat(self.tops) if self.tops else None
        return Sample(tuple(self.ids), tuple(self.logprobs), self.reused, top)


class Decoder:
    """Decodes with one model, at most `rows` requests at a time. Not thread-safe."""

    def __init__(self, model: PreTrainedModel, stop: frozenset[int], *, rows: int = 64) -> None:
        self._model = model
        self._stop = stop
        self._most = rows
        self._prefixes = _Prefixes(model)
        self._slab = Slab(model, 0, 0)
        self._waiting: deque[Request] = deque()
        self._rows: list[_Row] = []  # each at its place in the slab

    def submit(self, request: Request) -> None:
        self._waiting.append(request)

    @torch.inference_mode()
    def drop(self, gone: Collection[Request]) -> None:
        """Give these up; a history that was being extended is of no more use."""
        self._waiting = deque(request for request in self._waiting if request not in gone)
        for place in reversed(range(len(self._rows))):
            if self._rows[place].request in gone:
                self._leave(place)

    def forget(self) -> None:
        """Drop all that old weights made, and every request."""
        self._prefixes.clear()
        self._slab = Slab(self._model, 0, 0)
        self._waiting.clear()
        self._rows = []

    @torch.inference_mode()
    def step(self) -> list[tuple[Request, Sample]]:
        """Take in what waits, run one pass over all rows, give back what is over with it."""
        going = list(self._rows)
        coming = self._admit()
        hidden = self._run(going, coming)
        ends = [states[-1] for states in hidden]
        drawing = list(range(len(going)))
        for place, row in enumerate(coming, len(going)):
            if row.request.draft is None:
                drawing.append(place)
            elif (stands := self._verify(row, hidden[place])) is not None:
                ends[place] = hidden[place][stands]
                drawing.append(place)
        if drawing:
            self._draw([self._rows[place] for place in drawing], torch.stack([ends[place] for place in drawing]))
        return self._retire()

    def _admit(self) -> list[_Row]:
        """Requests that come in now, each with its prefix and what is kept of it in the slab."""
        coming: list[_Row] = []
        tokens = 0
        while self._waiting and len(self._rows) < self._most and tokens < _PASS:
            row = _Row(self._waiting.popleft())
            history = row.history
            if history.prefix is None:
                history.prefix = self._prefixes.of(history.ids[: history.shared])
            tokens += len(row.new)
            coming.append(row)
            self._rows.append(row)
        capacity = max((row.own + row.request.max_new_tokens - len(row.ids) for row in self._rows), default=0)
        self._make_room(len(self._rows), capacity, len(self._rows) - len(coming))
        for place, row in enumerate(coming, len(self._rows) - len(coming)):
            if row.history.kept is not None:
                self._slab.put(place, row.history.kept)
        return coming

    def _make_room(self, rows: int, capacity: int, used: int) -> None:
        """A slab of at least this size; its first `used` rows stay."""
        had_rows, had_capacity = self._slab.size
        if rows > had_rows or capacity > had_capacity:
            larger = Slab(self._model, max(rows, had_rows), max(capacity + _SPARE, had_capacity))
            for place, row in enumerate(self._rows[:used]):
                larger.put(place, self._slab.seen(place, row.own - 1))
            self._slab = larger

    def _run(self, going: Sequence[_Row], coming: Sequence[_Row]) -> list[Tensor]:
        """One pass. The last hidden states (new, hidden) of what was run of each row."""
        leaders: dict[Hashable, int] = {}  # place of the row that runs these ids, for itself and for its likes
        leads = [leaders.setdefault(row.likeness, place) for place, row in enumerate(coming, len(going))]
        spans = [
            Span(place, self._rows[place].prefix, self._rows[place].history.run, len(self._rows[place].new))
            for place in leaders.values()
        ]
        step = Step(self._slab, [row.prefix for row in going], [row.own - 1 for row in going])
        ids = [token for span in spans for token in self._rows[span.row].new]
        places = [span.prefix.shape[3] + span.past + place for span in spans for place in range(span.new)]
        ids += [row.history.ids[-1] for row in going]
        places += [len(row.history.ids) - 1 for row in going]
        out = forward(self._model, ids, places, Mixed(Extend(self._slab, spans), step))
        parts = torch.split(out, [*(span.new for span in spans), *(1 for _ in going)])
        states = dict(zip(leaders.values(), parts, strict=False))
        for place, lead in enumerate(leads, len(going)):
            if lead != place:
                self._slab.put(place, self._slab.seen(lead, self._rows[place].own))
        return [*parts[len(spans) :], *(states[lead] for lead in leads)]

    def _verify(self, row: _Row, hidden: Tensor) -> int | None:
        """Take over what stands of the row's draft; the place in `hidden` to draw from, None where there is no need."""
        draft, request = row.request.draft, row.request
        assert draft is not None
        ahead = len(hidden) - len(draft.ids) - 1  # the state that tells the draft's first id
        logprobs = scores_of(self._model, hidden[ahead:-1]).log_softmax(dim=1)
        _check_finite(logprobs)
        stands, instead = verify(draft, logprobs, request.draw, request.lenience)
        row.reused = stands
        ids = [*draft.ids[:stands], *([] if instead is None else [instead])]
        for place, token in enumerate(ids):
            row.add(token, float(logprobs[place, token]))
        if request.top and ids:
            row.tops.append(Top.of(logprobs[: len(ids)], request.top))
        return None if instead is not None or row.is_over(self._stop) else ahead + stands

    def _draw(self, rows: Sequence[_Row], hidden: Tensor) -> None:
        """One id for each row, from hidden states (n, hidden)."""
        scores = scores_of(self._model, hidden)  # (n, V)
        drawn = scores.argmax(dim=1)
        warm = [place for place, row in enumerate(rows) if row.request.temperature > 0]
        if warm:
            drawn[warm] = _drawn(scores[warm], [rows[place].request for place in warm])
        logprobs = scores.log_softmax(dim=1)
        told = logprobs.gather(1, drawn[:, None])[:, 0]
        _check_finite(told)
        for place, (row, token, logprob) in enumerate(zip(rows, drawn.tolist(), told.tolist(), strict=True)):
            row.add(token, logprob)
            if row.request.top:
                row.tops.append(Top.of(logprobs[place : place + 1], row.request.top))

    def _retire(self) -> list[tuple[Request, Sample]]:
        """Take finished rows out; their keys and values go home. The id drawn last waits for the next turn."""
        over = []
        for place in reversed(range(len(self._rows))):
            row = self._rows[place]
            if row.is_over(self._stop):
                row.history.kept = self._slab.get(place, row.own - 1)
                self._leave(place)
                over.append((row.request, row.sample()))
        return over[::-1]

    def _leave(self, place: int) -> None:
        """The last row moves into the gap."""
        last = self._rows.pop()
        if place < len(self._rows):
            self._slab.put(place, self._slab.seen(len(self._rows), last.own - 1))
            self._rows[place] = last


class _Prefixes:
    """Keys and values of leading ids, each run once."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._kept: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()

    def clear(self) -> None:
        self._kept.clear()

    def of(self, ids: Sequence[int]) -> Tensor:
        """(L, 2, K, P, D)"""
        key = tuple(ids)
        if key not in self._kept:
            slab = Slab(self._model, 1, len(key))
            if key:
                nothing = empty(self._model, 1, 0)[:, :, 0]
                forward(self._model, key, range(len(key)), Extend(slab, [Span(0, nothing, 0, len(key))]))
            self._kept[key] = slab.seen(0, len(key))
            if len(self._kept) > _PREFIXES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _drawn(scores: Tensor, requests: Sequence[Request]) -> Tensor:
    """An id (n,) for each request from scores (n, V), at its temperature, by its own next random number."""
    device = scores.device
    temperatures = torch.tensor([request.temperature for request in requests], device=device)
    mass = (scores / temperatures[:, None]).softmax(dim=1).double().cumsum(dim=1)
    targets = torch.tensor([request.draw.random() for request in requests], device=device, dtype=torch.float64)
    drawn = torch.searchsorted(mass, targets[:, None] * mass[:, -1:], right=True)[:, 0]
    return drawn.clamp(max=scores.shape[1] - 1)


def _check_finite(logprobs: Tensor) -> None:
    if not logprobs.isfinite().all():
        raise NoResult("the model's scores are not finite: its weights have diverged", blame="model")
