"""Playing a stored episode again: every call in a fresh world, the user's words from the record, no model.

The world's state derives from the calls, so a replay ends in the state that was graded. `follow` stops at nothing:
it notes the first thing that came out otherwise. What cannot be replayed at all (another world) raises `UsageError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mocktrial.envs.chat import Message
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.task import Deed, Fact, Persona, Task
from mocktrial.envs.trajectory import Event, Trajectory
from mocktrial.envs.users.base import Hand, Reply, UserState
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import dumps


class Replayed(Frozen):
    """What a replay came to."""

    states: tuple[str, ...]  # digest of the world before the first turn and after each
    calls: int  # of tools, the user's included
    difference: str = ""  # the first one from the record; empty: none


@dataclass(frozen=True)
class _Said:
    """One reply of the recorded user: its words, and what happened with it."""

    turn: int
    text: str
    events: tuple[Event, ...]


class RecordedUser:
    """Implements `User`: says what it said, and does with its own tools what it did."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._said = iter(list(_replies(trajectory)))

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...],
        deeds: tuple[Deed, ...] = (), hand: Hand | None = None,
    ) -> tuple[Reply, UserState]:  # fmt: skip
        """The next reply of the record, whatever the message; an empty one after the last."""
        said = next(self._said, _Said(-1, "", ()))
        for event in said.events:
            if event.kind == "call" and event.by == "user" and hand is not None:
                hand(event.name, event.arguments)
        return Reply(text=said.text, confirmed=any(event.kind == "confirm" for event in said.events)), state


def _replies(trajectory: Trajectory) -> Iterator[_Said]:
    """The user's messages after the agent's; the instruction comes before any."""
    turn = -1
    for message in trajectory.messages:
        turn += message.get("role") == "assistant"
        if turn >= 0 and message.get("role") == "user":
            events = tuple(event for event in trajectory.events if event.turn == turn)
            yield _Said(turn, str(message.get("content") or ""), events)


def replay_episode(task: Task, image: WorldImage, trajectory: Trajectory, limits: Limits) -> Episode:
    """A fresh episode in which `trajectory` can be followed. Raises `UsageError` where its world is another one."""
    if image.hash != trajectory.world_hash:
        played = trajectory.world_hash
        raise UsageError(
            f"{trajectory.task_id} was played in another version of its world: {played}, not {image.hash}",
            hint="name the dataset that the run was played on: --dataset DIR",
        )
    return Episode(
        task, image, agent=trajectory.agent, trial=trajectory.trial, user=RecordedUser(trajectory), limits=limits
    )


async def follow(episode: Episode, trajectory: Trajectory) -> Replayed:
    """Play the agent's messages again and compare what they bring about. `episode` is from `replay_episode`."""
    turns = _turns(trajectory.messages)
    observation = await episode.reset()
    states = [episode.world.digest()]
    difference = _unlike(-1, trajectory.messages[: len(observation.messages)], observation.messages)
    for number, (message, answers) in enumerate(turns):
        if episode.done:
            difference = difference or f"turn {number}: the episode had ended already"
            break
        observation = await episode.step(message)
        states.append(episode.world.digest())
        difference = difference or _unlike(number, answers, observation.messages)
    episode.finish(trajectory.end)
    writes = episode.world.write_set()
    if not difference and writes != trajectory.writes:
        texts = [[dumps(write.model_dump(mode="json")) for write in own] for own in (trajectory.writes, writes)]
        difference = f"the write set: {_first_apart(*texts)}"
    calls = sum(event.kind == "call" for event in episode.events)
    return Replayed(states=tuple(states), calls=calls, difference=difference)


def _turns(messages: Sequence[Message]) -> list[tuple[Message, list[Message]]]:
    """Each of the agent's messages with what came after it."""
    turns: list[tuple[Message, list[Message]]] = []
    for message in messages:
        if message.get("role") == "assistant":
            turns.append((message, []))
        elif turns:
            turns[-1][1].append(message)
    return turns


def _unlike(turn: int, recorded: Sequence[Message], got: Sequence[Message]) -> str:
    """The first message that differs; empty when none does."""
    if list(recorded) == list(got):
        return ""
    where = "the opening" if turn < 0 else f"turn {turn}"
    return f"{where}: {_first_apart([_text(one) for one in recorded], [_text(one) for one in got])}"


def _text(message: Mapping[str, object]) -> str:
    return f"{message.get('role')} {message.get('content')}"


def _first_apart(recorded: Sequence[str], got: Sequence[str]) -> str:
    for number in range(max(len(recorded), len(got))):
        before = recorded[number] if number < len(recorded) else "nothing"
        after = got[number] if number < len(got) else "nothing"
        if before != after:
            return f"recorded {before[:300]!r}, now {after[:300]!r}"
    return "the same text in another form"
