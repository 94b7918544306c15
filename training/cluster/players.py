"""Rollout workers on a Ray cluster, behind `online.Collect`: tasks out, graded episodes in, each once.

A worker holds the model and compiles the worlds for itself; weights come to it by file, the version that is asked for
is the one that is played with, and every token's trace says it again. An episode's draws come from the step's seed and
its task's, so whoever plays it, again too, plays the same one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from mocktrial.agents.local.policy import LocalPolicy
from mocktrial.agents.local.weights import LoadedModel
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.training.adapters import add_adapters
from mocktrial.training.cluster.farm import Farm
from mocktrial.training.cluster.weight_files import take_up, wait_for
from mocktrial.training.config import TrainConfig
from mocktrial.training.objectives.presets import RewardName
from mocktrial.training.play import Episodes, flat
from mocktrial.training.rollouts.collect import Rollouts, collect, is_equal, outcomes_of
from mocktrial.training.rollouts.config import RolloutConfig
from mocktrial.training.run import device_of, load_policy

Worlds: TypeAlias = Mapping[str, Mapping[str, WorldSpec]]  # by the name of what is played, then by `Task.world`


@dataclass(frozen=True)
class Round:
    """What a worker plays at one time: a group of each task, in the worlds of that name, with weights of `version`."""

    tasks: tuple[Task, ...]
    worlds: str
    options: RolloutConfig
    seed: int
    version: int


class Player:
    """A worker: loads the model when it is first asked, and takes weights of later versions from `weights`."""

    def __init__(self, config: TrainConfig, specs: Worlds, weights: Path, timeout: float) -> None:
        self._config, self._specs, self._weights, self._timeout = config, specs, weights, timeout
        self._version = 0  # the model as it is loaded
        self._policies: dict[RolloutConfig, LocalPolicy] = {}

    def work(self, asked: Round) -> Rollouts:
        if asked.version != self._version:
            path = wait_for(self._weights, asked.version, self._timeout)
            self._version = take_up(path, self._loaded.model)
        policy = self._policy(asked.options)
        if policy.version != self._version:
            policy.weights_changed(self._version)
        return asyncio.run(collect(asked.tasks, self._images[asked.worlds], policy, asked.options, seed=asked.seed))

    @cached_property
    def _loaded(self) -> LoadedModel:
        config = self._config
        loaded = load_policy(config, threads=1 if device_of(config) == "cpu" else None)
        if config.lora:
            add_adapters(loaded.model, config.lora, seed=config.seed, frozen_layers=config.frozen_layers)
        return loaded

    @cached_property
    def _images(self) -> dict[str, dict[str, WorldImage]]:
        return {
            name: {world: compile_world(spec) for world, spec in specs.items()} for name, specs in self._specs.items()
        }

    def _policy(self, options: RolloutConfig) -> LocalPolicy:
        if options not in self._policies:
            self._policies[options] = LocalPolicy(
                self._loaded, max_new_tokens=options.max_new_tokens, temperature=options.temperature
            )
        return self._policies[options]


class RemoteCollect:
    """An `online.Collect` of many workers. worlds: name of those that the tasks are of.

    publish: makes the weights of a version known to the workers; called once for each version.
    """

    def __init__(
        self, farm: Farm[Round, Rollouts], worlds: str, options: RolloutConfig, publish: Callable[[int], object],
        reward: RewardName = "rubric",
    ) -> None:  # fmt: skip
        if options.reuse != "none":
            raise UsageError("turns are not reused between workers", hint='rollouts.reuse = "none"')
        self._farm, self._worlds, self._options, self._publish = farm, worlds, options, publish
        self._reward = reward

    def __call__(self, tasks: Sequence[Task], *, seed: int, wanted: int, version: int) -> Episodes:
        """As `rollouts.collect`, but that spares are played when all groups are known."""
        self._publish(version)
        played: dict[int, tuple[Trajectory, ...]] = {}
        counts: Counter[str] = Counter()
        spares = list(range(wanted, min(len(tasks), wanted + self._options.spare)))
        kept, owed = list(range(min(wanted, len(tasks)))), list(range(min(wanted, len(tasks))))
        while owed:
            groups = self._play([tasks[place] for place in owed], seed, version, counts)
            played.update(zip(owed, groups, strict=True))
            equal = [place for place in kept if is_equal(played[place], self._reward)][: len(spares)]
            owed, spares = spares[: len(equal)], spares[len(equal) :]
            kept = sorted([place for place in kept if place not in equal] + owed)
        trajectories = tuple(one for place in kept for one in played[place])
        everything = outcomes_of(one for place in sorted(played) for one in played[place])
        return Episodes(trajectories, {**counts, "replaced": len(played) - len(kept)}, everything)

    def _play(
        self, tasks: Sequence[Task], seed: int, version: int, counts: Counter[str]
    ) -> list[tuple[Trajectory, ...]]:
        """A group of each task, shared out over the workers; `counts` grows by what they count."""
        options = self._options.model_copy(update={"spare": 0})
        size = -(-len(tasks) // self._farm.workers)
        chunks = [tuple(tasks[start : start + size]) for start in range(0, len(tasks), size)]
        rounds = self._farm.work([Round(chunk, self._worlds, options, seed, version) for chunk in chunks])
        trajectories = [one for each in rounds for one in each.trajectories]
        _check_version(trajectories, version)
        for each in rounds:
            counts.update({name: int(number) for name, number in flat(each.counts).items()})
        return [
            tuple(trajectories[start : start + options.group]) for start in range(0, len(trajectories), options.group)
        ]


def _check_version(trajectories: Sequence[Trajectory], version: int) -> None:
    """The weights that a worker played with are those that it was asked to play with."""
    other = {trace.policy_version for one in trajectories for trace in one.traces if trace} - {version}
    if other:
        raise NoResult(f"a worker played with weights {min(other)}, not {version}", blame="bug")
