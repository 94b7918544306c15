"""What every training loop does beside training: go on from a checkpoint, save, evaluate, keep the best, tell.

Used by `trainer.fit` on recorded episodes and by `online.reinforce` on played ones. Nothing here knows a loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.curriculum import State
from mocktrial.training.checkpoint import TrainerState, find_checkpoint, read_state, save_checkpoint
from mocktrial.training.config import TrainConfig, dump_config
from mocktrial.training.journal import Metrics
from mocktrial.training.keys import filled

Progress: TypeAlias = Callable[[int, int, float], None]  # steps done, steps in all, loss of the step
Evaluate: TypeAlias = Callable[[int], Mapping[str, float]]  # steps done -> figures of held-out play, "success" for one
BEST = "-best"  # after the checkpoint's name


class Savable(Protocol):
    """`engine.Engine`, or a `learner.Learner`."""

    def write(self, folder: Path, tokenizer: Any = None, *, optimizer: bool = True) -> None: ...

    def read(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class Watch:
    """Where a run goes and who is told. A None is left out.

    folder: of the checkpoint. log: takes the metrics of each step, and of an evaluation. leads: False where another
    process of the same run writes the checkpoint and this one only gives its share.
    """

    folder: Path | None = None
    tokenizer: Any = None
    progress: Progress | None = None
    log: Callable[[int, Metrics], None] | None = None
    evaluate: Evaluate | None = None
    leads: bool = True


UNWATCHED = Watch()


@dataclass
class Session:
    """One run from its first or a later step to its last. `losses` has one a step, from the first step on."""

    policy: Savable
    config: TrainConfig
    total: int
    data: str  # digest of what is learned from
    watch: Watch = UNWATCHED
    losses: list[float] = field(default_factory=list)
    best: float | None = None
    drawn: State | None = None  # of the curriculum that tasks are drawn by

    def find(self, resume: bool) -> Path | None:
        """The checkpoint to go on from. UsageError when it belongs to another config or to other data."""
        source = find_checkpoint(self.watch.folder) if resume and self.watch.folder else None
        if source is not None:
            state = read_state(source)
            _same_run(source, state, self._state())
            self.losses, self.best, self.drawn = list(state.losses), state.best, state.drawn
        return source

    def start(self, source: Path | None) -> None:
        """Take up `source`, or measure the policy before the first step."""
        if source is not None:
            if self.done < self.total or self.config.keep_optimizer:  # of a run that is over nothing is taken up
                self.policy.read(source)
        else:
            self._evaluate()

    @property
    def done(self) -> int:
        return len(self.losses)

    def after(self, metrics: Metrics) -> None:
        """A step has been made; `metrics` has its loss."""
        self.losses.append(metrics["loss"])
        if self.watch.log:
            self.watch.log(self.done, metrics)
        last = self.done == self.total
        if self.config.evaluation and (last or self.done % self.config.evaluation.every == 0):
            self._evaluate()
        if self.watch.folder and (last or (self.config.save_every and self.done % self.config.save_every == 0)):
            self._save(self.watch.folder, optimizer=self.config.keep_optimizer)
        if self.watch.progress:
            self.watch.progress(self.done, self.total, self.losses[-1])

    def _evaluate(self) -> None:
        if self.watch.evaluate is None:
            return
        found = self.watch.evaluate(self.done)
        if self.watch.log:
            self.watch.log(self.done, {f"held_out_{name}": value for name, value in found.items()})
        if found.get("success", -math.inf) > (-math.inf if self.best is None else self.best):
            self.best = found["success"]
            if self.done and self.watch.folder:
                self._save(self.watch.folder.with_name(self.watch.folder.name + BEST), optimizer=False)

    def _state(self) -> TrainerState:
        return TrainerState(
            step=self.done, total=self.total, losses=tuple(self.losses), data=self.data, best=self.best,
            drawn=self.drawn, config=self.config.model_dump(mode="json"),
        )  # fmt: skip

    def _save(self, folder: Path, *, optimizer: bool) -> None:
        def write(made: Path) -> None:
            self.policy.write(made, self.watch.tokenizer, optimizer=optimizer)

        if self.watch.leads:
            save_checkpoint(folder, self._state(), dump_config(self.config), write)
        else:
            write(folder)


def _same_run(source: Path, found: TrainerState, begun: TrainerState) -> None:
    before = filled(TrainConfig, found.config)
    changed = [key for key, value in begun.config.items() if before.get(key) != value]
    if changed:
        pairs = ", ".join(f"{key} was {before.get(key)}, is {begun.config[key]}" for key in changed)
        raise UsageError(f"{source} was trained with another config: {pairs}", hint="choose another name")
    if found.data != begun.data:
        raise UsageError(f"{source} was trained on other data", hint="choose another name")
