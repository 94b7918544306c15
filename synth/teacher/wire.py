"""One request to the endpoint: structured output, the ledger before and after it, the budget.

The answer is constrained to the step's JSON Schema. An endpoint that refuses that is asked for any JSON
object, and one that refuses that too for plain text, with the schema in the prompt; what it takes is
remembered. Raises `Stopped` when nothing more may be asked, `GivenUp` when this request
is too long, and the client's `NoResult` when it failed for good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mocktrial.agents.openai_client import Refused
from mocktrial.envs.chat import CONTEXT_LIMIT, Completion, Message
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import stable
from mocktrial.synth.teacher.answers import is_strict, schema_of
from mocktrial.synth.teacher.errors import BudgetSpent, GivenUp, Stopped
from mocktrial.synth.teacher.ledger import Entry, TokenLedger

# Strict decoding where the schema allows it; then never strict, since endpoints differ in what they allow.
Format = Literal["strict", "json_schema", "json_object", "text"]
_FORMATS: tuple[Format, ...] = ("strict", "json_schema", "json_object", "text")
_CHARACTERS = 4  # about so many a token, where the endpoint does not count


class Asked(Protocol):
    """What the teacher needs of a client; `OpenAIModel` has it."""

    @property
    def name(self) -> str: ...

    async def complete(self, request: Mapping[str, Any]) -> Completion: ...


@dataclass(frozen=True)
class Question:
    """A request as the ledger knows it."""

    unit: int
    step: str
    attempt: int
    seed: int
    form: type[Frozen]
    messages: tuple[Message, ...]


class Wire:
    """max_tokens: of all requests together, earlier runs included; None: no bound. settings: as sent."""

    def __init__(
        self, client: Asked, model: str, ledger: TokenLedger, *, max_tokens: int | None, settings: Mapping[str, Any]
    ) -> None:
        self.client, self.model, self.ledger = client, model, ledger
        self.max_tokens, self.settings = max_tokens, dict(settings)
        self.format: Format = _FORMATS[0]
        self.stopped: Stopped | None = None

    async def ask(self, question: Question) -> str:
        """The answer's text: from the ledger if it was paid for before, else from the endpoint."""
        key = self._key(question)
        known = self.ledger.find(key)
        if known is not None:
            return known.content
        self._may_ask()
        completion = await self._complete(question)
        if completion.message.get("refusal") == CONTEXT_LIMIT:
            raise GivenUp(f"teacher, {question.step}: too long for the model")
        content = completion.message.get("content")
        text = content if isinstance(content, str) else ""
        self.ledger.add(self._entry(question, key, text, completion))
        return text

    def stop(self, reason: Stopped) -> None:
        """From now on nothing is asked; the first reason stands."""
        self.stopped = self.stopped or reason

    def _may_ask(self) -> None:
        if self.max_tokens is not None and self.ledger.tokens >= self.max_tokens:
            hint = "allow more with --max-tokens"
            self.stop(BudgetSpent(f"the budget of {self.max_tokens} tokens is spent", hint=hint))
        if self.stopped:
            raise self.stopped

    async def _complete(self, question: Question) -> Completion:
        while True:
            used = self.format
            try:
                return await self.client.complete(self._request(question, used))
            except Refused as error:
                if error.status not in (400, 422) or used == _FORMATS[-1]:
                    raise
                if self.format == used:  # another request may have found out first
                    self.format = _FORMATS[_FORMATS.index(used) + 1]

    def _request(self, question: Question, used: Format) -> dict[str, Any]:
        schema = schema_of(question.form)
        messages: Sequence[Message] = question.messages
        request: dict[str, Any] = {"model": self.model, "seed": question.seed % 2**31, **self.settings}
        if used in ("strict", "json_schema"):
            named = {"name": question.step, "schema": schema, "strict": used == "strict" and is_strict(schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        else:
            first, *rest = question.messages
            messages = [{**first, "content": f"{first['content']}\nJSON Schema of the answer: {stable(schema)}"}, *rest]
            if used == "json_object":
                request["response_format"] = {"type": "json_object"}
        return {**request, "messages": list(messages)}

    def _key(self, question: Question) -> str:
        """The same whatever form of output the endpoint took, and wherever it stands."""
        body: list[Any] = [self.model, question.seed, self.settings, list(question.messages), schema_of(question.form)]
        return hashlib.sha256(stable(body).encode()).hexdigest()[:32]

    def _entry(self, question: Question, key: str, text: str, completion: Completion) -> Entry:
        usage = completion.usage
        prompt, answer = usage.prompt_tokens, usage.completion_tokens
        estimated = not prompt and not answer
        if estimated:
            prompt = sum(len(str(item["content"])) for item in question.messages) // _CHARACTERS
            answer = len(text) // _CHARACTERS
        return Entry(
            key=key, unit=question.unit, step=question.step, attempt=question.attempt, model=self.model,
            prompt_tokens=prompt, completion_tokens=answer, estimated=estimated, content=text,
        )  # fmt: skip
