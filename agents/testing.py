"""Public test double: a `ChatModel` that answers as it is told. No network, no randomness.

For tests of agents, users and judges, and for trying a graph without a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from mocktrial.envs.chat import Completion, Message, ToolSchema, assistant
from mocktrial.mocktools.errors import NoResult

Answer: TypeAlias = str | Message | Completion  # plain text, an assistant message, or all of it
Answerer: TypeAlias = Callable[[Sequence[Message], Sequence[ToolSchema]], Answer]


class ScriptedModel:
    """Answers from a list, anew in each chat, or from a function of (all messages so far, tools).

    A list that has run out raises `NoResult(blame="model")`.
    """

    def __init__(self, replies: Sequence[Answer] | Answerer, *, name: str = "scripted") -> None:
        self._replies = replies
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> ScriptedChat:
        return ScriptedChat(self._replies, tools, self._name)


class ScriptedChat:
    """One conversation; `messages` holds all of it."""

    def __init__(self, replies: Sequence[Answer] | Answerer, tools: Sequence[ToolSchema], name: str) -> None:
        self.messages: list[Message] = []
        self._replies, self._tools, self._name = replies, tuple(tools), name
        self._sent = 0

    async def send(self, messages: Sequence[Message]) -> Completion:
        self.messages.extend(messages)
        answer = self._next()
        if isinstance(answer, str):
            answer = assistant(answer)
        completion = answer if isinstance(answer, Completion) else Completion(message=answer)
        self.messages.append(completion.message)
        return completion

    def _next(self) -> Answer:
        if callable(self._replies):
            return self._replies(self.messages, self._tools)
        if self._sent >= len(self._replies):
            raise NoResult(f"{self._name}: no reply is left after {self._sent}", blame="model")
        self._sent += 1
        return self._replies[self._sent - 1]
