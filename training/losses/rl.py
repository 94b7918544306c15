"""RL on rollouts: rewards become advantages or labels over all of them, before batches are made.

Rows that count for nothing leave there (zero-variance elimination at update). The same class serves recorded
episodes and those that a step has just played.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mocktrial.training.config import TrainConfig
from mocktrial.training.data import Example, singly
from mocktrial.training.forward import TokenTable, Want
from mocktrial.training.losses.base import Plan, Reference, Score, Step, behaviour, need, take, tensor
from mocktrial.training.objectives.advantages import penalised, shaped
from mocktrial.training.objectives.policy import policy_loss, policy_normaliser, standing
from mocktrial.training.objectives.presets import PolicyLoss
from mocktrial.training.objectives.real import real_loss, real_normaliser, real_scores, real_slopes, telling

_SUCCESS = 1.0  # the reward of an episode that succeeds (`envs.grading`)


class Rl:
    """A composed policy-gradient loss."""

    def __init__(self, examples: Sequence[Example], config: TrainConfig) -> None:
        self._loss = config.rl
        self.want = Want(entropy=self._loss.needs_entropy)
        everyone = standing(self._loss, rewards_of(examples, self._loss), _groups(examples), _weights(examples))
        kept = [place for place, weight in enumerate(everyone.weight.tolist()) if weight > 0.0]
        self.examples = [examples[place] for place in kept]
        self.units = singly(len(kept))
        self._standing = everyone.take(kept)
        self._reference = Reference(self.examples) if self._loss.kl_weight > 0.0 else None

    def prepare(self, plan: Plan, first: int, reference: Score) -> None:
        if self._reference:
            self._reference.learn([row for rows in plan[first:] for row in rows], reference)

    def begin(self, step: int, rows: Sequence[int], score: Score) -> Step:
        batch = [self.examples[row] for row in rows]
        stand = self._standing.take(rows)
        normaliser = policy_normaliser(self._loss, tensor([row.mass for row in batch]), stand.weight)
        known = self._reference

        def share(places: Sequence[int], found: TokenTable, mask: Tensor) -> Tensor:
            return policy_loss(
                self._loss,
                found.logps,
                behaviour([batch[place] for place in places], found.logps),
                mask,
                stand.take(places),
                normaliser,
                reference=known.table([rows[place] for place in places], found.logps) if known else None,
                entropy=found.entropy,
            )

        return Step(share, range(len(rows)))


class Real:
    """REAL: a group stands in one batch, its rows in any micro-batch; groups of one label need no forward pass."""

    def __init__(self, examples: Sequence[Example], config: TrainConfig) -> None:
        self._loss = config.rl
        self.want = Want()
        rewards = rewards_of(examples, self._loss)
        kept = [place for place, row in enumerate(examples) if row.weight > 0.0]
        self.examples = [examples[place] for place in kept]
        self._right = rewards[kept] >= self._loss.right_from
        places: dict[str, list[int]] = {}
        for place, row in enumerate(self.examples):
            places.setdefault(row.group, []).append(place)
        self.units = list(places.values())

    def prepare(self, plan: Plan, first: int, reference: Score) -> None:
        return None

    def begin(self, step: int, rows: Sequence[int], score: Score) -> Step:
        batch = [self.examples[row] for row in rows]
        groups, weight, right = _groups(batch), _weights(batch), self._right[list(rows)]
        told = telling(right, groups, weight).nonzero()[:, 0].tolist()
        scores = torch.zeros(len(rows), dtype=torch.float64)
        for place, logps in zip(told, score([batch[place] for place in told]), strict=True):
            one, row = logps.double()[None], batch[place]
            scores[place] = real_scores(one, behaviour([row], one), _mask(row, one))[0]
        prompts = real_normaliser(groups, weight)
        loss, slopes = (
            of(scores, right, groups, weight, prompts, temperature=self._loss.temperature)
            for of in (real_loss, real_slopes)
        )

        def share(places: Sequence[int], found: TokenTable, mask: Tensor) -> Tensor:
            now = real_scores(found.logps, behaviour([batch[place] for place in places], found.logps), mask)
            moved = (take(slopes, places, now) * (now - now.detach())).sum()  # the batch's gradient, at no value
            return moved + float(loss) * len(places) / len(told)

        return Step(share, told)


def rewards_of(examples: Sequence[Example], loss: PolicyLoss) -> Tensor:
    """What advantages and labels are made of, (B,): penalties taken off, groups of equal successes told apart."""
    need(examples, "reward", lambda row: row.reward is not None)
    need(examples, "tokens with logprobs", lambda row: row.behaviour is not None)
    earned = tensor([row.reward or 0.0 for row in examples])
    rewards = penalised(
        (earned >= _SUCCESS).to(earned) if loss.reward == "success" else earned,
        torch.tensor([row.never_asked for row in examples]),
        torch.tensor([row.never_finished for row in examples]),
        loss.ask_penalty,
        loss.finish_penalty,
    )
    rewards = rewards - loss.needless_penalty * tensor([row.needless for row in examples])
    if loss.shaping == 0.0:
        return rewards
    lengths = tensor([row.mass for row in examples])
    return shaped(rewards, _groups(examples), _weights(examples), lengths, loss.shaping, loss.eps)


def _groups(examples: Sequence[Example]) -> list[str]:
    return [row.group for row in examples]


def _weights(examples: Sequence[Example]) -> Tensor:
    return tensor([row.weight for row in examples])


def _mask(row: Example, like: Tensor) -> Tensor:
    return tensor(row.written(row.token_weights or (1.0,) * len(row.mask)))[None].to(like)
