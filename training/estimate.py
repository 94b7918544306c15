"""What a run would cost, without training: tokens, steps, memory, work. Behind `mocktrial train --dry-run`.

The batches are the real ones, and a loss is asked for them as in training; only the forward passes are counted in
place of being made. No weights are loaded: the model's shape is read from its configuration.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from mocktrial.mocktools.spec import Frozen
from mocktrial.training.adapters import add_adapters
from mocktrial.training.config import TrainConfig
from mocktrial.training.data import Example, epoch_of, unit_batches
from mocktrial.training.engine import freeze
from mocktrial.training.losses.choose import bound_loss
from mocktrial.training.packing import Pack, micro_batches
from mocktrial.training.utilisation import seen_pairs, shape_of, step_flops

_LOOKED_AT = 4  # steps, of which the mean is taken


class Cost(Frozen):
    """Of all rows: tokens, trained. Of a mean step: the rest.

    computed_per_step: tokens after packing, those of play, reference and z counted too; a pass that is only forward
    counts a third. memory: bytes, of weights, gradients, optimizer and activations of the largest micro-batch.
    seconds_per_step: at the rate of a plain matrix product here; it will not be quicker.
    """

    rows: int
    tokens: int
    trained: int
    steps: int
    rows_per_step: float
    computed_per_step: int
    flops_per_step: float
    seconds_per_step: float
    parameters: int
    learning: int
    memory: int

    def told(self) -> dict[str, str]:
        """Each figure with its unit."""
        return {
            "rows": f"{self.rows:,} trajectories",
            "tokens": f"{self.tokens:,} tokens",
            "trained": f"{self.trained:,} tokens",
            "steps": f"{self.steps:,} steps",
            "rows_per_step": f"{self.rows_per_step:,.1f} trajectories",
            "computed_per_step": f"{self.computed_per_step:,} tokens",
            "flops_per_step": f"{self.flops_per_step / 1e9:,.1f} GFLOP",
            "seconds_per_step": f"{self.seconds_per_step:,.2f} s or more",
            "parameters": f"{self.parameters:,} numbers",
            "learning": f"{self.learning:,} numbers",
            "memory": f"{self.memory / 2**20:,.0f} MiB",
        }


@dataclass
class _Counter:
    """Stands where a policy scores rows: counts the work and says nothing."""

    budget: int
    tokens: int = 0
    pairs: int = 0

    def score(self, rows: Sequence[Example]) -> list[Tensor]:
        self.add(micro_batches(rows, self.budget))
        return [torch.zeros(sum(row.mask)) for row in rows]

    def add(self, packs: Sequence[Pack]) -> None:
        self.tokens += sum(len(pack.ids) for pack in packs)
        self.pairs += sum(seen_pairs(pack.segments) for pack in packs)


def cost_of(config: TrainConfig, examples: Sequence[Example], source: str) -> Cost:
    """The cost of `trainer.fit` on `examples`; source: folder or name of the model, as transformers takes it."""
    model = shaped_like(source, config)
    loss = bound_loss(config, examples)
    total = config.steps or config.epochs * len(epoch_of(loss.units, config.batch_size, ""))
    plan = unit_batches(loss.units, config.batch_size, total, config.seed)[:_LOOKED_AT]
    forward, both = _Counter(config.micro_batch_tokens), _Counter(config.micro_batch_tokens)
    loss.prepare(plan, 0, forward.score)
    largest: Pack | None = None
    for step, rows in enumerate(plan):
        begun = loss.begin(step, rows, forward.score)
        units = begun.units or [[row] for row in begun.rows]
        packs = micro_batches([loss.examples[row] for row in rows], config.micro_batch_tokens, units)
        both.add(packs)
        if config.rollouts:
            forward.add(packs)  # every token was read or drawn once; a group shares its prompt there too
        largest = max([*packs, *([largest] if largest else [])], key=lambda pack: len(pack.ids), default=None)
    shape = shape_of(model)
    looked_at = len(plan) / (config.rollouts.updates if config.rollouts else 1)  # steps; each is several updates
    tokens = round((forward.tokens / 3 + both.tokens) / looked_at)
    pairs = round((forward.pairs / 3 + both.pairs) / looked_at)
    flops = step_flops(shape, tokens, pairs)
    return Cost(
        rows=len(loss.examples),
        tokens=sum(len(row.ids) for row in loss.examples),
        trained=sum(sum(row.mask) for row in loss.examples),
        steps=total,
        rows_per_step=sum(map(len, plan)) / looked_at,
        computed_per_step=tokens,
        flops_per_step=flops,
        seconds_per_step=flops / rate_here(config),
        parameters=shape.parameters,
        learning=sum(value.numel() for value in model.parameters() if value.requires_grad),
        memory=memory_of(model, largest),
    )


def shaped_like(source: str, config: TrainConfig) -> PreTrainedModel:
    """The model without its weights, with what would learn marked as such."""
    with torch.device("meta"):
        shape = AutoConfig.from_pretrained(source)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(shape)  # type: ignore[no-untyped-call]
        if config.lora:
            add_adapters(model, config.lora, seed=config.seed, frozen_layers=config.frozen_layers)
        else:
            freeze(model, config.frozen_layers)
    return model


def memory_of(model: PreTrainedModel, largest: Pack | None) -> int:
    """Bytes in fp32: 4 a weight, 12 more a learning one (gradient and AdamW's two), and activations.

    A block keeps for its backward pass, a token: norms, residuals, queries, keys, values and output (9 widths, keys
    and values by their heads) and four of its inner width; the head keeps scores and their gradient.
    """
    weights: int = sum(value.numel() * (16 if value.requires_grad else 4) for value in model.parameters())
    if largest is None:
        return weights
    config = model.config
    shared = 4 * config.hidden_size * config.num_key_value_heads / config.num_attention_heads
    block = 9 * config.hidden_size + shared + 4 * config.intermediate_size
    activations: float = (
        4 * len(largest.ids) * config.num_hidden_layers * block + 12 * len(largest.source) * config.vocab_size
    )
    return weights + math.ceil(activations)


def rate_here(config: TrainConfig) -> float:
    """FLOPs a second of a plain matrix product in this process, on the device that the config means."""
    device = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 768
    kind = torch.bfloat16 if device == "cuda" and config.precision != "fp32" else torch.float32
    left = torch.ones(size, size, device=device, dtype=kind)
    float((left @ left)[0, 0])  # warm
    best = math.inf
    for _ in range(3):
        begun = time.perf_counter()
        float((left @ left)[0, 0])  # read back: a GPU has finished then
        best = min(best, time.perf_counter() - begun)
    return 2.0 * size**3 / best


def longest_play(config: TrainConfig, prompts: Sequence[int]) -> list[Example]:
    """Stand-ins for the episodes of a step of play, each as long as it may get: a prompt, then turns at their limit.

    prompts: tokens of the first prompts of the step's tasks. Rewards alternate, so that no group is left out.
    """
    if config.rollouts is None:
        return []
    drawn = config.rollouts.turns * config.rollouts.max_new_tokens
    return [
        Example(
            group=str(task),
            ids=(task,) * read + (trial,) * drawn,
            mask=(False,) * read + (True,) * drawn,
            behaviour=(0.0,) * (read + drawn),
            reward=float(trial % 2),
        )
        for task, read in enumerate(prompts)
        for trial in range(config.rollouts.group)
    ]
