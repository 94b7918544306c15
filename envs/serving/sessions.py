"""The open episodes of a dataset behind a server: opened, played, frozen, branched, graded, closed.

`mocktools.keeper` bounds them, `seat` is what an agent does in one; nothing here speaks HTTP. Requests for one
episode are served one at a time, in the event loop that first used it. What cannot be served raises `Refusal`; a
`NoResult` ends the episode without a result and passes through.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from pydantic import Field, StrictInt

from mocktrial.envs.chat import Message, ToolSchema
from mocktrial.envs.episode import Episode, EpisodeSnapshot, Limits
from mocktrial.envs.judging.decide import require_judge
from mocktrial.envs.serving.seat import Seat
from mocktrial.envs.serving.verdicts import Verdicts
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import CriterionResult, End, Outcome, Trajectory
from mocktrial.envs.users.base import User
from mocktrial.mocktools import episodes
from mocktrial.mocktools.episodes import Snapshots, as_text
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.gate import Refusal
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.keeper import Answers, Keeper, Quota
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import dumps

MAX_EPISODES = 2048


class Start(Frozen):
    """What to open: a trial of a task, or a snapshot to go on from. user_seed: of the user's choice of words."""

    task: str | None = None
    trial: Annotated[StrictInt, Field(ge=0)] = 0
    user_seed: Annotated[StrictInt, Field(ge=0, lt=2**63)] = 0
    snapshot: str | None = None


class View(Frozen):
    """What an agent has before it: all messages so far, and what it can call."""

    episode: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    done: bool


class Opened(View):
    task: str
    trial: int


class Seen(Frozen):
    """What one assistant message brought about. With `done` the agent has nothing more to do."""

    messages: tuple[Message, ...]
    done: bool


class State(episodes.State):
    """Where an episode stands. For the control plane: an agent does not see what was released."""

    task: str
    trial: int
    turns: int  # assistant messages so far
    released: tuple[str, ...]  # ids of the facts that the user told
    done: bool


class Verdict(Frozen):
    """What became of an episode. For the control plane."""

    episode: str
    task: str
    trial: int
    outcome: Outcome
    end: End
    reason: str
    reward: float | None  # None: no result
    success: bool | None
    criteria: tuple[CriterionResult, ...]


