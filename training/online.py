"""The loop of online RL: play, grade, learn, step by step; held-out play now and then.

Everything that is drawn derives from the seed and the step, so that a resumed run plays and learns what an unbroken
one would have. Who plays is given (`Collect`), and who learns (`learner.Learner`); nothing here knows a model.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from mocktrial.envs.seeds import derive
from mocktrial.envs.statistics import estimate
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.training.config import OnlineConfig, TrainConfig
from mocktrial.training.learner import Learner
from mocktrial.training.records import records_of
from mocktrial.training.rollouts.choice import Choice
from mocktrial.training.run import examples_of
from mocktrial.training.session import UNWATCHED, Evaluate, Session, Watch
from mocktrial.training.trainer import TrainResult, digest_of


class Played(Protocol):
    """What a step has played; `rollouts.Rollouts` is one."""

    @property
    def trajectories(self) -> Sequence[Trajectory]: ...

    @property
    def counts(self) -> Mapping[str, float]: ...

    @property
    def outcomes(self) -> Sequence[tuple[str, bool]]: ...


class Collect(Protocol):
    def __call__(self, tasks: Sequence[Task], *, seed: int, wanted: int, version: int) -> Played:
        """Graded groups of `wanted` tasks; those after them are spares, for groups whose rewards are all equal.

        version: updates of the weights so far; those of an earlier one are out of date.
        """
        ...


def reinforce(
    learner: Learner,
    collect: Collect,
    tasks: Sequence[Task],
    config: TrainConfig,
    *,
    watch: Watch = UNWATCHED,
    resume: bool = False,
) -> TrainResult:
    """Train on episodes of `tasks`. `rows` of the result counts the episodes that were learned from in this call.

    Raises `NoResult` when a step has no graded episode at all, `Diverged` as `fit` does; what was saved stays.
    """
    options = options_of(config)
    session = Session(learner, config, config.steps, digest_of([task.content_hash() for task in tasks]), watch)
    session.start(session.find(resume))
    choice = Choice(tasks, options, config.seed, session.drawn)
    rows = 0
    for step in range(session.done, config.steps):
        begun = time.perf_counter()
        seed = derive(config.seed, "rollouts", step)
        played = collect(choice.tasks(step), seed=seed, wanted=options.tasks_per_step, version=step)
        waited = time.perf_counter() - begun
        if played.trajectories and not any(one.grade for one in played.trajectories):
            raise NoResult(f"step {step + 1} has no graded episode: {played.trajectories[0].reason}", blame="model")
        spoken = [one for one in played.trajectories if any(one.traces)]  # else the first prompt was too long
        examples = examples_of(records_of(spoken, "rl"))
        learned = learner.update(examples, step)
        rows += len(examples)
        choice.tell(played.outcomes)
        session.drawn = choice.state
        figures = {**figures_of(played.trajectories), **played.counts}
        session.after({**learned, **figures, "rollout_seconds": round(waited, 3)})
    return TrainResult(losses=tuple(session.losses), rows=rows, folder=watch.folder)


def held_out(collect: Collect, tasks: Sequence[Task], seed: int) -> Evaluate:
    """Figures of the policy as it is on `tasks`; `collect` is one that plays greedily."""

    def evaluate(version: int) -> dict[str, float]:
        played = collect(tasks, seed=derive(seed, "held-out"), wanted=len(tasks), version=version)
        return figures_of(played.trajectories)

    return evaluate


def figures_of(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Success with its interval over tasks (95%), mean reward, and how the agent asked; of graded episodes."""
    grades = [one.grade for one in trajectories if one.grade]
    if not grades:
        return {}
    by_task: dict[str, list[bool]] = {}
    for one in trajectories:
        if one.grade:
            by_task.setdefault(one.task_hash, []).append(one.grade.success)
    success = estimate([sum(wins) / len(wins) for wins in by_task.values()])
    hidden = sum(grade.asking.hidden for grade in grades)
    asking = {
        "under_ask": sum(grade.asking.under_ask for grade in grades) / hidden,
        "guess": sum(min(grade.asking.guess, grade.asking.hidden) for grade in grades) / hidden,
    } if hidden else {}  # fmt: skip
    return {
        "success": success.value,
        "success_low": success.low,
        "success_high": success.high,
        "reward": sum(grade.reward for grade in grades) / len(grades),
        **asking,
    }


def options_of(config: TrainConfig) -> OnlineConfig:
    """What is played. UsageError where the config plays nothing."""
    if config.rollouts is None:
        raise UsageError("the config has no [rollouts] to play", hint="see docs/training.md")
    return config.rollouts
