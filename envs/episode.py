"""`Episode`: one attempt at one task in a private copy of its world.

    observation = await episode.reset()
    while not observation.done:
        observation = await episode.step(assistant_message)
    trajectory = episode.trajectory()

A message with `tool_calls` gets tool results back, a plain one goes to the user, the tool `finish` ends.
The environment owns the end (DESIGN, invariant 6). What the agent can mend is a tool result; what it
cannot raises `NoResult`, which `runner` turns into the outcome of the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, NamedTuple

from pydantic import Field

from mocktrial.envs.chat import NO_USAGE, Completion, Message, TokenTrace, ToolSchema, Usage
from mocktrial.envs.grading import grade, is_lost, succeeds, unmet
from mocktrial.envs.messages import MAX_TEXT, finish_tool, is_short, read_call, system_prompt, writable
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import End, Event, Grade, Outcome, Trajectory
from mocktrial.envs.users.base import Hand, Reply, User, UserState
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.mocktools.errors import ToolFailure
from mocktrial.mocktools.faults import FaultState, apply
from mocktrial.mocktools.given import parse_arguments
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import dumps
from mocktrial.mocktools.world import Mark, Snapshot, ToolResult, World, failed
from mocktrial.mocktools.writeset import Change

NO_FAULTS_YET = FaultState()
_FINISHED = ToolResult(ok=True, value={"ok": True}, text=dumps({"ok": True}))


class Limits(Frozen):
    """When the environment ends an episode by itself."""

    turns: int = Field(default=24, ge=1)  # assistant messages
    calls: int = Field(default=40, ge=1)  # tool calls, failed ones included
    minutes: float = Field(default=120.0, gt=0)  # of virtual time
    seconds_per_turn: float = Field(default=10.0, ge=0)  # virtual time that one assistant message takes


class Observation(NamedTuple):
    """What the agent gets to see next. On reset: system and user message; later only what is new."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    done: bool = False
    values: tuple[Any, ...] = ()  # what the JSON of each tool message says, for code that would parse it


@dataclass(frozen=True)
class EpisodeState:
    """Everything that moves in an episode, except the world."""

    user: UserState
    messages: tuple[Message, ...] = ()
    events: tuple[Event, ...] = ()
    traces: tuple[TokenTrace | None, ...] = ()
    usage: Usage = NO_USAGE
    calls: int = 0
    faults: FaultState = NO_FAULTS_YET
    end: End | None = None


@dataclass(frozen=True)
class EpisodeSnapshot:
    """An episode frozen between two turns; `Episode.branch` goes on from it."""

    world: Snapshot
    state: EpisodeState


@dataclass(frozen=True)
class EpisodeMark:
    """A point of a running episode; `Episode.rewind` takes it back there."""

    world: Mark
    state: EpisodeState


