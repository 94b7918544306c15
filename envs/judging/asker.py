"""What a judge needs of a model: a question in, the text of an answer out.

`ChatAsker` puts any `ChatModel` behind it, the schema in words; the client of endpoints that constrain an answer
stands in `agents`, the test doubles in `scripted`. Raises `NoResult` when no answer can be had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mocktrial.envs.chat import CONTEXT_LIMIT, ChatModel, Completion, Message
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.values import stable


@dataclass(frozen=True)
class Question:
    """One request. temperature: 0 for a first vote, higher for those that are to differ."""

    form: str  # name of the schema
    schema: Mapping[str, Any]  # of the answer
    messages: tuple[Message, ...]  # system and user
    seed: int
    temperature: float = 0.0
    truth: bool | None = None  # in a certification; for doubles that know it, never in a message


class Asker(Protocol):
    """A model that answers a judge's questions, each by the question's schema."""

    @property
    def name(self) -> str: ...

    async def answer(self, question: Question) -> str: ...


class ChatAsker:
    """A model that takes no schema and samples as it was made to."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def answer(self, question: Question) -> str:
        return text_of(await self._model.start((), seed=question.seed).send(with_schema(question)))


def with_schema(question: Question) -> Sequence[Message]:
    """The messages with the schema in the system message."""
    first, *rest = question.messages
    schema = f"JSON Schema of the answer: {stable(dict(question.schema))}"
    return [{**first, "content": f"{first['content']}\n{schema}"}, *rest]


def text_of(completion: Completion) -> str:
    """The words of an answer. Raises `NoResult` where the transcript did not fit."""
    if completion.message.get("refusal") == CONTEXT_LIMIT:
        raise NoResult("the transcript is too long for the judge", blame="judge")
    content = completion.message.get("content")
    return content if isinstance(content, str) else ""
