"""Online RL in one process: the policy plays with the very weights that learn.

Binds `online.reinforce` to a dataset, `rollouts.collect` and an engine. Fails with `UsageError` (no such dataset or
split), `MissingExtra`, or as `reinforce` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mocktrial.agents.local.policy import LocalPolicy
from mocktrial.agents.local.weights import LoadedModel
from mocktrial.envs.dataset import Dataset, load_dataset
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage
from mocktrial.training.checkpoint import checkpoint_folder
from mocktrial.training.config import TrainConfig
from mocktrial.training.engine import Engine
from mocktrial.training.learner import LocalLearner
from mocktrial.training.objectives.presets import RewardName
from mocktrial.training.online import held_out, options_of, reinforce
from mocktrial.training.rollouts.collect import Counts, collect
from mocktrial.training.rollouts.config import RolloutConfig
from mocktrial.training.rollouts.drafts import Drafts
from mocktrial.training.run import load_policy
from mocktrial.training.session import UNWATCHED, Evaluate, Watch
from mocktrial.training.trainer import TrainResult


@dataclass(frozen=True)
class Episodes:
    """An `online.Played`."""

    trajectories: Sequence[Trajectory]
    counts: Mapping[str, float]
    outcomes: Sequence[tuple[str, bool]]


class LocalCollect:
    """An `online.Collect` of one process; turns of the last epoch are kept where the config reuses them."""

    def __init__(
        self, loaded: LoadedModel, images: Mapping[str, WorldImage], config: RolloutConfig,
        reward: RewardName = "rubric",
    ) -> None:  # fmt: skip
        self._policy = LocalPolicy(
            loaded, max_new_tokens=config.max_new_tokens, temperature=config.temperature, paged=config.reuse == "none"
        )
        self._images = images
        self._config, self._reward = config, reward
        self._drafts = Drafts()

    def __call__(self, tasks: Sequence[Task], *, seed: int, wanted: int, version: int) -> Episodes:
        self._policy.weights_changed(version)
        played = asyncio.run(
            collect(
                tasks, self._images, self._policy, self._config, seed=seed, wanted=wanted, drafts=self._drafts,
                reward=self._reward,
            )
        )  # fmt: skip
        return Episodes(played.trajectories, flat(played.counts), played.outcomes)


def flat(counts: Counts) -> dict[str, float]:
    """The counts as metrics; what drifted by its reason."""
    parts = asdict(counts)
    drift: dict[str, int] = parts.pop("drift")
    return {**parts, **{f"drift_{reason}": number for reason, number in drift.items()}}


def train_online(
    config: TrainConfig, *, resume: bool = False, watch: Watch = UNWATCHED, threads: int | None = None
) -> TrainResult:
    """Train by play as `config` says and leave the checkpoint in `<config.out>/<config.name>/`."""
    options = options_of(config)
    folder = checkpoint_folder(config, resume=resume)
    dataset = load_dataset(Path(options.dataset))
    tasks = split_of(dataset, options.split)
    loaded = load_policy(config, threads=threads)
    engine = Engine(loaded.model, config, keep_start=config.rl.kl_weight > 0.0)
    evaluate = evaluation_of(config, loaded)
    return reinforce(
        LocalLearner(engine, config),
        LocalCollect(loaded, images_of(dataset, tasks), options, config.rl.reward),
        tasks,
        config,
        watch=replace(watch, folder=folder, tokenizer=loaded.tokenizer, evaluate=evaluate),
        resume=resume,
    )


def evaluation_of(config: TrainConfig, loaded: LoadedModel) -> Evaluate | None:
    """Greedy play of held-out tasks, an episode each; None where the config asks for none."""
    chosen = held_out_play(config)
    if chosen is None:
        return None
    dataset, tasks, greedy = chosen
    return held_out(LocalCollect(loaded, images_of(dataset, tasks), greedy), tasks, config.seed)


def held_out_play(config: TrainConfig) -> tuple[Dataset, tuple[Task, ...], RolloutConfig] | None:
    """What is played to evaluate the policy, and how."""
    if config.evaluation is None:
        return None
    dataset = load_dataset(Path(config.evaluation.dataset or options_of(config).dataset))
    tasks = split_of(dataset, config.evaluation.split)[: config.evaluation.tasks]
    limits = {"max_new_tokens": config.evaluation.max_new_tokens, "turns": config.evaluation.turns}
    return dataset, tasks, RolloutConfig(group=1, temperature=0.0, **limits)


def split_of(dataset: Dataset, split: str) -> tuple[Task, ...]:
    """UsageError where it is empty."""
    tasks = dataset.split(split)
    if not tasks:
        raise UsageError(f"dataset {dataset.name} has no split {split!r}", hint="train or test, as a rule")
    return tasks


def images_of(dataset: Dataset, tasks: Sequence[Task]) -> dict[str, WorldImage]:
    return {task.world: dataset.image(task) for task in tasks}