class Episode:
    """Async. `SyncEpisode` wraps it. Close it, or use `async with`, to give its database back."""

    def __init__(
        self, task: Task, image: WorldImage, *, agent: str = "", trial: int = 0,
        user: User | None = None, limits: Limits | None = None, user_seed: int = 0,
        kind: type[World] = World,
    ) -> None:  # fmt: skip
        """user_seed: another one gives the user other words; world, faults and the agent's seeds stay.
        kind: of the world that it opens."""
        self.task, self.image, self.agent, self.trial = task, image, agent, trial
        self.limits = limits or Limits()
        self._user, self._user_seed = user or ScriptedUser(), user_seed
        self._dual = bool(task.deeds) or any(fact.via for fact in task.facts)  # the user has tools to use
        self.seed = derive(task.seed, "trial", trial)
        self._turn_time = timedelta(seconds=self.limits.seconds_per_turn)
        self._deadline = image.now + timedelta(minutes=self.limits.minutes)
        self._kind = kind
        self.world = kind.open(image, self.seed)
        self._tools = (*image.schemas, finish_tool())
        self._start_from(self._fresh())

    def _fresh(self) -> EpisodeState:
        seed = derive(self.seed, "user", self._user_seed) if self._user_seed else self.seed
        return EpisodeState(user=UserState(patience=self.task.persona.patience, seed=seed))

    def _start_from(self, state: EpisodeState) -> None:
        self._user_state, self._usage, self._calls, self._end = state.user, state.usage, state.calls, state.end
        self._messages, self._events, self._traces = list(state.messages), list(state.events), list(state.traces)
        self._faults = state.faults
        self._graded: tuple[Grade, tuple[Change, ...]] | None = None

    async def reset(self) -> Observation:
        """Start (again) from the task's first state."""
        if self._messages:  # played before
            self.world.close()
            self.world = self._kind.open(self.image, self.seed)
        self._start_from(self._fresh())
        system = {"role": "system", "content": system_prompt(self.world)}
        user = {"role": "user", "content": self.task.instruction}
        self._messages += (system, user)
        return self._observe((system, user))

    @property
    def done(self) -> bool:
        return self._end is not None

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    @property
    def events(self) -> Sequence[Event]:
        """What happened so far. For grading and scripted agents."""
        return self._events

    @property
    def tools(self) -> tuple[ToolSchema, ...]:
        return self._tools

    async def step(self, message: Message, completion: Completion | None = None) -> Observation:
        """Take one assistant message; `completion` adds its tokens and cost to the record."""
        if self.done:
            raise ValueError("the episode has ended; call reset()")
        given, message = message, writable(message)
        turn = len(self._traces)
        self._messages.append(message)
        self._traces.append(completion.trace if completion else None)
        if completion:
            self._usage += completion.usage
        self.world.advance(self.world.now + self._turn_time)
        text = message.get("content")
        text = text[:MAX_TEXT] if isinstance(text, str) else ""
        if text.strip():
            self._events.append(Event(turn=turn, kind="say", text=text))
        calls = message.get("tool_calls")
        values: tuple[Any, ...] = ()
        if calls:
            wanted = given["tool_calls"]  # before anything was replaced in them
            pairs = zip(calls, wanted, strict=True) if isinstance(calls, list) else [(calls, wanted)]
            replies, values = self._run_calls(pairs, turn)
        else:
            replies = [await self._ask_user(text, turn)]
        self._messages += replies
        self._check_limits()
        return self._observe(replies, values)

    def finish(self, end: End, usage: Usage = NO_USAGE) -> None:
        """End from outside, for example when the agent's context is full; `usage`: of turns that no step was told."""
        if not self.done:
            self._end = end
            self._usage += usage

    def snapshot(self) -> EpisodeSnapshot:
        return EpisodeSnapshot(self.world.snapshot(), self._state())

    def mark(self) -> EpisodeMark:
        """Where the episode stands now, for `rewind`: a snapshot that is cheap, and only for this episode."""
        return EpisodeMark(self.world.mark(), self._state())

    def rewind(self, mark: EpisodeMark) -> Observation:
        """Take the episode back to `mark`; later marks are gone. Raises `ValueError` for one that is."""
        self.world.rewind(mark.world)
        self._start_from(mark.state)
        return self._observe(())

    def _state(self) -> EpisodeState:
        return EpisodeState(
            user=self._user_state, messages=self.messages, events=tuple(self._events), traces=tuple(self._traces),
            usage=self._usage, calls=self._calls, faults=self._faults, end=self._end,
        )  # fmt: skip

    def branch(self, snapshot: EpisodeSnapshot) -> Episode:
        """A new, independent episode that goes on from `snapshot`."""
        other = Episode(
            self.task, self.image, agent=self.agent, trial=self.trial, user=self._user, limits=self.limits,
            user_seed=self._user_seed,
        )  # fmt: skip
        other.world.close()
        other.world = World(self.image, snapshot.world)
        other._start_from(snapshot.state)
        return other

    def graded(self) -> tuple[Grade, tuple[Change, ...]]:
        """The grade, and the net changes of the world. Only after the end."""
        if self._end is None:
            raise ValueError("the episode has not ended")
        if self._graded is None:
            writes = self.world.write_set()
            self._graded = grade(self.task, self.world, self._events, writes), writes
        return self._graded

    def succeeded(self) -> bool:
        """`graded()[0].success`, at less cost. Only after the end."""
        if self._end is None:
            raise ValueError("the episode has not ended")
        return succeeds(self.task, self.world, self._events, self.world.write_set)

    def lost(self) -> bool:
        """Whether success is out of reach, whatever follows: a hidden value was used before it was told."""
        return is_lost(self.task, self.world, self._events)

    def unmet(self) -> tuple[str, ...]:
        """Ids of the criteria that do not hold. Only after the end."""
        if self._end is None:
            raise ValueError("the episode has not ended")
        return unmet(self.task, self.world, self._events, self.world.write_set)

    def trajectory(self) -> Trajectory:
        """The graded record. Only after the end."""
        grade, writes = self.graded()
        return self._record_of(outcome="scored", writes=writes, grade=grade)

    def no_result(self, reason: str) -> Trajectory:
        """The record of an episode that says nothing about the agent."""
        self._end = "no_result"
        return self._record_of(outcome="no_result", reason=reason)

    def _record_of(
        self, outcome: Outcome, reason: str = "", writes: tuple[Change, ...] = (), grade: Grade | None = None
    ) -> Trajectory:
        """The record, not validated: its parts are this module's own."""
        return Trajectory.model_construct(
            task_id=self.task.id, task_hash=self.task.content_hash(), world_hash=self.image.hash,
            agent=self.agent, seed=self.seed, trial=self.trial, outcome=outcome, end=self._end or "no_result",
            reason=reason, messages=tuple(dict(message) for message in self._messages), tools=self._tools,
            events=tuple(self._events), writes=writes, traces=tuple(self._traces), usage=self._usage, grade=grade,
        )  # fmt: skip

    def close(self) -> None:
        self.world.close()

    async def __aenter__(self) -> Episode:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _observe(self, messages: Sequence[Message], values: tuple[Any, ...] = ()) -> Observation:
        return Observation(tuple(messages), self._tools, self.done, values)

    def _run_calls(self, calls: Iterable[tuple[Any, Any]], turn: int) -> tuple[list[Message], tuple[Any, ...]]:
        """Calls as they are kept, each with what the model wrote: one in which something was replaced does not run."""
        replies: list[Message] = []
        values: list[Any] = []
        used: set[str] = set()
        for number, (call, wanted) in enumerate(calls):
            given = call.get("id") if isinstance(call, Mapping) else None
            call_id = given if isinstance(given, str) and given else f"call_{turn}_{number}"
            result = self._run_call(call, turn, repeated=call_id in used, torn=call != wanted)
            used.add(call_id)
            replies.append({"role": "tool", "tool_call_id": call_id, "content": result.text})
            values.append(result.value)
            if self.done:
                break
        return replies, tuple(values)

    def _run_call(self, call: Any, turn: int, *, repeated: bool, torn: bool) -> ToolResult:
        """Run one entry of `tool_calls`; whatever is wrong with it comes back as a result."""
        self._calls += 1
        name = ""
        try:
            name, arguments = read_call(call)
            if torn:
                raise ToolFailure("bad_json", "The call holds characters that no text can hold.")
            if repeated:
                raise ToolFailure("duplicate_id", "Two calls of one message carry the same id.")
            given = parse_arguments(arguments)
            if name == "finish":
                return self._finish_call(given, turn)
        except ToolFailure as failure:
            self._events.append(Event(turn=turn, kind="call", name=name[:64], ok=False, code=failure.code))
            return failed(failure)
        if self.task.faults:
            result, self._faults = apply(self.task.faults, self._faults, self.world, name, given)
        else:
            result = self.world.call_parsed(name, given)
        recorded = dict(given) if is_short(arguments) or len(dumps(given)) <= MAX_TEXT else {}
        event = Event(turn=turn, kind="call", name=name[:64], ok=result.ok, code=result.code, arguments=recorded)
        self._events.append(event)
        if result.ok and self._user_state.awaiting and self.image.tools[name].spec.effect == "write":
            self._user_state = self._user_state.model_copy(update={"awaiting": False})
        return result

    def _finish_call(self, given: Mapping[str, Any], turn: int) -> ToolResult:
        text = given.get("message")
        if not isinstance(text, str) or set(given) - {"message"}:
            raise ToolFailure("bad_arguments", "finish takes one text, message.")
        self._events.append(Event(turn=turn, kind="say", text=text[:MAX_TEXT]))
        self.finish("finished")
        return _FINISHED

    async def _ask_user(self, text: str, turn: int) -> Message:
        task, before = self.task, self._user_state
        tools: dict[str, Any] = {"deeds": task.deeds, "hand": self._hand(turn)} if self._dual else {}
        reply, self._user_state = await self._user.reply(
            before, text, persona=task.persona, goal=task.goal, facts=task.facts, **tools
        )
        self._events += _events_of(reply, turn)
        if reply.leaves and not (before.awaiting and self._user_state.awaiting):  # owed what it said yes to
            self.finish("user_left")
        return {"role": "user", "content": reply.text}

    def _hand(self, turn: int) -> Hand:
        """The user's own tools on this episode's world; its calls are events of their own and count for no limit."""

        def call(name: str, arguments: Mapping[str, Any]) -> ToolResult:
            result = self.world.call_as_user(name, arguments)
            given = dict(arguments)
            event = Event(turn=turn, kind="call", name=name, ok=result.ok, code=result.code, arguments=given, by="user")
            self._events.append(event)
            return result

        return call

    def _check_limits(self) -> None:
        if len(self._traces) >= self.limits.turns:
            self.finish("turn_limit")
        elif self._calls >= self.limits.calls:
            self.finish("call_limit")
        elif self.world.now >= self._deadline:
            self.finish("time_limit")


def _events_of(reply: Reply, turn: int) -> list[Event]:
    events = [Event(turn=turn, kind="release", name=fact) for fact in reply.released]
    events += [
        Event(turn=turn, kind="question", name=kind) for kind in reply.needless if kind not in ("statement", "empty")
    ]
    if reply.confirmed:
        events.append(Event(turn=turn, kind="confirm"))
    return [*events, *(Event(turn=turn, kind="fault", name=kind) for kind in reply.faults)]


class SyncEpisode:
    """`Episode` for code without an event loop: the same calls, blocking."""

    def __init__(self, task: Task, image: WorldImage, **options: Any) -> None:
        self.episode = Episode(task, image, **options)
        self._runner = asyncio.Runner()

    def reset(self) -> Observation:
        return self._runner.run(self.episode.reset())

    def step(self, message: Message, completion: Completion | None = None) -> Observation:
        return self._runner.run(self.episode.step(message, completion))

    def trajectory(self) -> Trajectory:
        return self.episode.trajectory()

    def __enter__(self) -> SyncEpisode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.episode.close()
        self._runner.close()
