"""What can be told of a ledger without reading its episodes: its server, who may write, how far its tables are.

Changes nothing. A ledger that cannot be reached, or is none, raises `UsageError`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, func, inspect, select, text

from mocktrial.envs.database import is_url, open_engine, plainly, shown
from mocktrial.envs.migrations import NEWEST, version_of
from mocktrial.envs.tables import EPISODE, RUN


class Seen(NamedTuple):
    place: str  # without a password
    server: tuple[int, ...]  # PostgreSQL's version; empty: SQLite
    may_write: bool
    summary: str


def look_at(place: Path | str) -> Seen:
    engine = open_engine(place, create=False)
    try:
        with plainly(place), engine.connect() as connection:
            known = connection.dialect.server_version_info or () if is_url(place) else ()
            server = tuple(part for part in known if isinstance(part, int))
            name = f"PostgreSQL {'.'.join(map(str, server))}" if server else "SQLite"
            return Seen(shown(place), server, _may_write(connection, place), f"{name}, {_tables(connection)}")
    finally:
        engine.dispose()


def _may_write(connection: Connection, place: Path | str) -> bool:
    if not is_url(place):
        return os.access(place, os.W_OK)
    return bool(connection.scalar(text("SELECT has_schema_privilege(current_schema(), 'CREATE')")))


def _tables(connection: Connection) -> str:
    if not inspect(connection).has_table(RUN.name):
        return "no runs yet"
    version = version_of(connection)
    runs, episodes = (connection.scalar(select(func.count()).select_from(table)) for table in (RUN, EPISODE))
    state = (
        "" if version == NEWEST else f"; tables {version or 'of before versions'}, the next run brings them to {NEWEST}"
    )
    return f"{runs} runs, {episodes} episodes{state}"
