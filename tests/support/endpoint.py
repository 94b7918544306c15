"""A small OpenAI-compatible endpoint on loopback that answers, or fails, as a test tells it.

    async with Endpoint(lambda request: say("hello")) as endpoint:
        OpenAIModel("m", endpoint.url)

One plain asyncio server: faults such as a reset or a cut body are below what a web framework lets one do.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

Fault = Literal["", "reset", "close", "hang", "drip", "cut"]


@dataclass(frozen=True)
class Request:
    at: float  # time.monotonic() of its last byte
    headers: Mapping[str, str]  # names in lower case
    raw: bytes
    path: str = ""

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed


@dataclass(frozen=True)
class Raw:
    """A reply, byte for byte, or a fault in its place."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault = ""
    delay: float = 0.0  # seconds before the first byte


def message(fields: Mapping[str, Any], **usage: int) -> Raw:
    """A completion whose message is `fields`."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **fields}}
    body = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return Raw(json.dumps(body | {"usage": usage}).encode())


def say(text: str) -> Raw:
    return message({"content": text}, prompt_tokens=7, completion_tokens=3)


def stream(*deltas: Mapping[str, Any], done: bool = True, **usage: int) -> Raw:
    """A streamed completion, a chunk a delta; without `done` it ends before its end."""
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    if done:
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
    return events(*chunks, done=done)


def events(*chunks: Any, done: bool = True) -> Raw:
    """Server-sent events, as they are given."""
    lines = [*(json.dumps(chunk) for chunk in chunks), *(["[DONE]"] if done else [])]
    body = "".join(f"data: {line}\n\n" for line in lines).encode()
    return Raw(body, headers={"content-type": "text/event-stream"})


def refuse(status: int, text: str = "no", **headers: str) -> Raw:
    """An error reply; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Raw(json.dumps({"error": {"message": text}}).encode(), status, named)


class Endpoint:
    """Records each request; `answer` makes the reply to it. A list is answered from in order, its last for good."""

    def __init__(self, answer: Callable[[Request], Raw] | Sequence[Raw]) -> None:
        self.requests: list[Request] = []
        self.peak = 0  # most requests under way at once
        self._under_way = 0
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is done with."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(time.monotonic(), headers, raw, head[0].split(" ")[1])
        self.requests.append(request)
        if callable(self._answer):
            reply = self._answer(request)
        else:
            reply = self._answer[min(len(self.requests), len(self._answer)) - 1]
        self._under_way += 1
        self.peak = max(self.peak, self._under_way)
        try:
            await asyncio.sleep(reply.delay)
            return await self._send(writer, reply)
        finally:
            self._under_way -= 1

    async def _send(self, writer: asyncio.StreamWriter, reply: Raw) -> bool:
        if reply.fault == "hang":
            await asyncio.sleep(3600)
        if reply.fault == "reset":
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if reply.fault in ("reset", "close"):
            return False
        named = {"content-type": "application/json", **reply.headers}
        head = f"HTTP/1.1 {reply.status} -\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items())
        writer.write(f"{head}content-length: {len(reply.body)}\r\n\r\n".encode())
        if reply.fault == "drip":
            for byte in reply.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.write(reply.body[: len(reply.body) // 2] if reply.fault == "cut" else reply.body)
        await writer.drain()
        return reply.fault != "cut"
