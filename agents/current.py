"""Which episode the running task plays, for clients that tell an address by it (`{episode}` in `--base-url`),
and what a gateway between agent and endpoint recorded of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeAlias

from mocktrial.envs.chat import ModelCall
from mocktrial.envs.runner import PlayOne
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory

Recorded: TypeAlias = Callable[[str], tuple[ModelCall, ...]]  # hands out an episode's calls by its key, once
_KEY: ContextVar[str] = ContextVar("episode", default="")


def current_episode() -> str:
    """The key of the episode that is being played; empty outside of one."""
    return _KEY.get()


def key_of(task: Task, trial: int) -> str:
    """The key of an episode in an address: the same for the same task and trial."""
    return f"{task.content_hash()[:16]}-{trial}"


def nothing_recorded(key: str) -> tuple[ModelCall, ...]:
    """Where there is no gateway."""
    return ()


def named(play_one: PlayOne, recorded: Recorded = nothing_recorded) -> PlayOne:
    """`play_one`, its episode known by its key while it is played; what was recorded of it goes into its record."""

    async def play(task: Task, trial: int) -> Trajectory:
        key = key_of(task, trial)
        recorded(key)  # what is left of an attempt that was cut off
        token = _KEY.set(key)
        try:
            trajectory = await play_one(task, trial)
        finally:
            _KEY.reset(token)
        calls = recorded(key)
        return trajectory.model_copy(update={"calls": calls}) if calls else trajectory

    return play
