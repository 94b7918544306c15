"""Who may write to a run: one process at a time, its player, and only while it holds the run's lock.

In SQLite the lock is an flock on `PLACE.RUN.lock`, and all who write to a file take turns by one on `PLACE.lock`: where
each transaction waits long for the disk, SQLite's own waiting lets some starve until they give up. In PostgreSQL it is
an advisory lock of the one connection that also writes, so that a player who has lost it can commit nothing. Either
falls when its process dies, however it dies. A server that goes away is waited for: connection and lock are taken
again, and the transaction is tried again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from mocktrial.envs.database import is_url, plainly
from mocktrial.envs.places import address
from mocktrial.envs.retrying import retry_context
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import check_file_name

T = TypeVar("T")
Work = Callable[[Connection, bool], T]  # one transaction; True: an earlier try may have been committed all the same
PATIENCE = 30.0  # seconds that a server which went away is waited for

_LOCK_WAIT = "1s"  # a server takes a moment to see that a killed player is dead
_TAKEN = "55P03"  # SQLSTATE lock_not_available
_PASSING = ("08", "40", "57P")  # SQLSTATE: connection lost, deadlock, the server goes down or comes up


class Lock(Protocol):
    """Held from when it is made; whoever cannot have it gets a `UsageError`."""

    def transact(self, work: Work[T]) -> T:
        """All of `work` or nothing of it, committed when this returns."""

    def turn(self) -> AbstractContextManager[None]:
        """For writing by another way than `transact`: waits until nobody else who could be waited for is writing."""

    def release(self) -> None: ...


def take_lock(place: Path | str, engine: Engine, run: str, patience: float = PATIENCE) -> Lock:
    """The lock of `run`. Raises `UsageError` when another process plays it."""
    return ServerLock(place, engine, run, patience) if is_url(place) else FileLock(place, engine, run)


class FileLock:
    def __init__(self, place: Path | str, engine: Engine, run: str) -> None:
        self._engine = engine
        names = (f"{place}.{check_file_name(run)}.lock", f"{place}.lock")
        with plainly(place):
            self._files = [os.open(name, os.O_RDWR | os.O_CREAT, 0o644) for name in names]
        try:
            fcntl.flock(self._files[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Of two players who make a new file a WAL one at the same instant, SQLite would refuse one at once.
            with plainly(place), self.turn():
                engine.connect().close()
        except BlockingIOError:
            self.release()
            raise _taken(place, run) from None
        except UsageError:
            self.release()
            raise

    @contextmanager
    def turn(self) -> Iterator[None]:
        fcntl.flock(self._files[1], fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._files[1], fcntl.LOCK_UN)

    def transact(self, work: Work[T]) -> T:
        with self.turn(), self._engine.begin() as connection:
            return work(connection, False)

    def release(self) -> None:
        while self._files:
            os.close(self._files.pop())


class ServerLock:
    def __init__(self, place: Path | str, engine: Engine, run: str, patience: float) -> None:
        self._place, self._engine, self._run, self._patience = place, engine, run, patience
        self._number = int.from_bytes(hashlib.sha256(f"mocktrial run {run}".encode()).digest()[:8], signed=True)
        self._connection: Connection | None = None
        with plainly(place):
            self._take()

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()  # the server lets none starve

    def _take(self) -> Connection:
        """A connection that holds the lock."""
        self.release()
        connection = self._connection = self._engine.connect()
        try:
            with connection.begin():
                connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'"))
                connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": self._number})
        except DBAPIError as error:
            self.release()
            if _state(error) == _TAKEN:
                raise _taken(self._place, self._run) from None
            raise
        return connection

    def transact(self, work: Work[T]) -> T:
        tries = retry_context(
            on=_passes, attempts=None, timeout=self._patience, wait_initial=0.1, wait_max=2.0, wait_jitter=0.5
        )
        for one in tries:
            with one:
                held = self._connection if self._connection and not self._connection.invalidated else self._take()
                with held.begin():
                    return work(held, one.num > 1)
        raise AssertionError("the last try raises")

    def release(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # really closed, not pooled: the lock belongs to the connection
            self._connection.close()
            self._connection = None


def _taken(place: Path | str, run: str) -> UsageError:
    return UsageError(
        f"another process is playing run {address(place, run)}", hint="wait for it, or choose another name"
    )


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _passes(error: Exception) -> bool:
    """Whether the server may be back in a moment. A connection that cannot be made has no SQLSTATE."""
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    passing = isinstance(error, OperationalError) and (state is None or state.startswith(_PASSING))
    return error.connection_invalidated or passing
