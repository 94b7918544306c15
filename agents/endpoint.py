"""`EndpointClient`: requests to an OpenAI-compatible endpoint, for every role and for the gateway.

All that speaks to one address in one event loop shares its slots (`slots`) and its circuit breaker (`circuit`);
retries live in `retry` alone. What fails for good raises `NoResult(blame="endpoint")` with a class of
`envs.failures` and one line that says what and where; the key never stands in it. Wrong settings raise
`UsageError`. What a reply says is read by `replies`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from mocktrial.agents.address import PUBLIC_URL, read_key, shown
from mocktrial.agents.circuit import Circuit
from mocktrial.agents.current import current_episode
from mocktrial.agents.replies import BadReply, Reply, read_reply, said_by
from mocktrial.agents.retry import Retry, TryAgain, call_with_retries, retry_after
from mocktrial.agents.slots import Slots, Turn
from mocktrial.envs.failures import Failure
from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError

try:
    import httpx2
    import openai
except ModuleNotFoundError as error:
    raise MissingExtra(
        "openai, version 3 or newer, is not installed", hint="pip install 'mocktrial[agents]'"
    ) from error

T = TypeVar("T")
Headers = Mapping[str, str]
EPISODE = "{episode}"  # in an address: the key of the episode that is being played
_TOO_LONG = (b"context_length_exceeded", b"exceed_context_size", b"maximum context length")  # as servers say it
_NO_KEY = "none"  # the library wants some key, a server without keys ignores it


class Refused(NoResult):
    """The endpoint will not answer this request, now or later. `status`: of its reply, a 4xx other than 429."""

    def __init__(self, message: str, status: int, body: bytes) -> None:
        hint = "check the model's name, the key and the request's fields"
        super().__init__(message, blame="endpoint", kind=Failure.REFUSED, hint=hint)
        self.status, self.body = status, body

    @property
    def too_long(self) -> bool:
        """Whether the conversation does not fit into the model: that is no fault of the endpoint."""
        return self.status == 400 and any(sign in self.body for sign in _TOO_LONG)


@dataclass
class _Shared:
    """What all clients of one address have in common."""

    slots: Slots
    circuit: Circuit = field(default_factory=Circuit)


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


class EndpointClient:
    """timeout: seconds for one attempt, until the last byte. concurrency: requests under way at most."""

    def __init__(
        self, base_url: str | None, *, api_key_env: str = "OPENAI_API_KEY", timeout: float = 120.0,
        concurrency: int = 16, retry: Retry | None = None,
    ) -> None:  # fmt: skip
        self.base_url = base_url or os.environ.get("OPENAI_BASE_URL") or PUBLIC_URL
        self.timeout, self.concurrency, self.retry = timeout, concurrency, retry or Retry()
        self.where = shown(self.base_url)
        self._key = read_key(api_key_env, self.base_url)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, openai.AsyncOpenAI] = WeakKeyDictionary()

    @property
    def secret(self) -> str:
        """The key, for what must not hold it; empty where there is none."""
        return self._key.get_secret_value()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def ask(self, request: Mapping[str, Any], headers: Headers | None = None) -> Reply:
        """The reply to the body `request`, tried again where that may help. Raises `NoResult`."""

        async def once() -> Reply:
            # As extra_body the request goes out as it is; the library would walk all of it for nothing.
            raw = await self._client().chat.completions.with_raw_response.create(
                model="", messages=(), extra_body=request, extra_headers=headers
            )
            return read_reply(raw.http_response.content)

        shared = self._shared()
        async with Turn(shared.slots) as turn:
            return await self._persist(once, shared, turn)

    async def models(self, headers: Headers | None = None) -> bytes:
        """The endpoint's list of models, as it gives it. Raises `NoResult`."""

        async def once() -> bytes:
            got = await self._client().get("/models", cast_to=httpx2.Response, options={"headers": dict(headers or {})})
            return got.content

        shared = self._shared()
        async with Turn(shared.slots) as turn:
            return await self._persist(once, shared, turn)

    @asynccontextmanager
    async def stream(
        self, request: Mapping[str, Any], headers: Headers | None = None
    ) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
        """Content type and bytes of a streamed reply, as they come. Only its opening is tried again.

        Raises `NoResult`; a stream that breaks off raises it where it is read.
        """

        async def once() -> tuple[str, AsyncIterator[bytes]]:
            opened = self._client().chat.completions.with_streaming_response.create(
                model="", messages=(), extra_body=request, extra_headers=headers
            )
            response = await stack.enter_async_context(opened)
            return response.headers.get("content-type", ""), self._chunks(response.iter_bytes(), shared, turn)

        shared = self._shared()
        async with Turn(shared.slots) as turn, AsyncExitStack() as stack:
            yield await self._persist(once, shared, turn, keep=True)

    async def _persist(self, once: Callable[[], Awaitable[T]], shared: _Shared, turn: Turn, *, keep: bool = False) -> T:
        """`once` as often as the retry layer says. The turn is given back after each try, unless to `keep`."""
        clock = asyncio.get_running_loop().time

        async def attempt() -> T:
            try:
                shared.circuit.check(clock())
                got = await self._watched(once(), shared, turn, clock() + self.timeout)
            except BaseException:
                turn.give()
                raise
            shared.circuit.answered()
            shared.slots.answered()
            if not keep:
                turn.give()
            return got

        return await call_with_retries(attempt, self.retry, self.where, turn.take)

    async def _chunks(self, chunks: AsyncIterator[bytes], shared: _Shared, turn: Turn) -> AsyncIterator[bytes]:
        end = asyncio.get_running_loop().time() + self.timeout
        while True:
            try:
                yield await self._watched(anext(chunks), shared, turn, end)
            except StopAsyncIteration:
                return

    async def _watched(self, answer: Awaitable[T], shared: _Shared, turn: Turn, end: float) -> T:
        """`answer`, its failure classified and counted for all who share the endpoint."""
        try:
            return await self._classified(answer, end)
        except TryAgain as error:
            if error.kind == Failure.RATE_LIMIT:
                shared.circuit.answered()
                shared.slots.throttled(turn)
            else:
                shared.circuit.failed(error, asyncio.get_running_loop().time())
            raise
        except Refused:
            shared.circuit.answered()
            raise

    async def _classified(self, answer: Awaitable[T], end: float) -> T:
        try:
            async with asyncio.timeout_at(end):
                return await answer
        except TimeoutError:
            raise TryAgain(self._line(f"no answer within {self.timeout:g} s"), Failure.TIMEOUT) from None
        except BadReply as error:
            raise TryAgain(self._line(str(error)), Failure.BAD_BODY) from None
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except (openai.APIConnectionError, httpx2.TransportError) as error:
            cause = (error.__cause__ or error) if isinstance(error, openai.APIConnectionError) else error
            raise TryAgain(self._line(f"connection failed: {cause}"), _kind_of(cause)) from None

    def _refused(self, error: openai.APIStatusError) -> NoResult:
        line = self._line(f"HTTP {error.status_code}: {said_by(error.body) or error.message}")
        kind = error.code or ""
        if error.response.headers.get("x-should-retry") == "false" and kind in Failure.__members__:
            return NoResult(line, blame="endpoint", kind=kind)  # our gateway, which has tried again itself
        if error.status_code == 429:
            return TryAgain(line, Failure.RATE_LIMIT, after=retry_after(error.response.headers))
        if error.status_code >= 500:
            return TryAgain(line, Failure.SERVER_ERROR, after=retry_after(error.response.headers))
        return Refused(line, error.status_code, error.response.content)

    def _shared(self) -> _Shared:
        """Kept by event loop, since nothing else is common to the roles of a run; it ends with the loop."""
        of_loop = _SHARED.setdefault(asyncio.get_running_loop(), {})
        shared = of_loop.setdefault(self.base_url, _Shared(Slots(self.concurrency)))
        shared.slots.raise_ceiling(self.concurrency)
        return shared

    def _client(self) -> openai.AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = openai.AsyncOpenAI(
                api_key=self._key.get_secret_value() or _NO_KEY,
                base_url=self.base_url,
                max_retries=0,  # the layer in `retry` is the only one
                timeout=None,  # _classified keeps the time
            )
        if EPISODE not in self.base_url:
            return self._clients[loop]
        if not current_episode():
            raise UsageError(f"{self.where} names an episode, and none is played", hint="leave /e/{episode} out")
        return self._clients[loop].with_options(base_url=self.base_url.replace(EPISODE, current_episode()))

    def _line(self, what: str) -> str:
        """`what` on one short line behind the address, without the key."""
        key = self._key.get_secret_value()
        text = " ".join(f"{self.where}: {what}".split())
        return (text.replace(key, "[redacted]") if key else text)[:300]


def _kind_of(error: BaseException) -> Failure:
    """Of a connection that failed. h11 says of a body that ended early that it is not complete."""
    if isinstance(error, httpx2.ConnectError):
        return Failure.CONNECT
    broke_off = isinstance(error, httpx2.RemoteProtocolError) and "complete" in str(error)
    return Failure.CUT if broke_off else Failure.RESET
