"""Under the ledger: opening its database, and saying plainly what went wrong.

SQLite runs in WAL with synchronous=FULL, PostgreSQL with synchronous_commit=on, so a commit is on the disk before it
returns. A password is asked for where PostgreSQL's own programs look for it (PGPASSWORD, the passfile); one that
stands in an address is used and never shown. Who may write is `locks`'s business. Every failure is a `UsageError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from mocktrial.envs.atomic import refused
from mocktrial.mocktools.errors import MissingExtra, UsageError

FORM = "postgresql+psycopg://USER@HOST/NAME"
_BUSY_SECONDS = 60  # how long other writers, or a reader's checkpoint, may hold up a write
_SECRETS = ("password", "sslpassword")  # libpq takes them in the query, too
_SERVER_ARGUMENTS = {
    "application_name": "mocktrial",
    "connect_timeout": 10,
    # A player whose machine is gone gives its lock back after 90 seconds, and not after the system's two hours.
    "options": (
        "-c synchronous_commit=on -c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    ),
}


def is_url(place: Path | str) -> bool:
    return "://" in str(place)


def shown(place: Path | str) -> str:
    """`place` for a person and for any file: a URL without its passwords."""
    if not is_url(place):
        return str(place)
    return _url(place).difference_update_query(_SECRETS)._replace(password=None).render_as_string(hide_password=False)


def _url(place: Path | str) -> URL:
    try:
        url = make_url(str(place))
    except ArgumentError as error:
        raise UsageError("not a database URL", hint=FORM) from error
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise UsageError(f"not a database URL: ledgers are not kept in {url.drivername}", hint=FORM)
    return url.set(drivername="postgresql+psycopg")


def open_engine(place: Path | str, *, create: bool) -> Engine:
    """Engine for a file or a database URL. Raises `UsageError` when it is missing and not to be created."""
    if is_url(place):
        try:
            return create_engine(_url(place), connect_args=_SERVER_ARGUMENTS, pool_pre_ping=True)
        except ImportError as error:
            raise MissingExtra(
                "the package psycopg is not installed", hint="pip install 'mocktrial[postgres]'"
            ) from error
    path = Path(place)
    if create:
        with plainly(place):
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
    """Turn a database's or a folder's refusal (full disk, no such table, no right to write) into a `UsageError`."""
    try:
        yield
    except DBAPIError as error:
        first_line = str(error.orig).partition("\n")[0]
        raise UsageError(
            f"the ledger {shown(place)} refused: {first_line}",
            hint="mend the cause and run the same command again: what is recorded is kept",
        ) from error
    except OSError as error:
        raise refused(Path(error.filename or place), error) from error


def columns_of(connection: Connection, table: Table) -> frozenset[str]:
    """Names of the columns that `table` has in this database."""
    return frozenset(column["name"] for column in inspect(connection).get_columns(table.name))
