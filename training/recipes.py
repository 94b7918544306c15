"""The three objectives as the loop sees them: which rows are kept, what is known beforehand, one loss.

A recipe binds a pure loss of `training.objectives` to the rows of a batch. `begin` is called once an
optimizer step and returns the function that gives each micro-batch its share of the batch's loss, so
everything global (normalisers, z) is fixed before the first backward pass. Reference log-probabilities are
those of the policy as `prepare` finds it, that is at the start of the run. A row that lacks what its
objective needs raises `UsageError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from mocktrial.mocktools.errors import UsageError
from mocktrial.training.config import TrainConfig
from mocktrial.training.data import Example, mismatched
from mocktrial.training.objectives.kto import kto_loss, kto_reference_point, shifted_partners, shuffled_partners
from mocktrial.training.objectives.policy import policy_loss, policy_normaliser, standing
from mocktrial.training.objectives.sft import sft_loss

Score: TypeAlias = Callable[[Sequence[Example]], list[Tensor]]  # no-grad log-probs (n_b,) of each row
Share: TypeAlias = Callable[[Sequence[int], Tensor, Tensor, Tensor | None], Tensor]
# places in batch, logps, mask, entropy (where the recipe needs it) -> the micro-batch's share of the loss
Plan: TypeAlias = Sequence[Sequence[int]]  # rows of each optimizer step


class Recipe(Protocol):
    needs_entropy: bool  # of each trained token's distribution

    @property
    def examples(self) -> Sequence[Example]:
        """The rows that are trained on."""
        ...

    def prepare(self, plan: Plan, first: int, score: Score) -> None:
        """Compute what the start policy has to say on the steps from `first` on."""
        ...

    def begin(self, step: int, rows: Sequence[int], score: Score) -> Share:
        """The loss of step `step`, which sees `rows`; `score` is the policy as it now is."""
        ...


class Sft:
    """Weighted mean over trained tokens."""

    needs_entropy = False

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = _counted(examples)

    def prepare(self, plan: Plan, first: int, score: Score) -> None:
        return None

    def begin(self, step: int, rows: Sequence[int], score: Score) -> Share:
        batch = [self.examples[row] for row in rows]
        weight = _tensor([row.weight for row in batch])
        normaliser = sum(row.weight * sum(row.mask) for row in batch)

        def share(places: Sequence[int], logps: Tensor, mask: Tensor, entropy: Tensor | None) -> Tensor:
            return sft_loss(logps, mask, _take(weight, places, logps), normaliser)

        return share


class Kto:
    """Weighted KTO; z from pairs chosen afresh each step from the seed."""

    needs_entropy = False

    def __init__(self, examples: Sequence[Example], config: TrainConfig) -> None:
        self.examples = _counted(examples)
        _need(self.examples, "label", lambda row: row.desirable is not None)
        self._config = config
        self._rows: dict[int, float] = {}  # reference log-probability of each row's completion
        self._pairs: dict[int, list[float]] = {}  # and of each step's mismatched pairs

    def _drawn(self, step: int, rows: Sequence[int]) -> list[Example]:
        batch = [self.examples[row] for row in rows]
        if self._config.kto.z == "none":
            return []
        if self._config.kto.z == "shifted":
            return [replace(pair, weight=1.0) for pair in mismatched(batch, shifted_partners(len(batch)))]
        names = [hashlib.sha256(repr((row.ids, row.mask)).encode()).hexdigest() for row in batch]
        partners = shuffled_partners(names, [row.prompt for row in batch], self._config.seed, step)
        return mismatched(batch, partners)

    def prepare(self, plan: Plan, first: int, score: Score) -> None:
        for step in range(first, len(plan)):
            fresh = [row for row in plan[step] if row not in self._rows]
            self._rows.update(zip(fresh, _sums(score([self.examples[row] for row in fresh])), strict=True))
            self._pairs[step] = _sums(score(self._drawn(step, plan[step])))

    def begin(self, step: int, rows: Sequence[int], score: Score) -> Share:
        options = self._config.kto
        batch = [self.examples[row] for row in rows]
        weight = _tensor([row.weight for row in batch])
        reference = _tensor([self._rows[row] for row in rows])
        desirable = torch.tensor([bool(row.desirable) for row in batch])
        drawn = self._drawn(step, rows)
        z = kto_reference_point(
            _tensor(_sums(score(drawn))),
            _tensor(self._pairs[step]),
            _tensor([pair.weight for pair in drawn]),
            clip=options.clip,
        )
        normaliser = float(weight.sum())

        def share(places: Sequence[int], logps: Tensor, mask: Tensor, entropy: Tensor | None) -> Tensor:
            return kto_loss(
                logps.sum(dim=1),
                _take(reference, places, logps),
                desirable[list(places)].to(logps.device),
                _take(weight, places, logps),
                z.to(logps),
                normaliser,
                beta=options.beta,
                desirable_weight=options.desirable_weight,
                undesirable_weight=options.undesirable_weight,
                clip=options.clip,
            )

        return share


class Rl:
    """A policy-gradient loss on recorded rollouts; rows that count for nothing leave before batches are made."""

    def __init__(self, examples: Sequence[Example], config: TrainConfig) -> None:
        _need(examples, "reward", lambda row: row.reward is not None)
        _need(examples, "tokens with logprobs", lambda row: row.behaviour is not None)
        self._loss = config.rl
        self.needs_entropy = self._loss.needs_entropy
        all_rows = standing(
            self._loss,
            _tensor([row.reward or 0.0 for row in examples]),
            [row.group for row in examples],
            _tensor([row.weight for row in examples]),
        )
        kept = [place for place, weight in enumerate(all_rows.weight.tolist()) if weight > 0.0]
        self.examples = [examples[place] for place in kept]
        self._standing = all_rows.take(kept)
        self._reference: dict[int, Tensor] = {}

    def prepare(self, plan: Plan, first: int, score: Score) -> None:
        if self._loss.kl_weight == 0.0:
            return
        needed = sorted({row for rows in plan[first:] for row in rows})
        self._reference.update(zip(needed, score([self.examples[row] for row in needed]), strict=True))

    def begin(self, step: int, rows: Sequence[int], score: Score) -> Share:
        batch = [self.examples[row] for row in rows]
        stand = self._standing.take(rows)
        normaliser = policy_normaliser(self._loss, _tensor([sum(row.mask) for row in batch]), stand.weight)

        def share(places: Sequence[int], logps: Tensor, mask: Tensor, entropy: Tensor | None) -> Tensor:
            reference = [self._reference[rows[place]] for place in places] if self._reference else None
            return policy_loss(
                self._loss,
                logps,
                _table([_sampled(batch[place]) for place in places], logps),
                mask,
                stand.take(places),
                normaliser,
                reference=None if reference is None else _table(reference, logps),
                entropy=entropy,
            )

        return share


def recipe_of(config: TrainConfig, examples: Sequence[Example]) -> Recipe:
    """The recipe for `config.objective` on `examples`; UsageError when nothing is left to learn from."""
    recipe: Recipe
    if config.objective == "sft":
        recipe = Sft(examples)
    elif config.objective == "kto":
        recipe = Kto(examples, config)
    else:
        recipe = Rl(examples, config)
    if not recipe.examples:
        reason = "every group's rewards are equal" if config.objective == "rl" else "every weight is 0"
        raise UsageError(
            f"nothing to learn from {len(examples)} trajectories: {reason}"
            if examples
            else "no trajectories to learn from"
        )
    return recipe


def _counted(examples: Sequence[Example]) -> list[Example]:
    return [row for row in examples if row.weight > 0.0]


def _need(examples: Sequence[Example], what: str, has: Callable[[Example], bool]) -> None:
    for row in examples:
        if not has(row):
            raise UsageError(f"trajectory of {row.group} has no {what}, which this objective needs")


def _tensor(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _take(values: Tensor, places: Sequence[int], like: Tensor) -> Tensor:
    return values[list(places)].to(like)


def _sums(logps: Sequence[Tensor]) -> list[float]:
    return [float(row.double().sum()) for row in logps]


def _sampled(row: Example) -> Tensor:
    """Behaviour log-probabilities of the trained tokens (n_b,)."""
    pairs = zip(row.behaviour or (), row.mask, strict=True)
    return _tensor([logp for logp, trained in pairs if trained])


def _table(rows: Sequence[Tensor], like: Tensor) -> Tensor:
    """Rows of differing lengths as (B, T), 0 beyond their end."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True).to(like)
