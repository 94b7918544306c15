"""`OpenAIModel`: any endpoint that speaks OpenAI's chat completions, as a `ChatModel`.

The message of a completion is what the model wrote, argument text included; nothing is mended. It is read
from the reply's JSON and not from the client library's classes, so that nothing is added or dropped on the
way. Retries live in `retry` alone. What fails for good raises `NoResult(blame="endpoint")` with one line
that says what and where; the key never stands in it. Wrong settings raise `UsageError`. A conversation
too long for the model is no fault: the reply is the empty message that `loop` ends the episode on.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from pydantic import SecretStr

from mocktrial.agents.retry import Retry, TryAgain, call_with_retries, retry_after
from mocktrial.envs.chat import CONTEXT_LIMIT, Completion, Message, ToolSchema, Usage, assistant
from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError

try:
    import openai
except ModuleNotFoundError as error:
    raise MissingExtra("the package openai is not installed", hint="pip install 'mocktrial[agents]'") from error

PUBLIC_URL = "https://api.openai.com/v1"
_KEPT = ("refusal", "tool_calls")  # beside the content, what a request may carry back as history
_TOO_LONG = ("context_length_exceeded", "exceed_context_size", "maximum context length")  # as servers say it
_SEEDS = 2**31  # servers differ in the seeds they take; all take these
_NO_KEY = "none"  # the library wants some key, a server without keys ignores it


class Refused(NoResult):
    """The endpoint will not answer this request, now or later. `status`: of its reply, a 4xx other than 429."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, blame="endpoint", hint="check the model's name, the key and the request's fields")
        self.status = status


@dataclass(frozen=True)
class _Connection:
    """What belongs to one event loop."""

    client: openai.AsyncOpenAI
    slots: asyncio.Semaphore


