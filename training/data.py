"""What is trained on: a frozen `Example`, one episode as token ids with a mask, and how one is made.

From recorded `TokenTrace`s the sampled ids are concatenated verbatim (DESIGN, invariant 11); from
expert messages they come from the renderer of `agents.local`. Only tokens the policy wrote have mask
True. Where a prompt was no exact extension of what was run before, the episode has several rows; it stays
one example, so that every loss counts it once. Nothing here knows a model or a loss. Wrong lengths or an
empty mask raise `SpecError`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mocktrial.envs.chat import TokenTrace
from mocktrial.mocktools.errors import SpecError


@dataclass(frozen=True, slots=True)
class Example:
    """One trajectory as tokens. All tuples but `starts` have the length of `ids`.

    group: the task it belongs to; rollouts of one group are compared with each other (GRPO).
    ids: token ids from the system prompt to the last token the policy wrote, row after row.
    mask: True where the policy wrote the token; never at the start of a row, which nothing predicts.
    weight: how many times the episode counts; 0 means removed.
    desirable: the label for KTO and DPO; None where unknown.
    reward: of the whole episode, for RL; None where unknown.
    behaviour: log-probability (nats) of each token when it was sampled, 0 where mask is False; None
        where the tokens were not sampled by a policy of ours.
    token_weights: how much each token counts in a loss, where mask is True; None: 1 each.
    starts: places in `ids` where a row begins; each attends to its own tokens only.
    never_asked, never_finished: what Search-R1++'s penalties are for (`objectives.advantages.penalised`).
    needless: questions that were; `PolicyLoss.needless_penalty` is for each.
    """

    group: str
    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    weight: float = 1.0
    desirable: bool | None = None
    reward: float | None = None
    behaviour: tuple[float, ...] | None = None
    token_weights: tuple[float, ...] | None = None
    starts: tuple[int, ...] = (0,)
    never_asked: bool = False
    never_finished: bool = False
    needless: int = field(default=0, repr=False)  # a checkpoint's digest of its data is of reprs, older ones' too

    def __post_init__(self) -> None:
        for what in ("mask", "behaviour", "token_weights"):
            given = getattr(self, what)
            if given is not None and len(given) != len(self.ids):
                raise SpecError(f"example {self.group}: {len(self.ids)} ids but {len(given)} of {what}")
        if not any(self.mask) or any(self.mask[start] for start in self.starts):
            raise SpecError(f"example {self.group}: needs a trained token, and a token before the first one")
        for weight in (self.weight, *(self.token_weights or ())):
            if not 0.0 <= weight < math.inf:
                raise SpecError(f"example {self.group}: weight {weight} is not a finite number >= 0")

    @property
    def rows(self) -> list[slice]:
        """Where each row stands in `ids`."""
        return [slice(*ends) for ends in zip(self.starts, (*self.starts[1:], len(self.ids)), strict=True)]

    @property
    def mass(self) -> float:
        """Trained tokens, each by its weight."""
        if self.token_weights is None:
            return float(sum(self.mask))
        return math.fsum(self.written(self.token_weights))

    @property
    def prompt_length(self) -> int:
        """Tokens before the first one that the policy wrote."""
        return self.mask.index(True)

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.ids[: self.prompt_length]

    def written(self, values: Sequence[float]) -> list[float]:
        """Those of `values` that stand at trained tokens, in order."""
        return [value for value, trained in zip(values, self.mask, strict=True) if trained]


def example(group: str, ids: Sequence[int], mask: Sequence[bool], behaviour: Sequence[float] | None = None) -> Example:
    """An `Example` of one row, cut after its last trained token: what follows it has no influence on any loss."""
    end = max((place for place, trained in enumerate(mask) if trained), default=-1) + 1
    known = None if behaviour is None else tuple(behaviour[:end])
    return Example(group=group, ids=tuple(ids[:end]), mask=tuple(mask[:end]), behaviour=known)


def example_of_rows(group: str, rows: Sequence[Sequence[TokenTrace]]) -> Example:
    """An episode's recorded rows, verbatim: context (not trained on), then sampled, turn after turn."""
    starts: list[int] = []
    ids: list[int] = []
    mask: list[bool] = []
    behaviour: list[float] = []
    weights: list[float] = []
    for row in rows:
        starts.append(len(ids))
        for trace in row:
            read, drawn = len(trace.context), len(trace.sampled)
            if drawn != len(trace.logprobs):
                raise SpecError(f"example {group}: {drawn} tokens, {len(trace.logprobs)} logprobs")
            ids += [*trace.context, *trace.sampled]
            mask += [False] * read + [True] * drawn
            behaviour += [0.0] * read + [*trace.logprobs]
            weights += [1.0] * read + [*(trace.weights or (1.0,) * drawn)]
    weighted = any(trace.weights for row in rows for trace in row)
    return Example(
        group=group, ids=tuple(ids), mask=tuple(mask), behaviour=tuple(behaviour),
        token_weights=tuple(weights) if weighted else None, starts=tuple(starts),
    )  # fmt: skip


def mismatched(rows: Sequence[Example], partners: Sequence[int | None]) -> list[Example]:
    """The prompt of each row with the completion of its partner, for KTO's z; rows without a partner are left out.

    partners: one a row, as `training.objectives.kto` chooses them. Of a partner in several rows the first one is
    taken: the others begin with a prompt of their own.
    """
    pairs = []
    for row, place in zip(rows, partners, strict=True):
        if place is None:
            continue
        partner = rows[place]
        read, cut = row.prompt_length, slice(partner.prompt_length, partner.rows[0].stop)
        weights = partner.token_weights
        pair = replace(
            row,
            ids=row.prompt + partner.ids[cut],
            mask=(False,) * read + partner.mask[cut],
            token_weights=None if weights is None else (1.0,) * read + weights[cut],
            behaviour=None,
            starts=(0,),
        )
        pairs.append(pair)
    return pairs


def batches(count: int, batch_size: int, steps: int, seed: int) -> list[list[int]]:
    """`unit_batches` of rows that each stand by themselves."""
    return unit_batches(singly(count), batch_size, steps, seed)


def unit_batches(units: Sequence[Sequence[int]], batch_size: int, steps: int, seed: int) -> list[list[int]]:
    """Which rows each of `steps` optimizer steps sees: every epoch a fresh permutation, the last batch short.

    units: rows that stay together, in a batch of more than `batch_size` rows if need be. Batches are not sorted by
    length: rows are packed without padding (`training.packing`).
    """
    plan: list[list[int]] = []
    epoch = 0
    while len(plan) < steps:
        plan += epoch_of(units, batch_size, f"{seed}/order/{epoch}")
        epoch += 1
    return plan[:steps]


def epoch_of(units: Sequence[Sequence[int]], batch_size: int, seed: str) -> list[list[int]]:
    """Every unit once, in an order that `seed` gives, in batches that are full with `batch_size` rows or more."""
    order = list(units)
    random.Random(seed).shuffle(order)
    made: list[list[int]] = [[]]
    for unit in order:
        if len(made[-1]) >= batch_size:
            made.append([])
        made[-1] += unit
    return made


def singly(count: int) -> list[list[int]]:
    """Units of one row each."""
    return [[row] for row in range(count)]
