"""What passed through the gateway, by episode: `ModelCall`s in the order of the requests, and the last failure.

Each call keeps only what its request adds to the call that it continues, message for message and token for
token, so that the agents of a team are told apart and a long history is not stored with every call. Values that
a request carried as secrets are taken out before anything is kept. Memory is bounded: of more episodes than
`MOST` the one that was silent longest is forgotten.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mocktrial.agents.gateway.tokens import Tokens, read_tokens
from mocktrial.agents.prices import Price
from mocktrial.agents.replies import Reply
from mocktrial.envs.chat import Message, ModelCall, TokenTrace

MOST = 1024
_SETTINGS = (  # of a request, what bears on the sampling; nothing else of it is kept
    "temperature", "top_p", "top_k", "min_p", "seed", "max_tokens", "max_completion_tokens", "stop", "n",
    "frequency_penalty", "presence_penalty", "tool_choice", "parallel_tool_calls", "response_format",
    "reasoning_effort", "stream",
)  # fmt: skip


class _End(NamedTuple):
    """Where a call left off."""

    call: int | None
    tokens: int = 0  # prompt and reply; 0 where they are not known
    digest: bytes = b""  # of their ids


@dataclass
class _Book:
    """One episode."""

    calls: dict[int, ModelCall] = field(default_factory=dict)
    started: int = 0
    ends: dict[bytes, _End] = field(default_factory=dict)  # by a digest of all messages up to there
    failure: str = ""


class Recorder:
    """prices: of tokens, by model. told: gets each call as soon as it is recorded."""

    def __init__(
        self, prices: Mapping[str, Price] | None = None, told: Callable[[str, ModelCall], None] = lambda key, call: None
    ) -> None:
        self._prices, self._told = prices or {}, told
        self._books: OrderedDict[str, _Book] = OrderedDict()

    def begin(self, key: str) -> int:
        """The number of the next call of an episode; its place is kept, whenever its reply comes."""
        book = self._books.setdefault(key, _Book())
        self._books.move_to_end(key)
        if len(self._books) > MOST:
            self._books.popitem(last=False)
        book.started += 1
        return book.started - 1

    def add(self, key: str, number: int, request: Mapping[str, Any], reply: Reply, secrets: Iterable[str]) -> None:
        """Keep a call that was answered, unless its episode is over."""
        book = self._books.get(key)
        if book is None:
            return
        book.failure = ""
        call = self._read(book, number, without(request, secrets), without(reply.message, secrets), reply)
        book.calls[number] = call
        self._told(key, call)

    def _read(self, book: _Book, number: int, request: Mapping[str, Any], said: Message, reply: Reply) -> ModelCall:
        """The call as it is kept; where it left off is noted for those that continue it."""
        tokens, model = read_tokens(reply.body), str(request.get("model") or "")
        tools, messages = tuple(request.get("tools") or ()), tuple(request["messages"])
        digests = _digests([model, tools], messages)
        known = _continued(book, digests, tokens)
        end = book.ends[digests[known]] if known else _End(None)
        ids = (*tokens.prompt, *tokens.sampled) if tokens and tokens.prompt else ()
        book.ends[_next(digests[-1], said)] = _End(number, len(ids), _digest_of(ids))
        trace = tokens and TokenTrace(
            context=tokens.prompt[end.tokens :], sampled=tokens.sampled, logprobs=tokens.logprobs
        )  # fmt: skip
        return ModelCall(
            number=number, model=model, continues=end.call, messages=messages[known:],
            tools=() if known else tools, settings={name: request[name] for name in _SETTINGS if name in request},
            reply=said, finish_reason=str(reply.body["choices"][0].get("finish_reason") or ""),
            usage=self._prices[model].priced(reply.usage) if model in self._prices else reply.usage, trace=trace,
        )  # fmt: skip

    def fail(self, key: str, reason: str) -> None:
        """The last call of an episode came to nothing."""
        book = self._books.get(key)
        if book is not None:
            book.failure = reason

    def failure(self, key: str) -> str:
        """Why an episode's last call came to nothing; empty when it was answered."""
        book = self._books.get(key)
        return book.failure if book else ""

    def take(self, key: str) -> tuple[ModelCall, ...]:
        """An episode's calls in the order of their requests; it is forgotten."""
        book = self._books.pop(key, _Book())
        return tuple(book.calls[number] for number in sorted(book.calls))


def _continued(book: _Book, digests: Sequence[bytes], tokens: Tokens | None) -> int:
    """How many of a request's messages an earlier call and its reply hold; 0: no call, or its tokens differ."""
    for count in range(len(digests) - 1, 0, -1):
        end = book.ends.get(digests[count])
        if end is not None:
            prompt = tokens.prompt if tokens else ()
            fits = _digest_of(prompt[: end.tokens]) == end.digest if prompt and end.tokens else not prompt
            return count if fits else 0
    return 0


def _digests(start: Any, messages: Sequence[Message]) -> list[bytes]:
    """A digest of `start` and the first n messages, for each n from 0."""
    digests = [hashlib.sha256(json.dumps(start).encode()).digest()]
    for message in messages:
        digests.append(_next(digests[-1], message))
    return digests


def _next(digest: bytes, message: Message) -> bytes:
    """By what a message says: clients add empty fields and write arguments anew when they send a history back."""
    given = message.get("tool_calls") or []
    calls = [_call(call) for call in (given if isinstance(given, list) else [given])]
    said = [message.get("role"), message.get("content") or "", calls, message.get("tool_call_id")]
    return hashlib.sha256(digest + json.dumps(said, sort_keys=True).encode()).digest()


def _call(call: Any) -> Any:
    try:
        function = call["function"]
        return [call.get("id"), function["name"], json.loads(function["arguments"])]
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return call


def _digest_of(ids: Sequence[int]) -> bytes:
    return hashlib.sha256(array("q", ids).tobytes()).digest()


def without(value: Any, secrets: Iterable[str]) -> Any:
    """`value`, JSON, with every secret in its texts replaced."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "[redacted]")
        return value
    if isinstance(value, Mapping):
        return {without(key, secrets): without(item, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without(item, secrets) for item in value]
    return value
