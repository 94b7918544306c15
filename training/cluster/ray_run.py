"""Online RL on a Ray cluster: `online.reinforce` with players and a learner of several workers each.

What is drawn, played and learned is that of `training.play.train_online`, whatever number of workers there is (but for
which of several equal groups the spares replace). A
worker that dies is replaced: a player's episodes are played again, a learner goes on from its last checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mocktrial.envs.cluster import connected
from mocktrial.envs.dataset import Dataset, load_dataset
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.training.checkpoint import checkpoint_folder
from mocktrial.training.cluster.farm import Farm
from mocktrial.training.cluster.players import Player, RemoteCollect, Round, Worlds
from mocktrial.training.cluster.remote_learner import LearnerLost, LearnerProcess, RemoteLearner
from mocktrial.training.config import TrainConfig
from mocktrial.training.monitor import watched
from mocktrial.training.online import held_out, options_of, reinforce
from mocktrial.training.play import held_out_play, images_of, split_of
from mocktrial.training.rollouts.collect import Rollouts
from mocktrial.training.session import Watch
from mocktrial.training.trainer import TrainResult

_TRAIN, _HELD_OUT = "train", "held out"


@dataclass(frozen=True)
class Crew:
    """Who works, and where.

    address: of the Ray cluster; "local" starts one on this machine. timeout: seconds that a round of play, or a call
    of the learner, may take. restarts: of the learner. deaths: of players.
    """

    address: str = "local"
    players: int = 2
    learners: int = 1
    timeout: float = 1800.0
    restarts: int = 3
    deaths: int = 8


def train_on_ray(
    config: TrainConfig,
    crew: Crew,
    *,
    resume: bool = False,
    watching: Callable[..., AbstractContextManager[Watch]] = watched,
) -> TrainResult:
    """Train by play as `config` says, and leave the checkpoint in `<config.out>/<config.name>/`.

    Dataset, model and `config.out` are on a file system that every worker sees. watching: journal and table; entered
    anew with each restart.
    """
    options = options_of(config)
    folder = checkpoint_folder(config, resume=resume)
    dataset = load_dataset(Path(options.dataset))
    tasks = split_of(dataset, options.split)
    held = held_out_play(config)
    worlds = {_TRAIN: _specs(dataset, tasks)} | ({_HELD_OUT: _specs(held[0], held[1])} if held else {})
    with (
        _weights_beside(folder.absolute()) as weights,
        connected(crew.address) as ray,
        _players(ray, crew, config, worlds, weights) as farm,
    ):
        for again in range(crew.restarts + 1):
            going_on = resume or again > 0
            try:
                with _learner(ray, crew, config) as learner, watching(config, resume=going_on) as watch:
                    publish = _Publisher(learner, weights, known=None if again else 0)
                    collect = RemoteCollect(farm, _TRAIN, options, publish, config.rl.reward)
                    if held:
                        greedy = RemoteCollect(farm, _HELD_OUT, held[2], publish)
                        watch = replace(watch, evaluate=held_out(greedy, held[1], config.seed))
                    return reinforce(
                        learner, collect, tasks, config, watch=replace(watch, folder=folder), resume=going_on
                    )
            except LearnerLost:
                if again == crew.restarts:
                    raise
    raise AssertionError("not reached")


@contextmanager
def _weights_beside(checkpoint: Path) -> Iterator[Path]:
    """Where weights go on their way to the players; of no use after the run."""
    folder = checkpoint.with_name(f".{checkpoint.name}.weights")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _specs(dataset: Dataset, tasks: Sequence[Task]) -> dict[str, WorldSpec]:
    return {world: image.spec for world, image in images_of(dataset, tasks).items()}


def _players(ray: Any, crew: Crew, config: TrainConfig, worlds: Worlds, weights: Path) -> Farm[Round, Rollouts]:
    kind = ray.remote(**_room(ray, crew))(Player)
    return Farm(
        ray, lambda seat: kind.remote(config, worlds, weights, crew.timeout), crew.players,
        timeout=crew.timeout, deaths=crew.deaths,
    )  # fmt: skip


def _learner(ray: Any, crew: Crew, config: TrainConfig) -> RemoteLearner:
    kind = ray.remote(**_room(ray, crew))(LearnerProcess)
    return RemoteLearner(ray, lambda: kind.remote(config), crew.learners, timeout=crew.timeout)


def _room(ray: Any, crew: Crew) -> dict[str, Any]:
    """What each worker takes of the cluster: a GPU where there are any, else nothing (Ray asks for a processor where it
    makes an actor, and takes none), so that those of a lost node find room on the others.

    UsageError where there are GPUs and not enough.
    """
    gpus, workers = int(ray.cluster_resources().get("GPU", 0)), crew.players + crew.learners
    if 0 < gpus < workers:
        raise UsageError(f"{workers} workers need a GPU each, and the cluster has {gpus}", hint="ask for fewer workers")
    return {"scheduling_strategy": "SPREAD"} | ({"num_gpus": 1} if gpus else {})


class _Publisher:
    """Makes each version of the weights known once.

    known: what every player has: at first what it has loaded, after a learner's restart none for sure.
    """

    def __init__(self, learner: RemoteLearner, folder: Path, known: int | None) -> None:
        self._learner, self._folder, self._known = learner, folder, known

    def __call__(self, version: int) -> None:
        if version != self._known:
            self._learner.publish(self._folder, version)
            self._known = version
