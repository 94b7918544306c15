"""One agent, many episodes: binds an agent and compiled worlds to the runner's `play_one`, and that to a ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mocktrial.agents.base import Agent
from mocktrial.agents.current import Recorded, named, nothing_recorded
from mocktrial.agents.tracing import Tracing
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.fingerprint import grader_hash
from mocktrial.envs.judging.decide import judge_episode, require_judge
from mocktrial.envs.judging.judge import Judge
from mocktrial.envs.places import RunPlace
from mocktrial.envs.runner import PlayOne, Progress, run
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.base import User
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.world import World


def player(
    agent: Agent, images: Mapping[str, WorldImage], limits: Limits, *,
    judge: Judge | None = None, user: User | None = None, user_seed: int = 0, kind: type[World] = World,
) -> PlayOne:  # fmt: skip
    """`play_one` for `agent`. An episode that the agent left open is ended as if it had finished.

    judge: decides judge criteria after the end; without it they do not hold. user: None is the scripted one.
    kind: of the worlds that are opened.
    """

    async def play_one(task: Task, trial: int) -> Trajectory:
        async with Episode(
            task, images[task.world], agent=agent.name, trial=trial, limits=limits, user=user, user_seed=user_seed,
            kind=kind,
        ) as episode:  # fmt: skip
            try:
                await agent.play(episode)
                episode.finish("finished")
                played = episode.trajectory()
                return await judge_episode(judge, task, played) if judge else played
            except NoResult as failure:
                return episode.no_result(failure.reason)

    return play_one


def playing(
    agent: Agent, images: Mapping[str, WorldImage], limits: Limits, *,
    judge: Judge | None = None, user: User | None = None, user_seed: int = 0,
    recorded: Recorded = nothing_recorded, tracing: Tracing | None = None,
) -> PlayOne:  # fmt: skip
    """`player`, with what a gateway between agent and endpoint `recorded`, and spans of episodes and tool calls."""
    kind = tracing.world if tracing else World
    play_one = named(player(agent, images, limits, judge=judge, user=user, user_seed=user_seed, kind=kind), recorded)
    return tracing.played(play_one, agent.name) if tracing else play_one


async def run_agent(
    agent: Agent,
    tasks: Sequence[Task],
    images: Mapping[str, WorldImage],
    folder: Path | RunPlace,
    *,
    config: Mapping[str, Any],
    trials: int = 1,
    concurrency: int = 16,
    limits: Limits | None = None,
    judge: Judge | None = None,
    user: User | None = None,
    user_seed: int = 0,
    deadline: float | None = None,
    recorded: Recorded = nothing_recorded,
    tracing: Tracing | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Play `tasks` with `agent` into the ledger of a run.

    user_seed: of the user's choice of words. recorded, tracing: as `playing` has them. The rest: as `record`.
    Raises `UsageError` also when a task has judge criteria and there is no judge. The judge's pin and the user's name
    belong into `config`.
    """
    require_judge(tasks, judge)
    play_one = playing(
        agent, images, limits or Limits(),
        judge=judge, user=user, user_seed=user_seed, recorded=recorded, tracing=tracing,
    )  # fmt: skip
    return await record(
        play_one, agent.name, tasks, folder,
        config=config, trials=trials, concurrency=concurrency, limits=limits, user_seed=user_seed, deadline=deadline,
        on_progress=on_progress,
    )  # fmt: skip


def played_under(config: Mapping[str, Any], limits: Limits, user_seed: int = 0) -> dict[str, Any]:
    """What a ledger keeps of how its episodes were played: `config`, and what decides a score beside it."""
    return {**config, "limits": limits.model_dump(), "grader": grader_hash(), "user_seed": user_seed}


async def record(
    play_one: PlayOne,
    agent: str,
    tasks: Sequence[Task],
    folder: Path | RunPlace,
    *,
    config: Mapping[str, Any],
    trials: int = 1,
    concurrency: int = 16,
    limits: Limits | None = None,
    user_seed: int = 0,
    deadline: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Write what `play_one` plays into the ledger of the run in `folder`, or at that place, made or gone on with.

    deadline: seconds of wall time for an episode.
    Raises `UsageError` when the folder holds a run with another config or another runner is at work in it.
    """
    place = RunPlace.named(folder)
    with Ledger.open(place.ledger, played_under(config, limits or Limits(), user_seed), run=place.run) as ledger:
        return await run(
            tasks, trials, play_one, ledger,
            agent=agent, concurrency=concurrency, deadline=deadline, on_progress=on_progress,
            logs=place.folder / "logs",
        )  # fmt: skip
