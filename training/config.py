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
from mocktrial.training.rollouts.config import RolloutConfig

Verb: TypeAlias = Literal["sft", "kto", "dpo", "rl"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class LoraConfig(Frozen):
    """Low-rank adapters on the linear layers of every block; all else stays as it is."""

    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0)  # the adapter's output is scaled by alpha / rank
    targets: tuple[str, ...] = ()  # names of layers, such as "q_proj"; empty = all linear ones


class SftConfig(Frozen):
    weighting: Literal["none", "idft"] = "none"  # idft: tokens by how far they are from the policy's own
    scale: float = Field(1.0, gt=0)  # idft: the paper's b


class KtoConfig(Frozen):
    beta: float = Field(0.1, gt=0)  # ToolRec uses 0.01 (METHODS section 3)
    desirable_weight: float = Field(1.0, ge=0)  # lambda_D
    undesirable_weight: float = Field(1.0, ge=0)  # lambda_U
    z: Literal["shuffled", "shifted", "none"] = "shuffled"  # "shifted": as TRL 1.16 pairs rows; "none": z = 0
    clip: float = Field(0.0, ge=0)  # bound of a row's log-ratio in nats; 0 = none


class DpoConfig(Frozen):
    """Pairs are made of episodes of one group with one prompt: a desirable and an undesirable one."""

    beta: float = Field(0.1, gt=0)
    pairs: Literal["once", "all"] = "once"  # once: each episode in one pair at most; all: each with each
    weighting: Literal["none", "transport"] = "none"  # transport: OTPO's weight of each token
    reg: float = Field(1.0, gt=0)  # transport: entropy
    reg_m: float = Field(0.2, gt=0)  # transport: of the marginals


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


class OnlineConfig(RolloutConfig):
    """`[rollouts]`: the policy plays what it learns from, step by step."""

    dataset: str  # folder of tasks
    split: str = "train"
    tasks_per_step: int = Field(4, ge=1)  # groups that an optimizer step learns from
    updates: int = Field(1, ge=1)  # optimizer steps on the episodes of a step, at most; the first one is on-policy


class EvaluationConfig(Frozen):
    """`[evaluation]`: greedy play of held-out tasks while training; the best checkpoint is kept beside the last."""

    every: int = Field(10, ge=1)  # steps; also before the first and after the last
    split: str = "test"
    tasks: int = Field(32, ge=1)  # the first so many of the split
    dataset: str = ""  # empty = that of the rollouts
    max_new_tokens: int = Field(64, ge=1)  # of a turn
    turns: int = Field(16, ge=1)  # of an episode


class TrainConfig(Frozen):
    objective: Verb
    name: str = Field(pattern=NAME_PATTERN)  # the checkpoint's folder under `out`
    data: str = ""  # a run's folder, or a JSONL file of records; empty only where [rollouts] plays them
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
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU where there is one
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 only where the device multiplies it
    frozen_layers: int = Field(0, ge=0)  # so many first layers and the embeddings stay as they are; 0 = none
    save_every: int = Field(0, ge=0)  # steps between checkpoints; 0 = only at the end
    keep_optimizer: bool = True  # in the checkpoint, so that it can be resumed; twice the model's size
    track: tuple[Literal["trackio", "tensorboard"], ...] = ()  # metrics go there too, not only to a JSONL file
    lora: LoraConfig | None = None  # None = all weights learn
    sft: SftConfig = SftConfig()
    kto: KtoConfig = KtoConfig()
    dpo: DpoConfig = DpoConfig()
    rl: RlConfig = RlConfig()
    rollouts: OnlineConfig | None = None  # rl only; None = recorded episodes
    evaluation: EvaluationConfig | None = None  # None = no held-out play

    @model_validator(mode="after")
    def _meaningful(self) -> TrainConfig:
        if self.rollouts is None and not self.data:
            raise ValueError("data is missing: a run's folder or a JSONL file")
        if self.rollouts is not None and self.data:
            raise ValueError("data is given and [rollouts] too: one of them")
        if self.rollouts is not None and (self.objective != "rl" or not self.steps):
            raise ValueError('[rollouts] is for objective "rl", with steps given')
        if self.evaluation is not None and not (self.evaluation.dataset or self.rollouts):
            raise ValueError("evaluation.dataset is missing")
        return self


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
        key = ".".join(str(part) for part in first["loc"]) or "config"
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{where}: {key}: {reason}", hint="remove or correct the key") from error


def dump_config(config: TrainConfig) -> str:
    """The resolved config as TOML, every default written out."""
    return tomlkit.dumps(config.model_dump(mode="json", exclude_none=True))
