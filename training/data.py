"""What is trained on: a frozen `Example` of token ids with a mask, and how one is made.

From recorded `TokenTrace`s the sampled ids are concatenated verbatim (DESIGN, invariant 11); from
expert messages they come from the renderer of `agents.local`. Only tokens the policy wrote have mask
True. Nothing here knows a model or a loss. Wrong lengths or an empty mask raise `SpecError`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mocktrial.envs.chat import TokenTrace
from mocktrial.mocktools.errors import SpecError


@dataclass(frozen=True, slots=True)
class Example:
    """One trajectory as tokens. All tuples have the length of `ids`.

    group: the task it belongs to; rollouts of one group are compared with each other (GRPO).
    ids: token ids from the system prompt to the last token the policy wrote.
    mask: True where the policy wrote the token; never at position 0, which nothing predicts.
    weight: how many times the row counts; 0 means removed.
    desirable: the label for KTO; None where unknown.
    reward: of the whole episode, for GRPO; None where unknown.
    behaviour: log-probability (nats) of each token when it was sampled, 0 where mask is False; None
        where the tokens were not sampled by a policy of ours.
    """

    group: str
    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    weight: float = 1.0
    desirable: bool | None = None
    reward: float | None = None
    behaviour: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.mask):
            raise SpecError(f"example {self.group}: {len(self.ids)} ids but {len(self.mask)} mask entries")
        if self.behaviour is not None and len(self.behaviour) != len(self.ids):
            raise SpecError(f"example {self.group}: {len(self.ids)} ids but {len(self.behaviour)} behaviour")
        if not any(self.mask) or self.mask[0]:
            raise SpecError(f"example {self.group}: needs a trained token, and a token before the first one")
        if not self.weight >= 0.0 or self.weight == float("inf"):
            raise SpecError(f"example {self.group}: weight {self.weight} is not a finite number >= 0")

    @property
    def prompt_length(self) -> int:
        """Tokens before the first one that the policy wrote."""
        return self.mask.index(True)

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.ids[: self.prompt_length]


def example(
    group: str,
    ids: Sequence[int],
    mask: Sequence[bool],
    *,
    weight: float = 1.0,
    desirable: bool | None = None,
    reward: float | None = None,
    behaviour: Sequence[float] | None = None,
) -> Example:
    """An `Example` cut after its last trained token: what follows it has no influence on any loss."""
    end = max((place for place, trained in enumerate(mask) if trained), default=-1) + 1
    return Example(
        group=group,
        ids=tuple(ids[:end]),
        mask=tuple(mask[:end]),
        weight=weight,
        desirable=desirable,
        reward=reward,
        behaviour=None if behaviour is None else tuple(behaviour[:end]),
    )


def example_of_traces(
    group: str,
    traces: Sequence[TokenTrace],
    *,
    weight: float = 1.0,
    desirable: bool | None = None,
    reward: float | None = None,
) -> Example:
    """An episode's recorded turns, verbatim: context (not trained on), then sampled, turn after turn."""
    ids: list[int] = []
    mask: list[bool] = []
    behaviour: list[float] = []
    for trace in traces:
        if len(trace.sampled) != len(trace.logprobs):
            raise SpecError(f"example {group}: {len(trace.sampled)} tokens, {len(trace.logprobs)} logprobs")
        ids += [*trace.context, *trace.sampled]
        mask += [False] * len(trace.context) + [True] * len(trace.sampled)
        behaviour += [0.0] * len(trace.context) + [*trace.logprobs]
    return example(group, ids, mask, weight=weight, desirable=desirable, reward=reward, behaviour=behaviour)


def mismatched(rows: Sequence[Example], partners: Sequence[int | None]) -> list[Example]:
    """The prompt of each row with the completion of its partner, for KTO's z; rows without a partner are left out.

    partners: one a row, as `training.objectives.kto` chooses them.
    """
    pairs = []
    for row, place in zip(rows, partners, strict=True):
        if place is None:
            continue
        partner = rows[place]
        cut = partner.prompt_length
        ids = row.prompt + partner.ids[cut:]
        mask = (False,) * row.prompt_length + partner.mask[cut:]
        pairs.append(Example(group=row.group, ids=ids, mask=mask, weight=row.weight))
    return pairs


def batches(count: int, batch_size: int, steps: int, seed: int) -> list[list[int]]:
    """Which rows each of `steps` optimizer steps sees: every epoch a fresh permutation, the last batch short.

    Batches are not sorted by length: rows are packed without padding (`training.packing`).
    """
    plan: list[list[int]] = []
    epoch = 0
    while len(plan) < steps:
        order = list(range(count))
        random.Random(f"{seed}/order/{epoch}").shuffle(order)
        plan += [order[start : start + batch_size] for start in range(0, count, batch_size)]
        epoch += 1
    return plan[:steps]
