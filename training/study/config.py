"""A study as its TOML file says it: datasets, stages, arms that are chains of stages, and what is compared.

A stage plays (`[play.NAME]`) or trains (`[train.NAME]`): on what was played before it or, with
`[train.NAME.rollouts]`, on what it plays itself. An arm names stages in order: each goes on from the weights and the
episodes that those before it left. Arms that begin with the same stages share them, so that objectives named after one
and the same play learn from one and the same recorded episodes. Unknown keys, names that lead nowhere and chains
without sense raise `UsageError`, before anything is made.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from mocktrial.agents.scripted import AGENTS
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import broken
from mocktrial.mocktools.spec import FileName, Frozen
from mocktrial.training.config import TrainConfig

POLICY = "policy"
_OF_THE_STUDY = ("name", "data", "model", "out", "seed")  # keys of a training config that follow from the chain


class DatasetPlan(Frozen):
    """A recipe of `mocktrial synth`, made anew for every seed."""

    domains: tuple[str, ...] = ()  # empty = every kit
    tasks: int = Field(ge=1)
    per_world: int = Field(0, ge=0)  # tasks of a world at most; 0 = as `synth` shares them out
    max_calls: int = Field(0, ge=0)  # of a gold plan; 0 = any number
    max_tools: int = Field(0, ge=0)  # of a world; 0 = all that it has
    gap: bool = True  # False makes the control set, which hides nothing
    voices: bool = True
    draw: int = 0  # datasets of one number are drawn alike: a control set has that of its twin


class Playing(Frozen):
    """Which tasks are played, and how long an episode may get."""

    dataset: str
    split: str = ""  # empty = all
    tasks: int = Field(0, ge=0)  # so many, drawn by the seed; 0 = all
    trials: int = Field(1, ge=1)  # episodes of a task
    turns: int = Field(16, ge=1)  # of an episode
    max_new_tokens: int = Field(64, ge=1)  # of a turn


class PlayStage(Playing):
    """Episodes to learn from."""

    agent: str = POLICY  # the model as the chain has left it, or a scripted agent
    temperature: float = Field(1.0, ge=0)  # of the policy


class Study(Frozen):
    name: FileName
    seeds: tuple[int, ...] = Field(min_length=1)  # each has its own worlds, tasks, order and draws
    model: str = "smollm2"  # every chain begins with it; as `agents.local.weights.load` takes it
    datasets: dict[FileName, DatasetPlan]
    play: dict[FileName, PlayStage] = Field(default_factory=dict)
    train: dict[FileName, TrainConfig] = Field(default_factory=dict)  # as docs/training.md, less what the chain gives
    held_out: Playing  # what every arm plays at last, greedily
    arms: dict[FileName, tuple[str, ...]] = Field(min_length=1)  # stages in order; empty = the model as it is
    compare: tuple[tuple[str, str], ...] = ()  # pairs of arms: second - first

    @field_validator("train", mode="before")
    @classmethod
    def _of_the_chain(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        for name, keys in given.items():
            own = [key for key in _OF_THE_STUDY if isinstance(keys, dict) and key in keys]
            if own:
                raise ValueError(f"train.{name}.{own[0]} follows from the arm's chain: leave it out")
        return {
            name: {**keys, "name": name, "data": "" if "rollouts" in keys else "the chain"}
            if isinstance(keys, dict)
            else keys
            for name, keys in given.items()
        }

    @model_validator(mode="after")
    def _meaningful(self) -> Study:
        for name in sorted(self.play.keys() & self.train.keys()):
            raise ValueError(f"stage {name!r} is in [play] and in [train]: rename one")
        _known(self.held_out.dataset, self.datasets, "held_out.dataset")
        for stage in (*self.play, *self.train):
            if named := self.dataset_of(stage):
                _known(named, self.datasets, f"{self.where(stage)}.dataset")
        for name, playing in self.play.items():
            _known(playing.agent, (POLICY, *AGENTS), f"play.{name}.agent")
        for name, config in self.train.items():
            if config.evaluation:
                raise ValueError(f"train.{name}.evaluation: [held_out] says what is played to evaluate; leave it out")
        for arm, chain in self.arms.items():
            self._check_chain(arm, chain)
        for arm in (one for pair in self.compare for one in pair):
            _known(arm, self.arms, "compare")
        return self

    def dataset_of(self, stage: str) -> str:
        """The dataset that a stage plays; empty for one that trains on what was played before it."""
        if stage in self.play:
            return self.play[stage].dataset
        rollouts = self.train[stage].rollouts
        return rollouts.dataset if rollouts else ""

    def where(self, stage: str) -> str:
        """The table that says what a stage plays."""
        return f"play.{stage}" if stage in self.play else f"train.{stage}.rollouts"

    def _check_chain(self, arm: str, chain: tuple[str, ...]) -> None:
        where, recorded = f"arms.{arm}", False
        for stage in chain:
            _known(stage, (*self.play, *self.train), where)
            recorded = recorded or stage in self.play
            if not recorded and not self.dataset_of(stage):
                raise ValueError(f"{where}: {stage} has nothing to learn from: name a stage of [play] before it")
            if self.dataset_of(stage) == self.held_out.dataset:
                raise ValueError(f"{where}: {stage} plays {self.held_out.dataset}, which is held out")
        twins = [other for other, stages in self.arms.items() if stages == chain and other != arm]
        if twins:
            raise ValueError(f"{where} has the same stages as arms.{twins[0]}")


def load_study(path: Path) -> Study:
    """The study at `path`. Raises `UsageError` that names the key."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no study at {path}", hint="see training/recipes/underspecified.toml") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    return parse_study(given, str(path))


def parse_study(given: dict[str, Any], where: str) -> Study:
    """A study from plain data; errors say `where`, which key and why."""
    try:
        return Study.model_validate_json(json.dumps(given, default=str), strict=True)
    except ValidationError as error:
        raise broken(where, error, hint="remove or correct the key") from error


def _known(name: str, names: Collection[str], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where}: there is no {name!r}; there are {', '.join(names) or 'none'}")
