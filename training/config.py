"""What a training run is told, as one frozen model read from TOML. Defaults stand beside their meaning.

Sources of the defaults: METHODS sections 1, 3 and 4. Unknown keys and wrong types raise `UsageError`
with the key's name; nothing is coerced silently.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import tomlkit
from pydantic import Field, ValidationError, model_validator

from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import broken
from mocktrial.training.keys import Table, listed
from mocktrial.training.objectives.presets import PRESETS, PolicyLoss, PresetName
from mocktrial.training.rollouts.config import CurriculumConfig, RolloutConfig

Verb: TypeAlias = Literal["sft", "kto", "dpo", "rl"]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"


class LoraConfig(Table):
    """Low-rank adapters on the linear layers of every block; all else stays as it is."""

    rank: int = Field(8, ge=1)
    """Inner width of an adapter."""
    alpha: float = Field(16.0, gt=0)
    """The adapter's output is scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of layers, such as "q_proj"; empty = all linear ones."""


class SftConfig(Table):
    weighting: Literal["none", "idft"] = "none"
    """Of tokens. "idft": by how far they are from the policy's own."""
    scale: float = Field(1.0, gt=0)
    """With "idft", the paper's b."""


class KtoConfig(Table):
    beta: float = Field(0.1, gt=0)
    """How close to the reference policy. ToolRec uses 0.01 (METHODS section 3)."""
    desirable_weight: float = Field(1.0, ge=0)
    """Lambda_D: of desirable trajectories."""
    undesirable_weight: float = Field(1.0, ge=0)
    """Lambda_U: of undesirable trajectories."""
    z: Literal["shuffled", "shifted", "none"] = "shuffled"
    """The reference point. "shifted": as TRL 1.16 pairs rows; "none": z = 0."""
    clip: float = Field(0.0, ge=0)
    """Bound of a row's log-ratio in nats; 0 = none."""


class DpoConfig(Table):
    """Pairs are made of episodes of one group with one prompt: a desirable and an undesirable one."""

    beta: float = Field(0.1, gt=0)
    """How close to the reference policy."""
    pairs: Literal["once", "all"] = "once"
    """An episode is in one pair at most, or each desirable one with each undesirable one."""
    weighting: Literal["none", "transport"] = "none"
    """Of tokens. "transport": OTPO's."""
    reg: float = Field(1.0, gt=0)
    """With "transport", the weight of the entropy."""
    reg_m: float = Field(0.2, gt=0)
    """With "transport", the weight of the marginals."""


class RlConfig(PolicyLoss):
    """A preset's loss; any key of `PolicyLoss` that is given stands in place of the preset's."""

    preset: PresetName = "grpo"
    """The other keys, where they are left out, are the preset's; those shown are grpo's."""

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        preset = next((loss for name, loss in PRESETS.items() if name == given.get("preset", "grpo")), None)
        return {**(preset.model_dump() if preset else {}), **given}


class OnlineConfig(RolloutConfig):
    """`[rollouts]`: the policy plays what it learns from, step by step."""

    dataset: str
    """Folder of tasks to play."""
    split: str = "train"
    """Of the dataset."""
    tasks_per_step: int = Field(4, ge=1)
    """Groups that a step learns from."""
    updates: int = Field(1, ge=1)
    """Optimizer steps on the episodes of a step, at most; the first one is on-policy."""
    curriculum: CurriculumConfig | None = None
    """Tasks are drawn by how often they succeed; left out: all alike, in a fresh order every epoch."""


class EvaluationConfig(Table):
    """`[evaluation]`: greedy play of held-out tasks while training; the best checkpoint is kept beside the last."""

    every: int = Field(10, ge=1)
    """Steps between evaluations; there is one before the first step and after the last."""
    split: str = "test"
    """Of the dataset."""
    tasks: int = Field(32, ge=1)
    """The first so many of the split."""
    dataset: str = ""
    """Folder of tasks; empty = that of the rollouts."""
    max_new_tokens: int = Field(64, ge=1)
    """Of a turn, at most."""
    turns: int = Field(16, ge=1)
    """Of an episode, at most."""


class TrainConfig(Table):
    objective: Verb
    """Follows from the verb and may be left out."""
    name: str = Field(pattern=NAME_PATTERN)
    """The checkpoint's folder under `out`."""
    data: str = ""
    """A run's folder, or a JSONL file of records; empty only where [rollouts] plays them."""
    model: str = "smollm2"
    """A checkpoint's folder, a hub id (owner/name), or "smollm2"."""
    out: str = "checkpoints"
    """Folder of checkpoints."""
    seed: int = 0
    """Same seed, same losses on the same machine."""
    steps: int = Field(0, ge=0)
    """Optimizer steps; 0 = as many as `epochs` make."""
    epochs: int = Field(1, ge=1)
    """How often each trajectory is seen."""
    batch_size: int = Field(8, ge=1)
    """Trajectories an optimizer step."""
    micro_batch_tokens: int = Field(2048, ge=1)
    """Computed tokens a forward pass; less takes less memory, the result stays."""
    learning_rate: float = Field(2e-4, gt=0)
    """Of AdamW, at its peak."""
    warmup: float = Field(0.1, ge=0, le=1)
    """Share of the steps in which the learning rate rises."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """Of the learning rate after the warm-up."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    weight_decay: float = Field(0.0, ge=0)
    """Of AdamW."""
    clip_norm: float = Field(1.0, gt=0)
    """Of the whole gradient, at most."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """With "auto", a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """With "auto", bf16 only where the device multiplies it."""
    frozen_layers: int = Field(0, ge=0)
    """So many first layers and the embeddings stay as they are; 0 = none."""
    save_every: int = Field(0, ge=0)
    """Steps between checkpoints; 0 = only at the end."""
    keep_optimizer: bool = True
    """In the checkpoint, so that it can be resumed; twice the model's size."""
    track: tuple[Literal["trackio", "tensorboard"], ...] = ()
    """Metrics go there too, not only to a JSONL file."""
    lora: LoraConfig | None = None
    """Low-rank adapters learn, all else stays as it is; left out: all weights learn."""
    sft: SftConfig = SftConfig()
    """Read by `train sft`."""
    kto: KtoConfig = KtoConfig()
    """Read by `train kto`."""
    dpo: DpoConfig = DpoConfig()
    """Read by `train dpo`."""
    rl: RlConfig = RlConfig()
    """Read by `train rl`."""
    rollouts: OnlineConfig | None = None
    """`train rl` only: the policy plays what it learns from; left out: `data` has the episodes."""
    evaluation: EvaluationConfig | None = None
    """Greedy play of held-out tasks while it trains; left out: none."""

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
    try:  # as JSON: strict, but an array is a tuple
        return TrainConfig.model_validate_json(json.dumps(given, default=str), strict=True)
    except ValidationError as error:
        raise broken(
            where, error, hint=f"mocktrial train {given.get('objective', 'VERB')} --keys lists the keys"
        ) from error


def keys_of(verb: Verb) -> list[str]:
    """Every key that `mocktrial train VERB` reads, with default and meaning: a line a key."""
    of_rl = {"rollouts"} if verb != "rl" else set()
    return list(listed(TrainConfig, {"objective", *get_args(Verb)} - {verb} | of_rl))


def dump_config(config: TrainConfig) -> str:
    """The resolved config as TOML, every default written out."""
    return tomlkit.dumps(config.model_dump(mode="json", exclude_none=True))
