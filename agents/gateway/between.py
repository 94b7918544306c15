"""A gateway between the agents of a run and their endpoint, in a thread of the same process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mocktrial.agents.current import Recorded
from mocktrial.agents.endpoint import EPISODE, EndpointClient
from mocktrial.agents.gateway.app import running
from mocktrial.agents.gateway.proxy import Proxy
from mocktrial.agents.gateway.recorder import Recorder
from mocktrial.agents.prices import Price
from mocktrial.agents.retry import Retry

TIMEOUT = 900.0  # seconds an agent waits for the gateway, which tries upstream again for less than that


@contextmanager
def between(
    upstream: str | None, *, prices: Mapping[str, Price] | None = None, concurrency: int = 16,
    ask_tokens: bool = False, retry: Retry | None = None, timeout: float = 120.0,
) -> Iterator[tuple[str, Recorded]]:  # fmt: skip
    """The address that agents are given, with a place for their episode's key, and what hands out the calls."""
    recorder = Recorder(prices)
    client = EndpointClient(upstream, concurrency=concurrency, retry=retry, timeout=timeout)
    with running(Proxy(client, recorder, ask_tokens=ask_tokens)) as (port,):
        yield f"http://127.0.0.1:{port}/e/{EPISODE}/v1", recorder.take
