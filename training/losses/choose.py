"""Which bound objective a config means."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mocktrial.mocktools.errors import UsageError
from mocktrial.training.config import TrainConfig
from mocktrial.training.data import Example
from mocktrial.training.losses.base import BatchLoss
from mocktrial.training.losses.dpo import Dpo
from mocktrial.training.losses.kto import Kto
from mocktrial.training.losses.rl import Real, Rl
from mocktrial.training.losses.sft import Sft

_NONE = "scored episodes", "play some: mocktrial run DATASET --agent AGENT"
_NO_SUCCESS = (
    "successful episodes",
    "play an agent that succeeds (mocktrial run DATASET --agent expert), or train kto, which learns from failures too",
)
_PLAY_MORE = "play each task several times with sampling: mocktrial run DATASET --trials 8 --temperature 1"
_WEIGHTLESS = "every weight is 0", "give some record a weight above 0"
_ALL_GONE = {
    "sft": _WEIGHTLESS,
    "kto": _WEIGHTLESS,
    "dpo": ("no group has a desirable and an undesirable one of the same prompt", _PLAY_MORE),
    "rl": ("every group's rewards are equal", _PLAY_MORE),
}


def bind(config: TrainConfig, examples: Sequence[Example]) -> BatchLoss:
    """The loss of `config` on `examples`, whose rows may all have gone: `bound_loss` refuses that."""
    kinds: dict[str, Callable[[Sequence[Example], TrainConfig], BatchLoss]] = {"sft": Sft, "kto": Kto, "dpo": Dpo}
    make = kinds.get(config.objective) or (Real if config.rl.loss == "real" else Rl)
    return make(examples, config)


def bound_loss(config: TrainConfig, examples: Sequence[Example]) -> BatchLoss:
    """`bind`; UsageError when nothing is left to learn from."""
    if not examples:
        kind, hint = _NONE if config.objective != "sft" else _NO_SUCCESS
        raise UsageError(f"{config.data}: no {kind} to learn from", hint=hint)
    loss = bind(config, examples)
    if not loss.examples:
        reason, hint = _ALL_GONE[config.objective]
        raise UsageError(f"{config.data}: nothing to learn from {len(examples)} trajectories: {reason}", hint=hint)
    return loss
