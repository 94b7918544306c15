"""What leaves the project of an episode: a conversation with its tools, its grade and what may be trained on.

Only scored episodes leave: `no_result` says nothing about the agent, `masked` is not for training (PEERS, 8).
Formats are `formats`' business, files `export`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mocktrial.envs.chat import Message, ToolSchema
from mocktrial.envs.trajectory import Trajectory


@dataclass(frozen=True)
class Sample:
    """messages: OpenAI's, of which those from `start` on are the answer; weight: how many rows it counts as."""

    id: str  # distinct within a run
    task: str  # content hash of the task
    agent: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...]
    start: int
    success: bool
    reward: float
    weight: float = 1.0

    @property
    def prompt(self) -> tuple[Message, ...]:
        return self.messages[: self.start]

    @property
    def completion(self) -> tuple[Message, ...]:
        return self.messages[self.start :]

    @property
    def trainable(self) -> tuple[bool, ...]:
        """Of each message, whether the agent wrote it as part of the answer: tools and users are never trained on."""
        return tuple(at >= self.start and message["role"] == "assistant" for at, message in enumerate(self.messages))


def spoken(sample: Sample) -> Sample:
    """Up to the agent's last message: what is imitated ends there, and OpenAI refuses any other end."""
    last = max(at for at, message in enumerate(sample.messages) if message["role"] == "assistant")
    return replace(sample, messages=sample.messages[: last + 1])


def samples(trajectories: Iterable[Trajectory]) -> Iterator[Sample]:
    """The scored episodes in which the agent said something, in their order."""
    for one in trajectories:
        if one.outcome != "scored" or one.grade is None:
            continue
        start = next((at for at, message in enumerate(one.messages) if message["role"] == "assistant"), None)
        if start is None:
            continue
        yield Sample(
            id=f"{one.task_id}-{one.task_hash[:8]}-{one.agent}-{one.trial}-{one.seed}",
            task=one.task_hash,
            agent=one.agent,
            messages=one.messages,
            tools=one.tools,
            start=start,
            success=one.grade.success,
            reward=one.grade.reward,
        )


def by_turn(sample: Sample) -> list[Sample]:
    """A sample a turn of the agent, each with what came before as its prompt; together they weigh what `sample` does.

    For trainers that would train on the tool results inside a longer answer (METHODS, section 4).
    """
    turns = [at for at, trained in enumerate(sample.trainable) if trained]
    share = sample.weight / len(turns)
    return [
        replace(sample, id=f"{sample.id}-turn{number}", messages=sample.messages[: at + 1], start=at, weight=share)
        for number, at in enumerate(turns)
    ]


def pairs(all_samples: Iterable[Sample]) -> Iterator[tuple[Sample, Sample]]:
    """(chosen, rejected) of one task with one prompt: each failure with a success, the successes taken in turn."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in all_samples:
        groups.setdefault((sample.task, repr(sample.prompt)), []).append(sample)
    for group in groups.values():
        right = [sample for sample in group if sample.success]
        wrong = [sample for sample in group if not sample.success]
        if right:
            yield from ((right[number % len(right)], loser) for number, loser in enumerate(wrong))
