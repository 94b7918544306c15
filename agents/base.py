"""What an agent is: something with a name that plays an episode to its end.

An agent owns its loop, so that graphs (LangGraph), plain loops and scripts stand behind one interface.
It is handed an `Episode` and calls `reset` and `step`; scripted agents also read `episode.task`.
"""

from __future__ import annotations

from typing import Protocol

from mocktrial.envs.episode import Episode


class Agent(Protocol):
    """Plays one episode. Raises `NoResult` when the infrastructure under it fails."""

    @property
    def name(self) -> str: ...

    async def play(self, episode: Episode) -> None: ...
