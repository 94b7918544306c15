"""One agent, many episodes: binds an agent and compiled worlds to the runner's `play_one`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mocktrial.agents.base import Agent
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.runner import PlayOne, Progress, run
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.image import WorldImage


def player(agent: Agent, images: Mapping[str, WorldImage], limits: Limits) -> PlayOne:
    """`play_one` for `agent`. An episode that the agent left open is ended as if it had finished."""

    async def play_one(task: Task, trial: int) -> Trajectory:
        async with Episode(task, images[task.world], agent=agent.name, trial=trial, limits=limits) as episode:
            try:
                await agent.play(episode)
            except NoResult as failure:
                return episode.no_result(f"{failure.blame}: {failure}")
            episode.finish("finished")
            return episode.trajectory()

    return play_one


async def run_agent(
    agent: Agent,
    tasks: Sequence[Task],
    images: Mapping[str, WorldImage],
    folder: Path,
    *,
    config: Mapping[str, Any],
    trials: int = 1,
    concurrency: int = 16,
    limits: Limits | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Play `tasks` into the ledger of the run in `folder`, which is made or gone on with.

    Raises `UsageError` when the folder holds a run with another config or another runner is at work in it.
    """
    limits = limits or Limits()
    with Ledger.open(folder / "ledger.sqlite", {**config, "limits": limits.model_dump()}) as ledger:
        return await run(
            tasks, trials, player(agent, images, limits), ledger,
            agent=agent.name, concurrency=concurrency, on_progress=on_progress, logs=folder / "logs",
        )  # fmt: skip
