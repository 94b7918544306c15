"""`serve`: one process that answers for all of Auto-SLURP's services, on all the original ports.

Sockets are `listening`'s, requests `application`'s. Every path is answered on every port. A port that is
taken, or a door beyond loopback without a token, raises `UsageError`, and nothing is left open; without
uvicorn this module raises `MissingExtra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from mocktrial.mocktools import listening
from mocktrial.mocktools.autoslurp.application import Application, Episodes
from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.gate import Gate

MAX_EPISODES = 64  # each at most about 1 MiB


def original_ports() -> tuple[int, ...]:
    """The 18 ports of the local services."""
    return tuple(service.port for service in catalog().services.values() if service.port)


def application(
    host: str,
    *,
    token: str | None = None,
    control_token: str | None = None,
    max_episodes: int = MAX_EPISODES,
    allowed_hosts: Sequence[str] = (),
) -> Application:
    """The application for a server on `host`. Raises `UsageError` for a door beyond loopback without token."""
    gate = Gate.at(host, token, control_token, allowed_hosts)
    if max_episodes < 2:
        raise UsageError("at least 2 episodes must be allowed", hint="raise max_episodes")
    return Application(Episodes(autoslurp_image(), max_episodes), gate)


def serve(host: str = "127.0.0.1", port: int | None = None, **options: Any) -> None:
    """Answer until interrupted: on the original ports, or all on `port`. Options as `application`. Prints one
    line when ready."""
    ports = original_ports() if port is None else (port,)
    listening.listen(application(host, **options).measured(), host, ports, "autoslurp")


def running(
    host: str = "127.0.0.1", ports: Sequence[int] = (0,), **options: Any
) -> AbstractContextManager[tuple[int, ...]]:
    """A server in a thread of this process, for tests: gives the ports it listens on. Options as `application`."""
    return listening.running(application(host, **options), host, ports)
