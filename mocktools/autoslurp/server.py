"""`serve`: one process that answers for all of Auto-SLURP's services, on all the original ports.

Here: sockets and the server that listens on them; requests are `application`'s. Every path is answered on
every port. A port that is taken, or a door beyond loopback without a token, raises `UsageError`, and nothing
is left open.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn

from mocktrial.mocktools.autoslurp.application import Application, Episodes
from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.mocktools.errors import UsageError

MAX_EPISODES = 64  # each at most about 1 MiB
_LOOPBACK = frozenset(["127.0.0.1", "::1", "localhost"])


def original_ports() -> tuple[int, ...]:
    """The 18 ports of the local services."""
    return tuple(service.port for service in catalog().services.values() if service.port)


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
                hint="end the process that holds it, or give one free port: mocktrial serve autoslurp --port 8900",
            ) from error
    return sockets


def application(
    host: str,
    *,
    token: str | None = None,
    control_token: str | None = None,
    max_episodes: int = MAX_EPISODES,
    allowed_hosts: Sequence[str] = (),
) -> Application:
    """The application for a server on `host`. Raises `UsageError` for a door beyond loopback without token."""
    if host not in _LOOPBACK and not token:
        raise UsageError(
            f"host {host} can be reached from elsewhere, and there is no token",
            hint="add --token SECRET, or leave out --host",
        )
    if max_episodes < 2:
        raise UsageError("at least 2 episodes must be allowed", hint="raise max_episodes")
    hosts = frozenset(allowed_hosts) | (frozenset() if host in ("0.0.0.0", "::") else _LOOPBACK | {host})
    return Application(Episodes(autoslurp_image(), max_episodes), hosts, token, control_token)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, app: Application, on_ready: Callable[[], None]) -> None:
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


def serve(
    host: str = "127.0.0.1",
    port: int | None = None,
    *,
    token: str | None = None,
    control_token: str | None = None,
    max_episodes: int = MAX_EPISODES,
    allowed_hosts: Sequence[str] = (),
) -> None:
    """Answer until interrupted: on the original ports, or all on `port`. Prints one line when ready."""
    app = application(
        host, token=token, control_token=control_token, max_episodes=max_episodes, allowed_hosts=allowed_hosts
    )
    sockets = bind(host, original_ports() if port is None else (port,))
    try:
        opened = [door.getsockname()[1] for door in sockets]
        place = f"port {opened[0]}" if len(opened) == 1 else f"ports {opened[0]} to {opened[-1]}"
        _Server(app, lambda: print(f"autoslurp ready on {host}, {place}", flush=True)).run(sockets)
    finally:
        for door in sockets:
            door.close()


@contextmanager
def running(host: str = "127.0.0.1", ports: Sequence[int] = (0,), **options: Any) -> Iterator[tuple[int, ...]]:
    """A server in a thread of this process, for tests: gives the ports it listens on. Options as `serve`."""
    app, ready = application(host, **options), threading.Event()
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
