"""`Measured`: a server's application with its figures at `GET /metrics`, for Prometheus, and a line of log a request.

Requests are counted by the template of their route, never by path: an episode's key stands there, and it is a secret.
`/metrics` asks for what the agents' plane asks for, Host and token. Without prometheus-client this module raises
`MissingExtra`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from mocktrial.mocktools.errors import MissingExtra
from mocktrial.mocktools.gate import ASGI, Gate, Receive, Refusal, Scope, Send

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
    from prometheus_client.exposition import choose_encoder
except ModuleNotFoundError as error:
    raise MissingExtra(
        "the package prometheus-client is not installed", hint="pip install 'mocktrial[serve]'"
    ) from error

TEMPLATE = "template"  # of the route, where an application that is no FastAPI leaves it in the scope
_METHODS = frozenset(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
_NO_RESULT = 502  # how every door here says it
_log = logging.getLogger(__name__)


class Measured:
    """The ASGI application `app` behind `gate`. live: how many episodes are open."""

    def __init__(self, app: ASGI, gate: Gate, live: Callable[[], int] = lambda: 0) -> None:
        self._app, self._gate, self.live = app, gate, live
        self.under_way = 0  # requests
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "mocktrial_http_requests", "Answered requests.", ["route", "method", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "mocktrial_http_request_seconds", "Until the last byte.", ["route"], buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._faults = Counter(
            "mocktrial_faults", "Ours (bug), a world's, user's or endpoint's (no_result), other 5xx (server).",
            ["kind"], registry=self._registry,
        )  # fmt: skip
        for kind in ("bug", "no_result", "server"):
            self._faults.labels(kind)
        Gauge("mocktrial_episodes_live", "Open episodes.", registry=self._registry).set_function(live)
        Gauge("mocktrial_http_requests_under_way", "Not answered yet.", registry=self._registry).set_function(
            lambda: self.under_way
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"] == "/metrics" and scope["method"] == "GET":
            return await self._show(scope, send)
        status, kind, start = 500, "", time.perf_counter()

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.under_way += 1
        try:
            await self._app(scope, receive, sent)
        except Exception:
            kind = "bug"
            raise
        finally:
            self.under_way -= 1
            if not kind and status >= 500:
                kind = "no_result" if status == _NO_RESULT else "server"
            self._count(scope, status, kind, time.perf_counter() - start)

    def _count(self, scope: Scope, status: int, kind: str, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or scope.get(TEMPLATE) or "none"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        series = self._series.get((route, method, status))
        if series is None:  # kept, since to find them by label takes longer than to count
            counted = self._requests.labels(route, method, str(status))
            series = self._series[(route, method, status)] = (counted, self._seconds.labels(route))
        series[0].inc()
        series[1].observe(seconds)
        if kind:
            self._faults.labels(kind).inc()
        if _log.isEnabledFor(logging.INFO):
            extra = {"route": route, "method": method, "status": status, "ms": round(1000 * seconds, 3)}
            _log.info("request", extra=extra | ({"fault": kind} if kind else {}))

    async def _show(self, scope: Scope, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            self._gate.check_sender(headers)
            self._gate.check_agent(headers)
        except Refusal as refusal:
            return await _answer(send, refusal.status, str(refusal).encode(), "text/plain")
        encode, kind = choose_encoder(headers.get(b"accept", b"").decode("latin-1"))
        await _answer(send, 200, encode(self._registry), kind)


async def _answer(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
