"""`mocktrial demo`: the whole mission at a size for two cores and a few minutes, offline.

Generate and prove tasks; play the expert and the adversaries on them; play SmolLM2 on held-out ones; train
it on expert trajectories; play again; a few weighted KTO steps from its own graded episodes. Each stage is a
call that a user can make too. The demo passes when the expert succeeds always, the adversaries never,
and the trained model more often than the untrained one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from mocktrial.agents.base import Agent
from mocktrial.agents.local.policy import LocalPolicy
from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import LoadedModel, load
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import Expert, Guesser, Interrogator, Null, Violator
from mocktrial.envs.console import progress
from mocktrial.envs.episode import Limits
from mocktrial.envs.report import Report, percent, print_report, report_runs, write_html
from mocktrial.envs.seeds import derive
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.production.generate import generate
from mocktrial.training.config import KtoConfig, TrainConfig, Verb
from mocktrial.training.monitor import watching
from mocktrial.training.records import records_of
from mocktrial.training.run import examples_of
from mocktrial.training.session import Watch
from mocktrial.training.trainer import fit

ADVERSARIES: tuple[Agent, ...] = (Null(), Guesser(), Interrogator(), Violator())
BEFORE, SFT = "smollm2", "smollm2-sft"
LIMITS = Limits(turns=10)
MAX_NEW_TOKENS = 40  # a turn of an expert takes at most 35


@dataclass(frozen=True)
class Scale:
    """How much of everything. Steps of training are what takes the time: about 8 s each on two cores."""

    tasks: int
    held_out: int  # test tasks that the model plays
    expert: int  # expert trajectories that it learns from
    epochs: int
    practice: int  # own episodes that KTO learns from
    kto_steps: int


# One domain and short plans, because two cores take in about a hundred episodes in the time there is.
DOMAIN, MAX_CALLS = "clinic", 2
FULL = Scale(tasks=200, held_out=32, expert=144, epochs=1, practice=16, kto_steps=2)
QUICK = Scale(tasks=40, held_out=6, expert=24, epochs=1, practice=6, kto_steps=1)


def run_demo(out: Path, *, quick: bool = False, seed: int = 0) -> bool:
    """Run it in `out`, or beside it when `out` exists; True when every gate holds."""
    scale = QUICK if quick else FULL
    folder = _fresh(out)
    with progress("generating and proving tasks", scale.tasks) as advance:
        dataset = generate(
            seed, scale.tasks, [DOMAIN], name="demo", max_calls=MAX_CALLS, progress=lambda made: advance(made, "")
        )
    dataset.save(folder / "dataset")
    stage = _Stage(folder, {task.world: dataset.image(task) for task in dataset.tasks}, seed)
    train, test = (_shuffled(dataset.split(split), seed) for split in ("train", "test"))
    test = test[: scale.held_out]
    for agent in (Expert(), *ADVERSARIES):
        stage.play(agent, dataset.tasks)
    loaded = load(device="cpu")  # two cores are enough, and the same figures everywhere
    stage.evaluate(loaded, BEFORE, test)
    lessons = stage.trajectories("expert", train[: scale.expert])
    losses = stage.learn(loaded, lessons, _config("sft", scale, folder, seed))
    stage.evaluate(loaded, SFT, test)
    attempts = stage.practise(loaded, train[-scale.practice :])
    kto_losses = stage.learn(loaded, attempts, _config("kto", scale, folder, seed))
    report = report_runs(
        [folder / "runs" / name for name in stage.played],
        title="mocktrial demo",
        compare=[(BEFORE, SFT)],
    )
    write_html(report, folder / "report.html")
    wins = sum(attempt.grade is not None and attempt.grade.success for attempt in attempts)
    steps = f"{len(kto_losses)} step(s), loss {kto_losses[0]:.3f} to {kto_losses[-1]:.3f}"
    print(f"KTO: {steps}, from {len(attempts)} episodes of its own, {wins} of them successes (not evaluated)")
    return _tell(report, folder, losses if quick else ())


def _shuffled(tasks: Sequence[Task], seed: int) -> list[Task]:
    """In an order that does not follow goals, so that any part of it has all of them."""
    return random.Random(derive(seed, "demo")).sample(tasks, len(tasks))


def _fresh(out: Path) -> Path:
    """The first of `out`, `out-2`, `out-3`, ... that does not exist."""
    number, folder = 1, out
    while folder.exists():
        number += 1
        folder = out.with_name(f"{out.name}-{number}")
    return folder


def _config(objective: Verb, scale: Scale, folder: Path, seed: int) -> TrainConfig:
    shared = {"name": objective, "data": "the demo's runs", "out": str(folder / "checkpoints"), "seed": seed,
              "keep_optimizer": False, "batch_size": 8, "frozen_layers": 15}  # fmt: skip
    if objective == "sft":
        return TrainConfig(objective="sft", epochs=scale.epochs, learning_rate=3e-4, **shared)
    return TrainConfig(objective="kto", steps=scale.kto_steps, learning_rate=1e-5, kto=KtoConfig(beta=0.1), **shared)


class _Stage:
    """Plays agents into runs under one folder and remembers which."""

    def __init__(self, folder: Path, images: Mapping[str, WorldImage], seed: int) -> None:
        self.folder, self.images, self.seed = folder, images, seed
        self.played: list[str] = []

    def play(self, agent: Agent, tasks: Sequence[Task], run: str = "") -> None:
        name = run or agent.name
        config = {"agent": agent.name, "tasks": len(tasks), "seed": self.seed}
        with progress(f"playing {name}", len(tasks)) as advance:
            asyncio.run(
                run_agent(
                    agent,
                    tasks,
                    self.images,
                    self.folder / "runs" / name,
                    config=config,
                    limits=LIMITS,
                    concurrency=len(tasks) if isinstance(agent, ModelAgent) else 1,
                    on_progress=lambda at: advance(at.done, f"{at.succeeded} succeeded"),
                )
            )
        self.played.append(name)

    def evaluate(self, loaded: LoadedModel, name: str, tasks: Sequence[Task]) -> None:
        """Greedy play of the model as it now is."""
        policy = LocalPolicy(replace(loaded, name=name), max_new_tokens=MAX_NEW_TOKENS)
        self.play(ModelAgent(policy), tasks)

    def practise(self, loaded: LoadedModel, tasks: Sequence[Task]) -> list[Trajectory]:
        """Sampled play, to learn from; not part of the report."""
        policy = LocalPolicy(loaded, max_new_tokens=MAX_NEW_TOKENS, temperature=1.0)
        self.play(ModelAgent(policy), tasks, run="practice")
        self.played.remove("practice")
        return self.trajectories("practice", tasks)

    def trajectories(self, run: str, tasks: Sequence[Task]) -> list[Trajectory]:
        wanted = {task.content_hash() for task in tasks}
        with Ledger.read(self.folder / "runs" / run / "ledger.sqlite") as ledger:
            return [found for found in ledger.trajectories() if found.task_hash in wanted]

    def learn(self, loaded: LoadedModel, lessons: Sequence[Trajectory], config: TrainConfig) -> tuple[float, ...]:
        """Train the model in place and leave a checkpoint; the loss of each step."""
        records = records_of(lessons, config.objective)
        with watching(f"training {config.objective} on {len(records)} episodes") as (tell, log):
            watch = Watch(Path(config.out) / config.name, loaded.tokenizer, tell, log)
            result = fit(loaded.model, examples_of(records, Renderer(loaded.tokenizer)), config, watch=watch)
        return result.losses


def _tell(report: Report, folder: Path, losses: Sequence[float]) -> bool:
    """Print the table, the verdict and what to try next.

    losses: of a model that has learned too little to be judged by its success; empty for one that has not.
    """
    console = Console()
    print_report(report, console)
    found = {agent.label: agent for agent in report.agents}
    faults = []
    for agent in (Expert(), *ADVERSARIES):
        wanted = 1.0 if agent.name == "expert" else 0.0
        success = found[agent.name].success
        if success is None or success.value != wanted:
            faults.append(f"{agent.name} should succeed on {wanted:.0%} of the tasks")
    before, after = (found[name].success for name in (BEFORE, SFT))
    if losses and losses[-1] > losses[0] / 2:
        faults.append(f"training did not take: the loss was {losses[0]:.3f} and is {losses[-1]:.3f}")
    if not losses and (before is None or after is None or after.value <= before.value):
        faults.append(f"training did not help: success was {percent(before)} and is {percent(after)}")
    for fault in faults:
        console.print(f"[red]FAILED[/] {fault}")
    lines = {
        "report": folder / "report.html",
        "checkpoints": folder / "checkpoints",
        "try next": "mocktrial synth mine --tasks 300",
        "": f"mocktrial run datasets/mine --split test --agent local:{folder / 'checkpoints' / 'sft'}",
    }
    for key, value in lines.items():
        console.print(f"{key:<11} {value}", soft_wrap=True, highlight=False)
    return not faults