class OpenAIModel:
    """A model behind `base_url` (default: OPENAI_BASE_URL, else OpenAI's own endpoint).

    timeout: seconds for one attempt, until the last byte. concurrency: calls under way at once; a call
    that waits to be tried again keeps its place, so a throttled endpoint is not crowded further.
    sampling: further fields of the request, such as temperature or max_tokens, sent as given.
    """

    def __init__(
        self, model: str, base_url: str | None = None, *, api_key_env: str = "OPENAI_API_KEY",
        timeout: float = 120.0, concurrency: int = 16, retry: Retry | None = None, **sampling: Any,
    ) -> None:  # fmt: skip
        if not model:
            raise UsageError("the model has no name", hint="write openai:MODEL")
        self.model, self.timeout, self.concurrency, self.sampling = model, timeout, concurrency, sampling
        self.retry = retry or Retry()
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or PUBLIC_URL
        self._where = _shown(self.base_url)
        self._key = _read_key(api_key_env, self.base_url)
        self._connections: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connection] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        return f"openai:{self.model}"

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> OpenAIChat:
        return OpenAIChat(self, tools, seed % _SEEDS)

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.client.close()

    async def complete(self, request: Mapping[str, Any]) -> Completion:
        """One completion for the body `request`, tried again where that may help. Raises `NoResult`."""
        connection = self._connection()
        async with connection.slots:
            return await call_with_retries(lambda: self._attempt(connection.client, request), self.retry, self._where)

    def _connection(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if loop not in self._connections:
            client = openai.AsyncOpenAI(
                api_key=self._key.get_secret_value() or _NO_KEY,
                base_url=self.base_url,
                max_retries=0,  # the layer in `retry` is the only one
                timeout=None,  # _attempt keeps the time
            )
            self._connections[loop] = _Connection(client, asyncio.Semaphore(self.concurrency))
        return self._connections[loop]

    async def _attempt(self, client: openai.AsyncOpenAI, request: Mapping[str, Any]) -> Completion:
        try:
            async with asyncio.timeout(self.timeout):
                # As extra_body the request goes out as it is; the library would walk all of it for nothing.
                raw = await client.chat.completions.with_raw_response.create(
                    model=self.model, messages=(), extra_body=request
                )
        except TimeoutError:
            raise TryAgain(self._line(f"no answer within {self.timeout:g} s")) from None
        except openai.APIStatusError as error:
            if error.status_code == 400 and any(sign in str(error.body) for sign in _TOO_LONG):
                return Completion(message=assistant("") | {"refusal": CONTEXT_LIMIT})
            raise self._refused(error) from None
        except openai.APIConnectionError as error:
            raise TryAgain(self._line(f"connection failed: {error.__cause__ or error}")) from None
        return self._read(raw.http_response.content)

    def _refused(self, error: openai.APIStatusError) -> NoResult:
        line = self._line(f"HTTP {error.status_code}: {_reason(error.body) or error.message}")
        if error.status_code == 429 or error.status_code >= 500:
            return TryAgain(line, after=retry_after(error.response.headers))
        return Refused(line, error.status_code)

    def _read(self, content: bytes) -> Completion:
        """The completion in a reply of status 200; a reply that holds none may be better next time."""
        try:
            body = json.loads(content)
            message = body["choices"][0]["message"]
            kept = {"role": "assistant", "content": message.get("content")}
            kept |= {key: message[key] for key in _KEPT if message.get(key)}
            json.dumps(kept, ensure_ascii=False).encode()  # a lone surrogate could be neither kept nor sent
        except (ValueError, RecursionError):
            raise TryAgain(self._line(f"the reply is not JSON text: {content[:1000]!r}")) from None
        except (LookupError, TypeError, AttributeError):
            reason = _reason(body) or f"{content[:1000]!r}"
            raise TryAgain(self._line(f"the reply holds no message: {reason}")) from None
        return Completion(message=kept, usage=_usage(body))

    def _line(self, what: str) -> str:
        """`what` on one short line behind the address, without the key."""
        key = self._key.get_secret_value()
        text = " ".join(f"{self._where}: {what}".split())
        return (text.replace(key, "[redacted]") if key else text)[:300]


class OpenAIChat:
    """One conversation: a list of messages that only grows."""

    def __init__(self, model: OpenAIModel, tools: Sequence[ToolSchema], seed: int) -> None:
        self._model = model
        self._messages: list[Message] = []
        self._request: dict[str, Any] = {"model": model.model, "seed": seed, **model.sampling}
        if tools:
            self._request["tools"] = list(tools)

    async def send(self, messages: Sequence[Message]) -> Completion:
        self._messages.extend(messages)
        completion = await self._model.complete({**self._request, "messages": self._messages})
        self._messages.append(completion.message)
        return completion


def _read_key(variable: str, base_url: str) -> SecretStr:
    """The key from the environment; empty where the endpoint is not the public one and none is set."""
    key = os.environ.get(variable, "").strip()
    if not key and urlsplit(base_url).hostname == urlsplit(PUBLIC_URL).hostname:
        raise UsageError(
            f"{_shown(base_url)} needs a key, and {variable} is not set",
            hint=f"export {variable}=..., or name another endpoint with --base-url",
        )
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"{variable} holds characters that no key has", hint=f"set {variable} again")
    return SecretStr(key)


def _shown(url: str) -> str:
    """The address as messages show it: without user and password."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that are none
        valid = False
    if not valid:
        raise UsageError(f"{url!r} is no address of an endpoint", hint="write http://HOST:PORT/v1")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl().rstrip("/")


def _reason(body: object) -> str:
    """What an error body says for itself, in the forms that servers use."""
    if isinstance(body, Mapping):
        return _reason(body.get("error") or body.get("message") or body.get("detail"))
    return body if isinstance(body, str) else ""


def _usage(body: Mapping[str, Any]) -> Usage:
    given = body.get("usage")
    counts = given if isinstance(given, Mapping) else {}
    return Usage(
        **{name: count for name in Usage.model_fields if isinstance(count := counts.get(name), int) and count >= 0}
    )
