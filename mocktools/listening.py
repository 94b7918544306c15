"""Sockets and the server that listens on them, for every door over HTTP.

What is answered is the ASGI application's. A port that is taken raises `UsageError` and nothing is left open;
without uvicorn this module raises `MissingExtra`.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from mocktrial.mocktools.errors import MissingExtra, UsageError
from mocktrial.mocktools.gate import ASGI

try:
    import uvicorn
except ModuleNotFoundError as error:
    raise MissingExtra("the package uvicorn is not installed", hint="pip install 'mocktrial[serve]'") from error


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
            raise UsageError(
                f"port {port} on {host} cannot be opened: {getattr(error, 'strerror', None) or error}",
                hint="end the process that holds it, or choose a free port with --port",
            ) from error
    return sockets


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, app: ASGI, on_ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def listen(app: ASGI, host: str, ports: Sequence[int], name: str) -> None:
    """Answer on `ports` until interrupted. Prints one line with `name` when ready."""
    sockets = bind(host, ports)
    try:
        opened = [door.getsockname()[1] for door in sockets]
        place = f"port {opened[0]}" if len(opened) == 1 else f"ports {opened[0]} to {opened[-1]}"
        _Server(app, lambda: print(f"{name} ready on {host}, {place}", flush=True)).run(sockets)
    finally:
        for door in sockets:
            door.close()


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
