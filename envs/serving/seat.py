"""`Seat`: an episode for an agent that has tools and no chat. Talking to the user is a tool too, `ask_user`.

Every door stands on this: HTTP, MCP, and the adapters to other packages. Each call is one assistant message of the
episode, so that an agent's reward is the same whichever door it came through. After the end every call gets the same
answer and nothing happens. A `NoResult` passes through, and is what became of the episode.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mocktrial.envs.chat import Message, ToolSchema, assistant, tool_call
from mocktrial.envs.episode import Episode, Observation
from mocktrial.envs.failures import Failure
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult, ToolFailure
from mocktrial.mocktools.given import parse_arguments
from mocktrial.mocktools.values import dumps
from mocktrial.mocktools.world import failed

ASK_USER = "ask_user"
_OVER = failed(ToolFailure("episode_over", "The episode has ended: nothing more can be done in it."))


class Answer(NamedTuple):
    """What a call gave: `text` is JSON, as the model sees it. done: the episode has ended."""

    ok: bool
    text: str
    done: bool

    def body(self) -> bytes:
        ok, done = ("true" if flag else "false" for flag in (self.ok, self.done))
        return f'{{"ok": {ok}, "result": {self.text}, "done": {done}}}'.encode()


@lru_cache
def ask_user_tool() -> ToolSchema:
    """The tool by which an agent without a chat talks to the user."""
    schema: ToolSchema = json.loads(Path(__file__).with_name("ask_user.json").read_text(encoding="utf-8"))
    return schema


class Seat:
    """One agent's place in an episode. Not for two calls at a time. branched: it began from a snapshot."""

    def __init__(self, episode: Episode, *, branched: bool = False) -> None:
        self.episode, self.branched = episode, branched
        self._verdict: Trajectory | None = None

    async def reset(self) -> Observation:
        """Start from the task's first state; a verdict that was given is void."""
        self._verdict = None
        return await self.episode.reset()

    @property
    def tools(self) -> tuple[ToolSchema, ...]:
        """The world's tools, `ask_user` and `finish`."""
        *own, finish = self.episode.tools
        return (*own, ask_user_tool(), finish)

    @property
    def prompt(self) -> str:
        """What the agent starts from, as one text: its part, the rules, and what the user said first."""
        return "\n\n".join(str(message["content"]) for message in self.episode.messages[:2])

    async def call(self, name: str, arguments: str) -> Answer:
        """Call a tool. `arguments`: JSON text, which is the model's own."""
        episode = self.episode
        if episode.done:
            return Answer(False, _OVER.text, True)
        if name == ASK_USER:
            try:
                return await self.say(_message_in(arguments))
            except ToolFailure as failure:
                return Answer(False, failed(failure).text, False)
        call = tool_call(f"call_{len(episode.events)}", name, arguments)
        seen = await self.step(assistant(None, call))
        event = next(event for event in reversed(episode.events) if event.kind in ("call", "say"))
        told = event.ok and not event.code  # of a lost reply the agent may not know that the call was done
        return Answer(told, seen.messages[0]["content"], seen.done)

    async def say(self, text: str) -> Answer:
        """Say something to the user; the result is the user's answer."""
        if self.episode.done:
            return Answer(False, _OVER.text, True)
        seen = await self.step(assistant(text))
        return Answer(True, dumps({"message": seen.messages[0]["content"]}), seen.done)

    async def step(self, message: Message) -> Observation:
        """Take a whole assistant message, for agents that have a chat."""
        if self.episode.done:
            return Observation((), self.episode.tools, True)
        try:
            return await self.episode.step(message)
        except NoResult as error:
            self._verdict = self.episode.no_result(error.reason)
            raise

    def verdict(self, *, late: float | None = None) -> Trajectory:
        """The graded record; an episode that was left open ends as if the agent had finished. Given once, it stays.

        late: seconds of wall time that it had and that were not enough: then it has no result.
        """
        if self._verdict is None:
            self._verdict = self._judged(late)
        return self._verdict

    def _judged(self, late: float | None) -> Trajectory:
        if late is not None and not self.episode.done:
            return self.episode.no_result(f"agent: {Failure.DEADLINE}: the episode was not over after {late:g} s")
        self.episode.finish("finished")
        try:
            return self.episode.trajectory()
        except NoResult as error:
            return self.episode.no_result(error.reason)


def _message_in(arguments: str) -> str:
    given = parse_arguments(arguments)
    text = given.get("message")
    if not isinstance(text, str) or set(given) - {"message"}:
        raise ToolFailure("bad_arguments", f"{ASK_USER} takes one text, message.")
    return text
