"""Episodes of a dataset that agents elsewhere play, through the gateway's doors and into a run's ledger.

An episode goes into the ledger at its end, with the calls that the gateway recorded, and is graded as any
other. One whose last call to the model failed has no result. Episodes still open when the gateway ends are owed,
as all that the ledger lacks. Answers that cannot be given raise `Refusal`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, StrictInt

from mocktrial.agents.gateway.recorder import Recorder
from mocktrial.envs.breaker import Breaker
from mocktrial.envs.chat import NO_USAGE, Message, ToolSchema, assistant
from mocktrial.envs.episode import Episode
from mocktrial.envs.failures import Failure
from mocktrial.envs.judging.decide import require_judge
from mocktrial.envs.runner import trial_seed
from mocktrial.envs.serving.seat import Seat
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeKey
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.base import User
from mocktrial.mocktools.episodes import as_text
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.gate import Refusal
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import Frozen

MAX_OPEN = 64
MAX_ENDED = 256  # keys that are remembered


class Start(Frozen):
    """Which episode to open; without a task the next one that is owed."""

    task: str | None = None
    trial: Annotated[StrictInt, Field(ge=0)] = 0


class Opened(Frozen):
    """What an agent starts from. `base_url`: path of the endpoint whose calls belong to this episode."""

    episode: str
    task: str
    trial: int
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    base_url: str


class Closed(Frozen):
    """What became of an episode. For the control plane: an agent does not see its grade."""

    episode: str
    outcome: str
    end: str
    reason: str
    reward: float | None
    success: bool | None


@dataclass
class _Sitting:
    episode: Episode
    began: float = field(default_factory=time.monotonic)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # a user may be a model, whose answer is waited for


class Sittings:
    """deadline: seconds of wall time until an episode that is not over has no result.

    breaker: no more are opened after so many equal failures in a row.
    """

    def __init__(
        self, tasks: Sequence[Task], images: Mapping[str, WorldImage], ledger: Ledger, recorder: Recorder,
        *, agent: str, user: User | None = None, trials: int = 1, deadline: float = 1800.0, breaker: int = 20,
    ) -> None:  # fmt: skip
        self._tasks = {task.id: task for task in tasks}
        self._images, self._ledger, self._recorder = images, ledger, recorder
        self._agent, self._user, self._deadline = agent, user, deadline
        self._breaker = Breaker(breaker)
        self._open: dict[str, _Sitting] = {}
        self._ended: OrderedDict[str, Closed] = OrderedDict()
        require_judge(tasks, None)  # none can be had here
        ledger.add_tasks(tasks)
        done = ledger.done()
        planned = [(task, trial) for task in tasks for trial in range(trials)]
        self._owed = [one for one in planned if self._key(*one) not in done]

    def _key(self, task: Task, trial: int) -> EpisodeKey:
        seed = trial_seed(task, trial)
        return EpisodeKey(task.content_hash(), self._agent, trial, seed, self._ledger.config_hash)

    def state(self) -> dict[str, Any]:
        """Which episodes are open, how many more are owed, and why no more are opened."""
        return {"open": list(self._open), "owed": len(self._owed), "stopped": self._breaker.stopped}

    async def open(self, start: Start) -> Opened:
        self._sweep()
        if self._breaker.stopped:
            raise Refusal(503, f"{self._breaker.stopped}; mend that, then start the gateway again")
        if len(self._open) >= MAX_OPEN:
            raise Refusal(429, f"{MAX_OPEN} episodes are open: finish or DELETE one first")
        task, trial = self._choose(start)
        episode = Episode(task, self._images[task.world], agent=self._agent, trial=trial, user=self._user)
        key = secrets.token_hex(16)
        self._open[key] = _Sitting(episode)
        observation = await episode.reset()
        return Opened(
            episode=key, task=task.id, trial=trial, messages=observation.messages, tools=observation.tools,
            base_url=f"/e/{key}/v1",
        )  # fmt: skip

    def _choose(self, start: Start) -> tuple[Task, int]:
        """A task and trial that is owed and not open; it is no longer owed while it is played."""
        if start.task is not None and start.task not in self._tasks:
            raise Refusal(404, f"there is no task {start.task}")
        for position, (task, trial) in enumerate(self._owed):
            if start.task is None or (task.id, trial) == (start.task, start.trial):
                return self._owed.pop(position)
        what = "nothing is owed" if start.task is None else f"{start.task}, trial {start.trial} is not owed"
        raise Refusal(410, f"{what}: it is done or open")

    def admits(self, key: str) -> None:
        """Calls to the model are passed on for every episode that was opened, for a while also after its end."""
        if key not in self._ended:
            self._find(key)

    def tools(self, key: str) -> tuple[ToolSchema, ...]:
        return self._find(key).episode.tools

    async def call(self, key: str, name: str, body: bytes) -> dict[str, Any]:
        """Call a tool: `{"ok": ..., "result": ..., "done": ...}`."""
        async with self._playing(key) as episode:
            answer = await Seat(episode).call(name, as_text(body))
            return {"ok": answer.ok, "result": json.loads(answer.text), "done": answer.done}

    async def say(self, key: str, text: str) -> dict[str, Any]:
        """Speak to the user: `{"message": ..., "done": ...}`."""
        async with self._playing(key) as episode:
            seen = await episode.step(assistant(text))
            return {"message": seen.messages[0]["content"], "done": seen.done}

    async def finish(self, key: str, text: str) -> None:
        """The agent is done, perhaps with last words to the user. Said twice, it is done all the same."""
        if text and key not in self._ended:
            await self.call(key, "finish", json.dumps({"message": text}).encode())
        if key not in self._ended:
            async with self._playing(key) as episode:
                episode.finish("finished")

    async def close(self, key: str) -> Closed:
        """What became of an episode; one that is still open is ended as it stands."""
        await self.finish(key, "")
        return self._ended[key]

    def _find(self, key: str) -> _Sitting:
        if key in self._ended:
            raise Refusal(409, "the episode has ended")
        if key not in self._open:
            raise Refusal(404, "there is no such episode: it was never opened, or ended long ago")
        return self._open[key]

    @asynccontextmanager
    async def _playing(self, key: str) -> AsyncIterator[Episode]:
        """The episode, for one thing at a time; into the ledger with it when that was its last."""
        async with self._find(key).lock:
            sitting = self._find(key)  # it may have ended while we waited
            try:
                yield sitting.episode
            except NoResult as error:
                self._settle(key, sitting, error.reason)
                raise
            if sitting.episode.done:
                self._settle(key, sitting, self._recorder.failure(key))

    def _settle(self, key: str, sitting: _Sitting, failure: str) -> None:
        """The episode's end: its record into the ledger, its key among those that ended."""
        trajectory = _judged(sitting.episode, failure)
        calls = self._recorder.take(key)
        usage = sum((call.usage for call in calls), NO_USAGE)
        self._ledger.record(
            trajectory.model_copy(update={"calls": calls, "usage": usage}), seconds=time.monotonic() - sitting.began
        )
        if trajectory.outcome == "no_result":
            self._breaker.failed(trajectory.reason)
        else:
            self._breaker.succeeded()
        sitting.episode.close()
        del self._open[key]
        self._ended[key] = _closed(key, trajectory)
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)

    def _sweep(self) -> None:
        """End what took too long: its agent has gone, or hangs."""
        late = time.monotonic() - self._deadline
        for key, sitting in list(self._open.items()):
            if sitting.began < late and not sitting.lock.locked():
                message = f"agent: {Failure.DEADLINE}: the episode was not over after {self._deadline:g} s"
                self._settle(key, sitting, self._recorder.failure(key) or message)


def _judged(episode: Episode, failure: str) -> Trajectory:
    if failure:
        return episode.no_result(failure)
    try:
        return episode.trajectory()
    except NoResult as error:
        return episode.no_result(error.reason)


def _closed(key: str, trajectory: Trajectory) -> Closed:
    grade = trajectory.grade
    return Closed(
        episode=key, outcome=trajectory.outcome, end=trajectory.end, reason=trajectory.reason,
        reward=grade.reward if grade else None, success=grade.success if grade else None,
    )  # fmt: skip
