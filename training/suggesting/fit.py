"""Training the small policy with the objectives of `training.objectives`, on the rows of a log.

A row of KTO is the shown sequence (or one step of it) with its label and weight; its log-ratio is to the base policy,
frozen. z is estimated from sequences that the present policy draws for the batch's own scenes:
`E[KL(pi(y'|x') || ref(y'|x'))]`, METHODS section 3; with a finite pool nothing needs to be mismatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mocktrial.synth.clicks.behaviour import Shown
from mocktrial.training.config import TrainConfig
from mocktrial.training.data import batches
from mocktrial.training.objectives.kto import kto_loss, kto_reference_point
from mocktrial.training.objectives.sft import sft_loss, sft_normaliser
from mocktrial.training.suggesting.features import SceneTable
from mocktrial.training.suggesting.policy import CandidatePolicy, sampled, sequence_logprob
from mocktrial.training.suggesting.rows import Row
from mocktrial.training.trainer import learning_rate

Objective = Literal["sft", "kto"]

# The same for every method. Batch, warm-up and cosine as in the paper, beta KTO's default; rate and epochs are chosen
# for a policy of a thousand numbers, on plain KTO alone (docs/recommend.md).
TRAINING = TrainConfig(objective="kto", name="suggestions", data="log", batch_size=32, learning_rate=0.03)


@dataclass(frozen=True)
class _Data:
    scenes: Tensor  # (R,)
    orders: Tensor  # (R, N)
    first: Tensor  # (R,)
    last: Tensor  # (R,)
    clicked: Tensor  # (R,) bool
    weight: Tensor  # (R,)
    base: Tensor  # (R,) log-probability under the base policy


def fit(
    rows: Sequence[Row[Shown]], table: SceneTable, objective: Objective, training: TrainConfig = TRAINING
) -> CandidatePolicy:
    """The policy trained on `rows`: "kto" on all, "sft" on the clicked ones. Rows of weight 0 count as removed."""
    kept = [row for row in rows if row.weight > 0 and (objective == "kto" or row.sample.clicked)]
    policy = CandidatePolicy(table.seen.shape[2])
    if not kept:
        return policy
    data = _data(kept, table, policy)
    steps = training.epochs * -(-len(kept) // training.batch_size)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=training.learning_rate, weight_decay=0.0)
    generator = torch.Generator().manual_seed(training.seed)
    for step, chosen in enumerate(batches(len(kept), training.batch_size, steps, training.seed)):
        places = torch.tensor(chosen)
        logits = policy(table, data.scenes[places])
        logps = sequence_logprob(logits, data.orders[places], data.first[places], data.last[places])
        weight = data.weight[places]
        if objective == "sft":
            ones = torch.ones_like(logps[:, None])
            loss = sft_loss(logps[:, None], ones, weight, sft_normaliser(ones, weight))
        else:
            z = _drift(logits, table, data, places, generator)
            loss = kto_loss(
                logps, data.base[places], data.clicked[places], weight, z, float(weight.sum()), beta=training.kto.beta,
                desirable_weight=training.kto.desirable_weight, undesirable_weight=training.kto.undesirable_weight,
            )  # fmt: skip
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, training)
        optimizer.step()
    return policy


def _data(rows: Sequence[Row[Shown]], table: SceneTable, policy: CandidatePolicy) -> _Data:
    scenes = torch.tensor([table.place(row.shown.scene) for row in rows])
    orders = torch.tensor([[row.shown.scene.place(one) for one in row.shown.suggestions] for row in rows])
    first = torch.tensor([row.places[0] for row in rows])
    last = torch.tensor([row.places[-1] + 1 for row in rows])
    with torch.no_grad():
        base = sequence_logprob(policy(table, scenes), orders, first, last)
    clicked = torch.tensor([row.sample.clicked for row in rows])
    return _Data(scenes, orders, first, last, clicked, torch.tensor([row.weight for row in rows]), base)


def _drift(logits: Tensor, table: SceneTable, data: _Data, places: Tensor, generator: torch.Generator) -> Tensor:
    """z of a batch."""
    with torch.no_grad():
        orders = sampled(logits, data.orders.shape[1], generator)
        first, last = data.first[places], data.last[places]
        scenes = data.scenes[places]
        base = table.base[scenes].masked_fill(~table.valid[scenes], -torch.inf)
        now, before = (sequence_logprob(one, orders, first, last) for one in (logits, base))
    return kto_reference_point(now, before, data.weight[places])
