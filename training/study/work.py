"""One job of a study: make a dataset, play, train, or play what is held out. Each leaves its result and what it cost.

Every job goes on from what a killed attempt has left: datasets by unit, play by episode, training by checkpoint.
Raises `UsageError` (a dataset that cannot be made, nothing to learn from, held-out worlds that were trained on),
`NoResult` where a run stopped because nothing worked, or `engine.Diverged`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mocktrial.agents.base import Agent
from mocktrial.agents.local.policy import LocalPolicy
from mocktrial.agents.local.weights import load
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import AGENTS
from mocktrial.envs.console import progress
from mocktrial.envs.dataset import Dataset, load_dataset
from mocktrial.envs.episode import Limits
from mocktrial.envs.report import read_run
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.spec import Frozen
from mocktrial.synth.production.produce import Job as Recipe
from mocktrial.synth.production.produce import produce, world_share
from mocktrial.synth.production.units import Style
from mocktrial.synth.sources import domains_of, recorded, source_of
from mocktrial.training.config import TrainConfig
from mocktrial.training.journal import journal_path, read_journal
from mocktrial.training.monitor import watched
from mocktrial.training.play import images_of, train_online
from mocktrial.training.records import records_of
from mocktrial.training.run import train
from mocktrial.training.study.config import POLICY, DatasetPlan, Playing, Study
from mocktrial.training.study.plan import Job, last_play, last_weights


class Spent(Frozen):
    """What a job took. tokens: that the policy drew, and that training steps computed; 0 where no model was at work."""

    cpu_seconds: float = 0.0  # of the attempt that ended it; what a killed one took is not known
    episodes: int = 0
    steps: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Place:
    """A study and the folder that it is done in."""

    study: Study
    folder: Path

    def do(self, job: Job) -> Spent:
        """Do `job`, or go on with it; those before it are done."""
        begun = time.process_time()
        kinds = {"dataset": self._make, "play": self._play, "train": self._train, "held out": self._hold_out}
        spent = kinds[job.kind](job)
        return spent.model_copy(update={"cpu_seconds": round(time.process_time() - begun, 2)})

    def dataset(self, seed: int, name: str) -> Path:
        return self.folder / f"seed-{seed}" / "datasets" / name

    def stage(self, seed: int, chain: tuple[str, ...]) -> Path:
        return self.folder / f"seed-{seed}" / ".".join(chain)

    def _make(self, job: Job) -> Spent:
        plan, folder = self.study.datasets[job.name], self.dataset(job.seed, job.name)
        if not folder.exists():
            with progress(job.title, plan.tasks) as advance:
                produce(
                    _recipe(plan, job.seed), plan.tasks, folder,
                    domains=recorded(domains_of(plan.domains)), progress=lambda made: advance(made, ""),
                )  # fmt: skip
        return Spent()

    def _play(self, job: Job) -> Spent:
        stage = self.study.play[job.name]
        if stage.agent != POLICY:
            return self._run(job, AGENTS[stage.agent], stage)
        return self._run(job, self._policy(job.seed, job.chain, POLICY, stage, stage.temperature), stage)

    def _hold_out(self, job: Job) -> Spent:
        self._check_apart(job)
        return self._run(job, self._policy(job.seed, job.chain, job.name, self.study.held_out), self.study.held_out)

    def _train(self, job: Job) -> Spent:
        config = self._config(job)
        with watched(config, resume=True, title=job.title) as watch:
            if config.rollouts:
                done = train_online(config, resume=True, watch=watch)
            else:
                with read_run(Path(config.data)) as ledger:
                    records = records_of(ledger.trajectories(), config.objective)
                done = train(config, resume=True, watch=watch, records=records)
        journal = read_journal(journal_path(config))
        return Spent(
            episodes=sum(int(row["episodes"]) for row in journal) if config.rollouts else done.rows,
            steps=len(done.losses),
            tokens=sum(int(row.get("computed", 0)) + int(row.get("decoded", 0)) for row in journal),
        )

    def _config(self, job: Job) -> TrainConfig:
        config = self.study.train[job.name]
        given: dict[str, object] = {
            "model": self._weights(job.seed, job.chain[:-1]), "seed": job.seed,
            "out": str(self.stage(job.seed, job.chain)), "name": job.name,
        }  # fmt: skip
        if config.rollouts:
            folder = str(self.dataset(job.seed, config.rollouts.dataset))
            given["rollouts"] = config.rollouts.model_copy(update={"dataset": folder})
        else:
            given["data"] = str(self.stage(job.seed, last_play(self.study, job.chain)))
        return config.model_copy(update=given)

    def _weights(self, seed: int, chain: tuple[str, ...]) -> str:
        """The model that a chain leaves, as `weights.load` takes it."""
        trained = last_weights(self.study, chain)
        return str(self.stage(seed, trained) / trained[-1]) if trained else self.study.model

    def _policy(
        self, seed: int, chain: tuple[str, ...], name: str, playing: Playing, temperature: float = 0.0
    ) -> ModelAgent:
        loaded = replace(load(self._weights(seed, chain)), name=name)
        return ModelAgent(LocalPolicy(loaded, max_new_tokens=playing.max_new_tokens, temperature=temperature))

    def _run(self, job: Job, agent: Agent, playing: Playing) -> Spent:
        dataset = load_dataset(self.dataset(job.seed, playing.dataset))
        tasks = chosen(dataset, playing, job.seed)
        folder = self.folder / job.folder
        count = len(tasks) * playing.trials
        with progress(job.title, count) as advance:
            ended = asyncio.run(
                run_agent(
                    agent, tasks, images_of(dataset, tasks), folder,
                    config={"agent": agent.name, **job.settings}, trials=playing.trials,
                    limits=Limits(turns=playing.turns),
                    concurrency=count if isinstance(agent, ModelAgent) else 1,
                    on_progress=lambda at: advance(at.done, f"{at.succeeded} succeeded"),
                )
            )  # fmt: skip
        if ended.stopped:
            raise NoResult(f"{job.title} stopped: {ended.stopped}", blame="model")
        return Spent(episodes=count, tokens=_drawn(folder, tasks))

    def _check_apart(self, job: Job) -> None:
        """That no world of the held-out play is one that the chain has played."""
        held = _worlds(self.dataset(job.seed, self.study.held_out.dataset))
        for name in job.chain:
            played = self.study.dataset_of(name)
            if played and held & _worlds(self.dataset(job.seed, played)):
                raise UsageError(
                    f"{job.title}: stage {name} has played a held-out world", hint="give the datasets another draw"
                )


def chosen(dataset: Dataset, playing: Playing, seed: int) -> Sequence[Task]:
    """The tasks that are played, in an order that does not follow their worlds. UsageError where there are too few."""
    tasks = [task for task in dataset.tasks if playing.split in ("", task.split)]
    if len(tasks) < max(1, playing.tasks):
        raise UsageError(
            f"dataset {dataset.name} has {len(tasks)} tasks in split {playing.split!r}, not {playing.tasks}",
            hint="make more tasks, or play fewer",
        )
    return random.Random(derive(seed, "study", playing.dataset)).sample(tasks, playing.tasks or len(tasks))


def _recipe(plan: DatasetPlan, seed: int) -> Recipe:
    drawn = derive(seed, "study", plan.draw) % 2**31
    return Recipe(
        source_of(domains=plan.domains, seed=drawn), drawn, plan.per_world or world_share(plan.tasks), plan.gap,
        plan.max_calls or None, Style(voices=plan.voices, max_tools=plan.max_tools),
    )  # fmt: skip


def _worlds(folder: Path) -> set[str]:
    return {task.world_hash for task in load_dataset(folder).tasks}


def _drawn(folder: Path, tasks: Sequence[Task]) -> int:
    """Tokens that the agent drew in these tasks' episodes."""
    hashes = {task.content_hash() for task in tasks}
    with read_run(folder) as ledger:
        ids = [row.id for row in ledger.episodes() if row.task_hash in hashes]
        return sum(one.usage.completion_tokens for one in ledger.trajectories(ids))
