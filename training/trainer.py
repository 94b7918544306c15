"""The one loop behind SFT, KTO and GRPO: batches, micro-batches, AdamW, checkpoints, resume.

Same seed, data and model give the same losses on the same machine and thread count. The model stays in
evaluation mode (no dropout), since log-probabilities must be those of the policy that acts. A loss or
gradient that is not finite raises `Diverged`, which names the batch; the last checkpoint stays as it was.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from mocktrial.agents.local.weights import fast_dtype
from mocktrial.mocktools.errors import MocktrialError, UsageError
from mocktrial.training.checkpoint import (
    TrainerState,
    find_checkpoint,
    load_checkpoint,
    read_state,
    save_checkpoint,
)
from mocktrial.training.config import TrainConfig, dump_config
from mocktrial.training.data import Example, batches
from mocktrial.training.forward import token_statistics
from mocktrial.training.packing import Pack, micro_batches
from mocktrial.training.recipes import Recipe, recipe_of

Progress: TypeAlias = Callable[[int, int, float], None]  # steps done, steps in all, loss of the step


class Diverged(MocktrialError):
    """Training produced a number that is not finite; the message names the step and its trajectories."""


@dataclass(frozen=True)
class TrainResult:
    """losses: one a step, from the first step on, also those before a resume. rows: trained on."""

    losses: tuple[float, ...]
    rows: int
    folder: Path | None


def fit(
    model: PreTrainedModel,
    examples: Sequence[Example],
    config: TrainConfig,
    *,
    folder: Path | None = None,
    tokenizer: Any = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train `model` in place on `examples`; `agents.local.attention.install` was called on it.

    model: the policy at the start of the run, also when `resume` continues a checkpoint: it is the
        reference of KTO and GRPO. Weights in fp32, for AdamW.
    folder: of the checkpoint; None saves nothing. With `resume`, a stable checkpoint there is continued
        (UsageError when it belongs to another config or other data), else the run starts anew.
    """
    recipe = recipe_of(config, examples)
    count = len(recipe.examples)
    total = config.steps or config.epochs * math.ceil(count / config.batch_size)
    plan = batches(count, config.batch_size, total, config.seed)
    model.eval()  # type: ignore[no-untyped-call]
    loop = _Loop(model, recipe, config)
    begun = TrainerState(
        step=0, total=total, losses=(), data=_digest(recipe.examples), config=config.model_dump(mode="json")
    )
    source = find_checkpoint(folder) if resume and folder else None
    state = begun if source is None else _continued(source, begun)
    recipe.prepare(plan, state.step, loop.score)
    if source is not None:
        load_checkpoint(source, model, loop.optimizer)
    losses = list(state.losses)
    for step in range(state.step, total):
        losses.append(loop.step(step, total, plan[step]))
        last = step + 1 == total
        if folder and (last or (config.save_every and (step + 1) % config.save_every == 0)):
            state = begun.model_copy(update={"step": step + 1, "losses": tuple(losses)})
            optimizer = loop.optimizer if config.keep_optimizer else None
            save_checkpoint(folder, state, dump_config(config), model, tokenizer, optimizer)
        if progress:
            progress(step + 1, total, losses[-1])
    return TrainResult(losses=tuple(losses), rows=count, folder=folder)


class _Loop:
    """Model, optimizer and precision of one run."""

    def __init__(self, model: PreTrainedModel, recipe: Recipe, config: TrainConfig) -> None:
        self._model = model
        self._recipe = recipe
        self._config = config
        self._autocast = config.precision == "bf16" or (
            config.precision == "auto" and fast_dtype(model.device.type) == torch.bfloat16
        )
        freeze(model, config.frozen_layers)
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )

    def _forward(self, pack: Pack, *, entropy: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        with torch.autocast(self._model.device.type, dtype=torch.bfloat16, enabled=self._autocast):
            return token_statistics(self._model, pack, entropy=entropy)

    def score(self, rows: Sequence[Example]) -> list[Tensor]:
        """Log-probabilities of each row's trained tokens, without gradient, in the order given."""
        found: dict[int, Tensor] = {}
        with torch.no_grad():
            for pack in micro_batches(rows, self._config.micro_batch_tokens):
                logps, mask, _ = self._forward(pack)
                found.update((row, logps[place][mask[place]].clone()) for place, row in enumerate(pack.rows))
        return [found[row] for row in range(len(rows))]

    def step(self, step: int, total: int, rows: Sequence[int]) -> float:
        """One optimizer step on `rows`; its loss."""
        batch = [self._recipe.examples[row] for row in rows]
        share = self._recipe.begin(step, rows, self.score)
        loss = 0.0
        for pack in micro_batches(batch, self._config.micro_batch_tokens):
            part = share(pack.rows, *self._forward(pack, entropy=self._recipe.needs_entropy))
            loss += float(part.detach())
            _check(loss, "loss", step, batch)
            part.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        _check(float(norm), "gradient", step, batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, total, self._config)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss


def freeze(model: PreTrainedModel, layers: int) -> None:
    """Let only the layers from index `layers` on, and the last norm, learn; 0 lets all of the model learn.

    The backward pass ends where learning does: half the layers frozen make a step about a third cheaper.
    Raises `UsageError` when nothing would be left.
    """
    blocks = cast(torch.nn.ModuleList, model.base_model.layers)
    if layers >= len(blocks):
        raise UsageError(f"frozen_layers is {layers}, the model has {len(blocks)} layers", hint="leave some to learn")
    model.requires_grad_(layers == 0)
    for part in (*blocks[layers:], cast(torch.nn.Module, model.base_model.norm)):
        part.requires_grad_(True)


def learning_rate(step: int, total: int, config: TrainConfig) -> float:
    """Of the step with index `step`: linear warm-up to the peak, then constant, linear or cosine to 0."""
    warm = math.ceil(config.warmup * total)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    gone = (step - warm) / max(1, total - warm)  # in [0, 1)
    shape = {"constant": 1.0, "linear": 1.0 - gone, "cosine": 0.5 * (1.0 + math.cos(math.pi * gone))}
    return config.learning_rate * shape[config.schedule]


def _check(value: float, what: str, step: int, batch: Sequence[Example]) -> None:
    if not math.isfinite(value):
        groups = ", ".join(sorted({row.group for row in batch}))
        raise Diverged(
            f"the {what} of step {step + 1} is {value}; its batch holds {groups}",
            hint="lower learning_rate, or look at these trajectories; then train again with --resume",
        )


def _continued(source: Path, begun: TrainerState) -> TrainerState:
    """The state saved at `source`, if it is of the same run as `begun`."""
    state = read_state(source)
    changed = [key for key, value in begun.config.items() if state.config.get(key) != value]
    if changed:
        pairs = ", ".join(f"{key} was {state.config.get(key)}, is {begun.config[key]}" for key in changed)
        raise UsageError(f"{source} was trained with another config: {pairs}", hint="choose another name")
    if state.data != begun.data:
        raise UsageError(f"{source} was trained on other data", hint="choose another name")
    return state


def _digest(examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for row in examples:
        digest.update(repr(row).encode())
    return digest.hexdigest()
