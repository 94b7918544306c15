"""One guarded SQLite connection: what a tool's SQL may do is decided here and nowhere else.

The authorizer stays installed for the connection's life and reads a flag, because installing one makes
SQLite prepare every statement again. A progress handler bounds the work of a statement. The connection is
private, in memory, and pooled by its image.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from mocktrial.mocktools.functions import ALLOWED, Runtime, register

MAX_OPERATIONS = 2_000_000  # virtual machine steps a tool call may take, about a tenth of a second
_CHECK_EVERY = 10_000
_WRITES = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})


class Engine:
    """A connection with functions, authorizer and budget."""

    def __init__(self, tables: frozenset[str]) -> None:
        self.runtime = Runtime()
        self.connection = apsw.Connection(":memory:")
        self._readable = tables | {"json_each"}
        self._writable = tables
        self._strict = self._recording = False
        self._operations = 0
        self.actions: set[int] = set()  # what the statements prepared since `guarded` asked for
        register(self.connection, self.runtime)
        self.connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        self.connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        self.connection.limit(apsw.SQLITE_LIMIT_LENGTH, 1 << 20)
        self.connection.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        self.connection.limit(apsw.SQLITE_LIMIT_SQL_LENGTH, 1 << 20)
        self.connection.set_authorizer(self._authorize)
        self.connection.set_progress_handler(self._tick, _CHECK_EVERY)

    def load(self, data: bytes) -> None:
        """Replace the whole database by `data`."""
        self.connection.deserialize("main", data)
        self.connection.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def guarded(self, *, recording: bool = False) -> Iterator[apsw.Connection]:
        """Statements prepared inside may touch the world's own tables only; the budget starts anew.

        With `recording`, the session extension may look up the columns of a table at its first change.
        """
        self._strict, self._recording, self._operations = True, recording, 0
        self.actions.clear()
        try:
            yield self.connection
        finally:
            self._strict = False

    def wrote(self) -> bool:
        """Whether a statement prepared since `guarded` writes to a table of the world."""
        return not _WRITES.isdisjoint(self.actions)

    def _authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        self.actions.add(action)
        if not self._strict or action == apsw.SQLITE_SELECT:
            return apsw.SQLITE_OK
        if action == apsw.SQLITE_READ:
            allowed = first in self._readable
        elif action in _WRITES:
            allowed = first in self._writable
        elif action == apsw.SQLITE_PRAGMA:
            allowed = self._recording and first == "table_xinfo"
        else:
            allowed = action == apsw.SQLITE_FUNCTION and second in ALLOWED
        return apsw.SQLITE_OK if allowed and database in (None, "main") else apsw.SQLITE_DENY

    def _tick(self) -> bool:
        self._operations += _CHECK_EVERY
        return self._strict and self._operations > MAX_OPERATIONS
