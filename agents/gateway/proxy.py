"""Passing chat completions on to the upstream endpoint and having them recorded.

The upstream's reply goes back byte for byte, streamed ones as they come. Retries are `endpoint`'s: a failure
that is final is told with `x-should-retry: false`, which OpenAI's clients obey. The agent's own credentials are
passed on where the gateway asks for none itself; they are never recorded.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mocktrial.agents.endpoint import EndpointClient, Refused
from mocktrial.agents.gateway.recorder import Recorder, without
from mocktrial.agents.gateway.sse import Stream
from mocktrial.agents.gateway.tokens import ASK
from mocktrial.agents.replies import BadReply, read_reply
from mocktrial.envs.failures import Failure
from mocktrial.mocktools.errors import NoResult

_CREDENTIALS = ("authorization", "api-key", "x-api-key")
_SHORTEST = 8  # characters of a secret: "none" and "EMPTY", as clients send where no key is needed, are no secrets
_MOST = 256  # secrets that are remembered
_FINAL = {"x-should-retry": "false"}


class Proxy:
    """own_key: the agents' credentials are for the gateway; upstream gets the gateway's key.

    ask_tokens: also ask for token ids and log-probabilities, as llama.cpp and vLLM give them.
    """

    def __init__(
        self, client: EndpointClient, recorder: Recorder, *, own_key: bool = False, ask_tokens: bool = False
    ) -> None:
        self.client, self.recorder = client, recorder
        self._own_key, self._ask_tokens = own_key, ask_tokens
        self._known: OrderedDict[str, None] = OrderedDict()  # secrets, the latest last

    async def models(self, headers: Mapping[str, str]) -> Response:
        try:
            return Response(await self.client.models(self.passed_on(headers)), media_type="application/json")
        except NoResult as error:
            return _failed(error, self.secrets(headers))

    async def complete(self, key: str, request: dict[str, Any], headers: Mapping[str, str]) -> Response:
        """Answer `request` as a call of the episode `key`."""
        sent = self._with_tokens(request)
        if request.get("stream"):
            return _Streamed(self, key, request, sent, headers)
        number, secrets = self.recorder.begin(key), self.secrets(headers)
        try:
            reply = await self.client.ask(sent, self.passed_on(headers))
        except NoResult as error:
            self.note(key, error, secrets)
            return _failed(error, secrets)
        self.recorder.add(key, number, request, reply, secrets)
        return Response(reply.content, media_type="application/json")

    def note(self, key: str, error: NoResult, secrets: tuple[str, ...]) -> None:
        """A call failed for good; a conversation that is too long is the agent's own affair."""
        if not (isinstance(error, Refused) and error.too_long):
            self.recorder.fail(key, str(without(error.reason, secrets)))

    def _with_tokens(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._ask_tokens:
            return request
        usage = {"stream_options": {"include_usage": True}} if request.get("stream") else {}
        return {**ASK, **usage, **request}

    def passed_on(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The credentials in a request's headers, as upstream gets them."""
        if self._own_key:
            return {}
        return {name.title(): headers[name] for name in _CREDENTIALS if name in headers}

    def secrets(self, headers: Mapping[str, str]) -> tuple[str, ...]:
        """Whatever in this request or an earlier one might be one, and the gateway's own. Longest first."""
        given = [headers[name] for name in (*_CREDENTIALS, "cookie") if name in headers]
        for value in (self.client.secret, *given, *(value.rpartition(" ")[2] for value in given)):
            if len(value) >= _SHORTEST:
                self._known[value] = None
                self._known.move_to_end(value)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return tuple(sorted(self._known, key=len, reverse=True))


class _Streamed(Response):
    """A reply that is passed on while it comes. What is opened here is closed here, whoever goes away."""

    def __init__(
        self, proxy: Proxy, key: str, request: dict[str, Any], sent: dict[str, Any], headers: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._proxy, self._key, self._request, self._sent, self._sender = proxy, key, request, sent, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        proxy, secrets = self._proxy, self._proxy.secrets(self._sender)
        number, started = proxy.recorder.begin(self._key), False
        try:
            async with proxy.client.stream(self._sent, proxy.passed_on(self._sender)) as (kind, chunks):
                head = [(b"content-type", kind.encode("latin-1"))]
                await send({"type": "http.response.start", "status": 200, "headers": head})
                started = True
                async for chunk in self._recorded(number, kind, chunks, secrets):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except NoResult as error:
            proxy.note(self._key, error, secrets)
            if not started:
                await _failed(error, secrets)(scope, receive, send)
                return
            event = b"\n\ndata: " + json.dumps(_said(error, secrets)).encode() + b"\n\n"
            await send({"type": "http.response.body", "body": event})

    async def _recorded(
        self, number: int, kind: str, chunks: AsyncIterator[bytes], secrets: tuple[str, ...]
    ) -> AsyncIterator[bytes]:
        """Whole lines of the stream; the call is in the record before the agent sees the last of them."""
        stream, whole, rest, kept = Stream(), b"", b"", False
        events = kind.startswith("text/event-stream")
        async for chunk in chunks:
            stream.feed(chunk)
            whole += b"" if events else chunk
            if stream.done and not kept:
                self._keep(number, json.dumps(stream.body).encode(), secrets)
                kept = True
            lines, end, rest = (rest + chunk).rpartition(b"\n")
            if end:
                yield lines + end
        if not kept:
            self._keep(number, json.dumps(stream.body).encode() if events else whole, secrets)
        if rest:
            yield rest

    def _keep(self, number: int, content: bytes, secrets: tuple[str, ...]) -> None:
        where = self._proxy.client.where
        try:
            reply = read_reply(content)
        except BadReply as error:
            raise NoResult(f"{where}: {error}", blame="endpoint", kind=Failure.BAD_BODY) from None
        if not reply.body["choices"][0].get("finish_reason"):
            raise NoResult(f"{where}: the stream ended early", blame="endpoint", kind=Failure.CUT)
        self._proxy.recorder.add(self._key, number, self._request, reply, secrets)


def _failed(error: NoResult, secrets: tuple[str, ...]) -> Response:
    """An answer in the form of OpenAI's errors; a refusal is passed on as it came."""
    if isinstance(error, Refused):
        return Response(error.body, error.status, _FINAL, media_type="application/json")
    status = 504 if error.kind == Failure.TIMEOUT else 502
    return Response(json.dumps(_said(error, secrets)), status, _FINAL, media_type="application/json")


def _said(error: NoResult, secrets: tuple[str, ...]) -> dict[str, Any]:
    return {"error": {"message": without(str(error), secrets), "type": "no_result", "code": error.kind}}
