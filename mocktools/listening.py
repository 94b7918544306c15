"""Sockets and the server that listens on them, for every door over HTTP.

What is answered is the ASGI application's. SIGTERM ends a server in order: no more connections, the requests under
way are answered, and what is still open is said. A port that is taken raises `UsageError` and nothing is left open;
without uvicorn this module raises `MissingExtra`.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mocktrial.mocktools.errors import MissingExtra, UsageError
from mocktrial.mocktools.gate import ASGI
from mocktrial.mocktools.observing.measured import Measured

try:
    import uvicorn
except ModuleNotFoundError as error:
    raise MissingExtra("the package uvicorn is not installed", hint="pip install 'mocktrial[serve]'") from error

DRAIN_SECONDS = 25  # that requests under way may take when the server ends
_log = logging.getLogger(__name__)


def bind(host: str, ports: Sequence[int]) -> list[socket.socket]:
    """Listening sockets on all of `ports` (0: any free one) or, with `UsageError`, on none."""
    sockets: list[socket.socket] = []
    for port in ports:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        door = socket.socket(family, socket.SOCK_STREAM)
        sockets.append(door)
        try:
            if os.name == "posix":  # elsewhere this option lets two processes share a port
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind((host, port))
            door.listen(1024)
        except (OSError, OverflowError) as error:
            for each in sockets:
                each.close()
            taken = getattr(error, "errno", None) == errno.EADDRINUSE
            raise UsageError(
                f"port {port} on {host} cannot be opened: {getattr(error, 'strerror', None) or error}",
                hint=f"{'end the process that holds it, or ' if taken else ''}choose a free port with --port",
            ) from error
    return sockets


class _Server(uvicorn.Server):
    """Says when it is ready, and when it begins to end."""

    def __init__(self, app: ASGI, on_ready: Callable[[], None], on_end: Callable[[], None] = lambda: None) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        super().__init__(config)
        self._on_ready, self._on_end = on_ready, on_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_end()
        await super().shutdown(sockets)


def listen(app: Measured, host: str, ports: Sequence[int], name: str) -> None:
    """Answer on `ports` until interrupted or told to end. Prints a line with `name` when ready and when ending."""

    def say(line: str) -> None:
        print(f"{name} {line}", flush=True)
        _log.info("server", extra={"server": name, "state": line})

    sockets = bind(host, ports)
    try:
        opened = [door.getsockname()[1] for door in sockets]
        place = f"port {opened[0]}" if len(opened) == 1 else f"ports {opened[0]} to {opened[-1]}"
        server = _Server(
            app,
            lambda: say(f"ready on {host}, {place}"),
            lambda: say(f"is ending; requests under way: {app.under_way}, episodes open: {app.live()}"),
        )
        with _ended_by_sigterm():
            server.run(sockets)
    finally:
        for door in sockets:
            door.close()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """A server that was told to end has done what it should: exit code 0, and whoever opened a ledger closes it."""

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running(app: ASGI, host: str = "127.0.0.1", ports: Sequence[int] = (0,)) -> Iterator[tuple[int, ...]]:
    """A server in a thread of this process, for tests: gives the ports it listens on."""
    ready = threading.Event()
    sockets = bind(host, ports)
    try:
        server = _Server(app, ready.set)
        thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
        thread.start()
        ready.wait(10)
        try:
            yield tuple(door.getsockname()[1] for door in sockets)
        finally:
            server.should_exit = True
            thread.join(10)
    finally:
        for door in sockets:
            door.close()
