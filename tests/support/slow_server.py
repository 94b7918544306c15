"""A server that takes a second to answer: python -m tests.support.slow_server PORT."""

from __future__ import annotations

import asyncio
import sys

from mocktrial.mocktools.gate import Gate, Receive, Scope, Send
from mocktrial.mocktools.listening import listen
from mocktrial.mocktools.observing.logs import log_json
from mocktrial.mocktools.observing.measured import Measured


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    print("asked", flush=True)
    await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in the end"})


if __name__ == "__main__":
    log_json(secrets=["the-planted-secret"])
    listen(
        Measured(answer, Gate.at("127.0.0.1"), lambda: 3), "127.0.0.1", [int(sys.argv[1])], "slow the-planted-secret"
    )
