"""What a study comes to: jobs in the order in which they are done, each with its folder and with what it depends on.

Seed by seed: its datasets, then arm by arm the stages that no earlier arm has had, then the arm's held-out play. So a
study that is stopped has whole seeds to show. Pure data; nothing here reads or writes a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

from mocktrial.training.config import TrainConfig
from mocktrial.training.keys import filled
from mocktrial.training.study.config import DatasetPlan, Playing, PlayStage, Study

Kind: TypeAlias = Literal["dataset", "play", "train", "held out"]


@dataclass(frozen=True)
class Job:
    """name: of the dataset, of the stage, or of the arm. chain: the stages up to it, itself included."""

    seed: int
    kind: Kind
    name: str
    chain: tuple[str, ...]
    settings: dict[str, Any]  # what its result depends on, beside the jobs before it

    @property
    def folder(self) -> str:
        """Under the study's: one for each seed and chain. Held-out play of all seeds is one run an arm."""
        if self.kind == "held out":
            return str(PurePosixPath("held-out", self.name))
        place = PurePosixPath("datasets", self.name) if self.kind == "dataset" else ".".join(self.chain)
        return str(PurePosixPath(f"seed-{self.seed}", place))

    @property
    def mark(self) -> str:
        """The file that says that it is done."""
        return f"{self.folder}.seed-{self.seed}.json" if self.kind == "held out" else f"{self.folder}.json"

    @property
    def title(self) -> str:
        return f"seed {self.seed}: {self.kind} {self.name}"


@dataclass(frozen=True)
class Size:
    """At most: episodes that a job plays, and rows and optimizer steps that it learns from."""

    episodes: int = 0
    rows: int = 0
    steps: int = 0


def jobs_of(study: Study) -> list[Job]:
    return [job for seed in study.seeds for job in _of_seed(study, seed)]


def _of_seed(study: Study, seed: int) -> Iterator[Job]:
    chains = list(study.arms.values())
    used = {study.held_out.dataset, *(study.dataset_of(name) for one in chains for name in one)}
    for name, plan in study.datasets.items():
        if name in used:
            yield Job(seed, "dataset", name, (), plan.model_dump(mode="json"))
    begun: set[tuple[str, ...]] = set()
    for arm, chain in study.arms.items():
        for end in range(1, len(chain) + 1):
            if chain[:end] not in begun:
                begun.add(chain[:end])
                yield _stage(study, seed, chain[:end])
        shared = {"model": study.model, "played": study.held_out.model_dump(mode="json")}
        stages = [_stage(study, seed, chain[: end + 1]).settings for end in range(len(chain))]
        yield Job(seed, "held out", arm, chain, {**shared, "stages": stages})


def _stage(study: Study, seed: int, chain: tuple[str, ...]) -> Job:
    name = chain[-1]
    if name in study.play:
        return Job(seed, "play", name, chain, {**study.play[name].model_dump(mode="json"), "model": study.model})
    return Job(seed, "train", name, chain, {**study.train[name].model_dump(mode="json"), "model": study.model})


def settled(kind: Kind, found: dict[str, Any]) -> dict[str, Any]:
    """A job's settings as an older release left them, with the defaults of the keys that have come since."""
    if kind == "dataset":
        return filled(DatasetPlan, found)
    if kind == "held out":
        stages = [settled("play" if "agent" in stage else "train", stage) for stage in found.get("stages", ())]
        return {**found, "played": filled(Playing, found.get("played", {})), "stages": stages}
    form = PlayStage if kind == "play" else TrainConfig
    return {**filled(form, {key: value for key, value in found.items() if key != "model"}), "model": found.get("model")}


def needs(study: Study, job: Job) -> set[str]:
    """The marks of the jobs that must be done before it."""
    if job.kind == "dataset":
        return set()
    before = job.chain if job.kind == "held out" else job.chain[:-1]
    stages = {_stage(study, job.seed, before).mark} if before else set()
    played = study.held_out.dataset if job.kind == "held out" else study.dataset_of(job.name)
    return stages | ({Job(job.seed, "dataset", played, (), {}).mark} if played else set())


def last_play(study: Study, chain: tuple[str, ...]) -> tuple[str, ...]:
    """The part of a chain that ends with the episodes which its last stage learns from."""
    return next(chain[:end] for end in range(len(chain), 0, -1) if chain[end - 1] in study.play)


def last_weights(study: Study, chain: tuple[str, ...]) -> tuple[str, ...]:
    """The part of a chain that ends with the weights which it leaves; empty where it trains nothing."""
    return next((chain[:end] for end in range(len(chain), 0, -1) if chain[end - 1] in study.train), ())


def size_of(study: Study, job: Job) -> Size:
    """What a job comes to if every episode can be learned from."""
    if job.kind == "held out":
        return Size(episodes=_episodes(study, study.held_out))
    if job.kind == "play":
        return Size(episodes=_episodes(study, study.play[job.name]))
    if job.kind == "train":
        config = study.train[job.name]
        if config.rollouts:
            kept, spare = config.rollouts.tasks_per_step, config.rollouts.spare
            groups = config.steps * config.rollouts.group
            return Size(episodes=groups * (kept + spare), rows=groups * kept, steps=config.steps)
        rows = _episodes(study, study.play[last_play(study, job.chain)[-1]])
        return Size(rows=rows, steps=config.steps or config.epochs * -(-rows // config.batch_size))
    return Size()


def _episodes(study: Study, playing: Playing) -> int:
    tasks = study.datasets[playing.dataset].tasks
    return playing.trials * min(tasks, playing.tasks or tasks)
