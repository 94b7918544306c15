"""A Ray cluster to work on: joined, or started on this machine, and left again. Ray is an extra.

Synthesis, runs and training do their work there. What is lost with a worker or its node is done again, `AGAIN` times
at most (training counts for itself); `unwrapped` is how a worker's error reaches the process that was started.
On Linux Ray listens on every interface, whatever it is told; it answers only to those who hold its token
(`~/.ray/auth_token`), and that is switched on here unless the environment says otherwise.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError

AGAIN = 3  # times that a piece of work is done again whose worker died under it
_PATIENCE = 10.0  # seconds to reach a cluster


class WorkerDied(NoResult):
    """What a worker was doing is lost; another one may do it."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at `address`; "local" starts one here for as long as it is used."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray reads it when imported
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray is not installed", hint="pip install 'mocktrial[cluster]'") from error
    cluster: Any = ray  # typed in part only
    try:
        _reach(address)
        cluster.init(address=address, include_dashboard=False, log_to_driver=False)
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(f"no Ray cluster at {address!r}: {error}", hint="--ray local starts one here") from error
    try:
        yield cluster
    finally:
        cluster.shutdown()


def _reach(address: str) -> None:
    """Raises `OSError` where nobody listens at HOST:PORT: Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


def deaths(ray: Any) -> tuple[type[Exception], ...]:
    """What Ray raises where a worker has died: by itself, for want of memory, with its machine and what it held."""
    errors = ray.exceptions
    return (
        errors.RayActorError, errors.OutOfMemoryError, errors.WorkerCrashedError, errors.NodeDiedError,
        errors.ObjectLostError,
    )  # fmt: skip


@contextmanager
def unwrapped(ray: Any) -> Iterator[None]:
    """What a worker raised is raised here as it was; `WorkerDied` where it died (as often as Ray was let try)."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except deaths(ray) as error:
        lines = str(error).splitlines()
        if getattr(error, "actor_init_failed", False):  # another one would fail in the same way
            raise NoResult(f"a worker could not be made: {lines[-1]}", blame="bug") from error
        raise WorkerDied(f"a worker died: {lines[0]}", blame="memory or the system") from error
