"""Under the ledger: opening its database, holding its lock, and saying plainly what went wrong.

SQLite runs in WAL with synchronous=FULL, so a commit is on the disk before it returns. The lock lets one
process play a run; the operating system (or PostgreSQL) drops it when that process dies, however it dies.
Every failure is a `UsageError`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from mocktrial.mocktools.errors import MissingExtra, UsageError

_BUSY_SECONDS = 30  # how long a reader's checkpoint may hold up a write


def is_url(place: Path | str) -> bool:
    return "://" in str(place)


def shown(place: Path | str) -> str:
    """`place` for a person, without a URL's password."""
    return make_url(str(place)).render_as_string(hide_password=True) if is_url(place) else str(place)


def open_engine(place: Path | str, *, create: bool) -> Engine:
    """Engine for a file or a database URL. Raises `UsageError` when it is missing and not to be created."""
    if is_url(place):
        try:
            return create_engine(str(place))
        except ArgumentError as error:
            raise UsageError("not a database URL", hint="postgresql+psycopg://USER@HOST/NAME") from error
        except ImportError as error:
            raise MissingExtra(f"no driver for {shown(place)}: {error}", hint="pip install psycopg[binary]") from error
    path = Path(place)
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():
        raise UsageError(f"no ledger at {path}", hint="mocktrial run makes one")
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _make_durable)
    return engine


def _make_durable(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


@contextmanager
def plainly(place: Path | str) -> Iterator[None]:
    """Turn a database's refusal (full disk, not a database, no such table) into a `UsageError`."""
    try:
        yield
    except DBAPIError as error:
        first_line = str(error.orig).partition("\n")[0]
        raise UsageError(
            f"the ledger {shown(place)} refused: {first_line}",
            hint="mend the cause and run the same command again: what is recorded is kept",
        ) from error


def columns_of(connection: Connection, table: Table) -> frozenset[str]:
    """Names of the columns that `table` has in this database."""
    return frozenset(column["name"] for column in inspect(connection).get_columns(table.name))


def add_missing(connection: Connection, table: Table) -> None:
    """Give a table that an older mocktrial made the columns that came later; they are empty in its rows.

    Raises `UsageError` where a column may not be empty: that ledger can only be read by the version that made it.
    """
    there = columns_of(connection, table)
    for column in table.columns:
        if column.name in there:
            continue
        if not column.nullable:
            raise UsageError(
                f"this ledger is older than the column {table.name}.{column.name}",
                hint="start a run under another name",
            )
        kind = column.type.compile(connection.dialect)
        connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


class Lock:
    """One player a run: an flock on `PLACE.lock`, or PostgreSQL's advisory lock."""

    def __init__(self, place: Path | str, engine: Engine, run: str) -> None:
        """Take it at once or raise `UsageError`."""
        self._file: int | None = None
        self._connection: Connection | None = None
        if is_url(place):
            number = int.from_bytes(hashlib.sha256(run.encode()).digest()[:8], signed=True)
            with plainly(place):
                self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                query = text("SELECT pg_try_advisory_lock(:number)")
                taken = bool(self._connection.execute(query, {"number": number}).scalar())
        else:
            self._file = os.open(f"{place}.lock", os.O_RDWR | os.O_CREAT, 0o644)
            taken = _flock(self._file)
        if not taken:
            self.release()
            raise UsageError(
                f"another process is playing run {run!r} into {shown(place)}",
                hint="wait for it, or choose another name",
            )

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            self._connection.invalidate()  # really closed, not pooled: the lock belongs to the connection
            self._connection.close()
            self._connection = None


def _flock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