class Sessions:
    """limits, user: of every episode. verdicts: where they are kept. most: episodes open at a time.

    clock: wall time in seconds.
    """

    def __init__(
        self, tasks: Sequence[Task], images: Mapping[str, WorldImage], *, most: int = MAX_EPISODES,
        quota: Quota | None = None, limits: Limits | None = None, user: User | None = None,
        verdicts: Verdicts | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        if most < 1:
            raise UsageError("at least 1 episode must be allowed", hint="raise --most")
        require_judge(tasks, None)  # none can be had here
        self.tasks = {task.id: task for task in tasks}
        self._images, self._limits, self._user = images, limits, user
        self._verdicts, self._clock = verdicts, clock
        self._kept: Keeper[Seat] = Keeper(most, lambda seat: seat.episode.close(), quota=quota, clock=clock)
        self._snapshots: Snapshots[tuple[Episode, EpisodeSnapshot]] = Snapshots()
        self._opened = Answers()
        self.keys, self.end = self._kept.keys, self._kept.end

    # The control plane.

    async def open(self, start: Start, repeat: str | None = None) -> bytes:
        """JSON of `Opened`. A `repeat` that was seen opens nothing more."""
        return await self._opened.once(repeat, start.model_dump_json().encode(), lambda: self._open(start))

    async def _open(self, start: Start) -> bytes:
        if (start.task is None) == (start.snapshot is None):
            raise Refusal(422, "give a task or a snapshot, one of the two")
        if start.snapshot is not None:
            frozen, snapshot = self._snapshots.find(start.snapshot)
            key = self._kept.add(lambda: Seat(frozen.branch(snapshot), branched=True))
        elif start.task in self.tasks:
            task = self.tasks[start.task]
            if self._verdicts and (reason := self._verdicts.unwanted(task, start.trial, start.user_seed)):
                raise Refusal(409, reason)
            key = self._kept.add(lambda: Seat(self._episode(task, start)))
        else:
            raise Refusal(404, f"there is no task {start.task}")
        async with self._kept.using(key) as kept:
            episode = kept.episode.episode
            if start.snapshot is None:
                await episode.reset()
            view = _view(key, kept.episode)
        opened = Opened(**dict(view), task=episode.task.id, trial=episode.trial)
        return opened.model_dump_json().encode()

    def _episode(self, task: Task, start: Start) -> Episode:
        return Episode(
            task, self._images[task.world], agent=self._verdicts.agent if self._verdicts else "", trial=start.trial,
            user_seed=start.user_seed, user=self._user, limits=self._limits,
        )  # fmt: skip

    async def reset(self, key: str) -> View:
        """The episode from its task's first state again."""
        async with self._kept.using(key) as kept:
            await kept.episode.reset()
            kept.answers = Answers()
            return _view(key, kept.episode)

    async def state(self, key: str) -> State:
        async with self._kept.using(key) as kept:
            episode = kept.episode.episode
            return State(
                episode=key, digest=episode.world.digest(), write_set=episode.world.write_set(), task=episode.task.id,
                trial=episode.trial, turns=sum(message["role"] == "assistant" for message in episode.messages),
                released=tuple(event.name for event in episode.events if event.kind == "release"), done=episode.done,
            )  # fmt: skip

    async def snapshot(self, key: str) -> str:
        async with self._kept.using(key) as kept:
            episode = kept.episode.episode
            return self._snapshots.add((episode, episode.snapshot()))

    async def step(self, key: str, message: Message, repeat: str | None = None) -> bytes:
        """JSON of `Seen` for a whole assistant message: its tool calls are run, or its text goes to the user."""
        async with self._kept.using(key) as kept:

            async def answer() -> bytes:
                seen = await kept.episode.step(message)
                return Seen(messages=seen.messages, done=seen.done).model_dump_json().encode()

            return await kept.answers.once(repeat, b"step\0" + dumps(message).encode("utf-8", "surrogatepass"), answer)

    async def verify(self, key: str) -> Trajectory:
        """What became of the episode, which ends by this where it was still open. A branch's is not kept."""
        async with self._kept.using(key) as kept:
            record = kept.episode.verdict(late=self._kept.quota.seconds if self._kept.is_late(kept) else None)
            if self._verdicts and not kept.episode.branched:
                self._verdicts.add(record, self._clock() - kept.opened)
            return record

    # The agents' plane.

    async def view(self, key: str) -> View:
        async with self._kept.using(key, 0) as kept:
            return _view(key, kept.episode)

    async def tools(self, key: str) -> list[ToolSchema]:
        async with self._kept.using(key, 0) as kept:
            return list(kept.episode.tools)

    async def call(self, key: str, tool: str, body: bytes, repeat: str | None = None) -> bytes:
        """`{"ok": bool, "result": ..., "done": bool}` for a tool call, `ask_user` and `finish` among them."""
        async with self._kept.using(key, len(body)) as kept:

            async def answer() -> bytes:
                given = await kept.episode.call(tool, as_text(body))
                kept.bytes += len(given.text)
                return given.body()

            return await kept.answers.once(repeat, b"%s\0%s" % (tool.encode(), body), answer)

    @asynccontextmanager
    async def sit(self, key: str, size: int = 0) -> AsyncIterator[Seat]:
        """The seat itself, for one request of the agent: for doors of other protocols, and for Python."""
        async with self._kept.using(key, size) as kept:
            yield kept.episode


def verdict_of(key: str, record: Trajectory) -> Verdict:
    grade = record.grade
    return Verdict(
        episode=key, task=record.task_id, trial=record.trial, outcome=record.outcome, end=record.end,
        reason=record.reason, reward=grade.reward if grade else None, success=grade.success if grade else None,
        criteria=grade.criteria if grade else (),
    )  # fmt: skip


def _view(key: str, seat: Seat) -> View:
    return View(episode=key, messages=seat.episode.messages, tools=seat.tools, done=seat.episode.done)
