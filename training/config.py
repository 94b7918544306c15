"""What a training run is told, as one frozen model read from TOML. Defaults stand beside their meaning.

Sources of the defaults: METHODS sections 1, 3 and 4. Unknown keys and wrong types raise `UsageError`
with the key's name; nothing is coerced silently.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, TypeAlias

import tomlkit
from pydantic import Field, ValidationError, model_validator

from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen
from mocktrial.training.objectives.presets import PRESETS, PolicyLoss, PresetName

Verb: TypeAlias = Literal["sft", "kto", "rl"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class KtoConfig(Frozen):
    beta: float = Field(0.1, gt=0)  # ToolRec uses 0.01 (METHODS section 3)
    desirable_weight: float = Field(1.0, ge=0)  # lambda_D
    undesirable_weight: float = Field(1.0, ge=0)  # lambda_U
    z: Literal["shuffled", "shifted", "none"] = "shuffled"  # "shifted": as TRL 1.16 pairs rows; "none": z = 0
    clip: float = Field(0.0, ge=0)  # bound of a row's log-ratio in nats; 0 = none


class RlConfig(PolicyLoss):
    """A preset's loss; any key of `PolicyLoss` that is given stands in place of the preset's."""

    preset: PresetName = "grpo"

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        preset = next((loss for name, loss in PRESETS.items() if name == given.get("preset", "grpo")), None)
        return {**(preset.model_dump() if preset else {}), **given}


class TrainConfig(Frozen):
    objective: Verb
    name: str = Field(pattern=NAME_PATTERN)  # the checkpoint's folder under `out`
    data: str  # JSONL file of trajectories
    model: str = "smollm2"  # as `agents.local.weights.load` takes it
    out: str = "checkpoints"
    seed: int = 0
    steps: int = Field(0, ge=0)  # optimizer steps; 0 = as many as `epochs` make
    epochs: int = Field(1, ge=1)
    batch_size: int = Field(8, ge=1)  # trajectories an optimizer step
    micro_batch_tokens: int = Field(2048, ge=1)  # computed tokens a forward pass; memory, not the result
    learning_rate: float = Field(2e-4, gt=0)
    warmup: float = Field(0.1, ge=0, le=1)  # share of the steps
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    clip_norm: float = Field(1.0, gt=0)  # of the whole gradient
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 only where the device multiplies it
    frozen_layers: int = Field(0, ge=0)  # so many first layers and the embeddings stay as they are; 0 = none
    save_every: int = Field(0, ge=0)  # steps between checkpoints; 0 = only at the end
    keep_optimizer: bool = True  # in the checkpoint, so that it can be resumed; twice the model's size
    kto: KtoConfig = KtoConfig()
    rl: RlConfig = RlConfig()


def load_config(path: Path, verb: Verb) -> TrainConfig:
    """The config at `path` for `mocktrial train VERB`. `objective` may be left out of the file."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no config file at {path}", hint=f"mocktrial train {verb} --help") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    if given.setdefault("objective", verb) != verb:
        raise UsageError(
            f"{path}: objective is {given['objective']!r}",
            hint=f"mocktrial train {given['objective']} {path}",
        )
    return parse_config(given, str(path))


def parse_config(given: dict[str, Any], where: str) -> TrainConfig:
    """A config from plain data; errors say `where`, which key and why."""
    try:
        return TrainConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{where}: {key}: {reason}", hint="remove or correct the key") from error


def dump_config(config: TrainConfig) -> str:
    """The resolved config as TOML, every default written out."""
    return tomlkit.dumps(config.model_dump(mode="json"))
