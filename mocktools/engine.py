"""One guarded SQLite connection: what a tool's SQL may do is decided here and nowhere else.

The authorizer stays installed for the connection's life and reads a flag, because installing one makes
SQLite prepare every statement again. A progress handler bounds the work of a statement. The connection is
in memory, and pooled by its image: at first on the image's own bytes (`shared`), once it was given others on a copy.

A world runs inside one transaction that the next world on the engine rolls back: SQLite then keeps the
schema and the prepared statements, which to load the database again would throw away (about 80 microseconds
a tool call).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time

import apsw

from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.functions import ALLOWED, Runtime, register
from mocktrial.mocktools.shared import Shared

MAX_OPERATIONS = 2_000_000  # virtual machine steps a tool call may take, about a tenth of a second
MAX_VALUE_BYTES = 1 << 15  # of one text or row
MAX_SQL_BYTES = 1 << 16  # of one statement
MAX_SECONDS = 2.0  # of this thread's work: only a world at fault takes so long within its steps
MAX_GROWTH = 64 << 20  # bytes that SQLite may take more than at the start of a call
READING = apsw.SQLITE_PREPARE_PERSISTENT  # keeps queries apart from a tool's statements in APSW's cache
_CHECK_EVERY = 1000
_CACHED = 1000  # prepared statements that stay: those of some hundred tools, and of criteria
_LIMITS = {
    apsw.SQLITE_LIMIT_LENGTH: MAX_VALUE_BYTES,
    apsw.SQLITE_LIMIT_SQL_LENGTH: MAX_SQL_BYTES,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
    apsw.SQLITE_LIMIT_COLUMN: 200,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 200,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    apsw.SQLITE_LIMIT_VDBE_OP: 50_000,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 5000,
}
_WRITES = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})


class Engine:
    """A connection with functions, authorizer and budget. shared: what it starts from; None: an empty database."""

    def __init__(self, tables: frozenset[str], shared: Shared | None = None) -> None:
        self.runtime = Runtime()
        self._shared = shared
        if shared is None:
            self.connection = apsw.Connection(":memory:", statementcachesize=_CACHED)
        else:
            self.connection = shared.connect(_CACHED)
        self._readable = tables | {"json_each"}
        self._writable = tables
        self._strict = self._recording = self._reading = False
        self._operations, self._most = 0, MAX_OPERATIONS
        self._limit = self._memory = 0.0  # thread time to stop at, memory to stop at: set at the first tick
        self._base = shared and shared.data  # the database as it was when the open transaction began
        self.actions: set[int] = set()  # what the statements prepared since `guarded` asked for
        register(self.connection, self.runtime)
        self.connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        self.connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        self.connection.execute("PRAGMA temp_store = MEMORY")  # a large sort would else write a file
        for limit, most in _LIMITS.items():
            self.connection.limit(limit, most)
        self.connection.set_authorizer(self._authorize)
        self.connection.set_progress_handler(self._tick, _CHECK_EVERY)

    def start(self, data: bytes) -> None:
        """Make the database that of `data`, inside a transaction."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        if self._base is not data:
            self._base = None
            self.connection.deserialize("main", data)
            self.connection.set_commit_hook(None)
            self.connection.execute("PRAGMA foreign_keys = ON")
            self._base, self._shared = data, None
        self.connection.execute("BEGIN")

    @property
    def commits(self) -> bool:
        """Whether what was done up to `freeze` can no longer be rolled back."""
        return self._shared is None

    def freeze(self) -> bytes:
        """The database's bytes."""
        if not self.commits:
            return self.connection.serialize("main")
        self.connection.execute("COMMIT")
        self._base = self.connection.serialize("main")
        self.connection.execute("BEGIN")
        return self._base

    @contextmanager
    def guarded(
        self, *, recording: bool = False, reading: bool = False, most: int = MAX_OPERATIONS
    ) -> Iterator[apsw.Connection]:
        """Statements prepared inside may touch the world's own tables only; the budget starts anew.

        With `recording`, the session extension may look up the columns of a table at its first change; with
        `reading`, what is prepared may not write (give `READING` as prepare_flags to `execute`). More than
        `most` steps interrupt; too much time or memory is `NoResult`, since both depend on more than the call.
        """
        self._strict, self._recording, self._operations, self._most = True, recording, 0, most
        self._limit, self._reading = 0.0, reading
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
            allowed = first in self._writable and not self._reading
        elif action == apsw.SQLITE_PRAGMA:
            allowed = self._recording and first == "table_xinfo"
        else:
            allowed = action == apsw.SQLITE_FUNCTION and second in ALLOWED
        return apsw.SQLITE_OK if allowed and database in (None, "main") else apsw.SQLITE_DENY

    def _tick(self) -> bool:
        if not self._strict:
            return False
        self._operations += _CHECK_EVERY
        if not self._limit:
            self._limit, self._memory = thread_time() + MAX_SECONDS, apsw.memory_used() + MAX_GROWTH
        elif thread_time() > self._limit:
            raise NoResult(f"a statement worked for more than {MAX_SECONDS:g} s", blame="tools")
        elif apsw.memory_used() > self._memory:
            raise NoResult(f"a statement took more than {MAX_GROWTH >> 20} MiB", blame="tools")
        return self._operations > self._most
