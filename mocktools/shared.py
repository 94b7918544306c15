"""`Shared`: a database that stands in memory once for all connections to it, each of which changes only its own pages.

SQLite's memdb keeps the bytes under a name. A connection reads them without locks, works inside a transaction that it
never commits, and holds what it changed in its own page cache, which is told never to spill: it sees the database as
it was, and its own changes. A commit would write to what all read, so it is refused and everything rolled back.
"""

from __future__ import annotations

import secrets

import apsw

_FLAGS = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_CACHE_KIB = 128  # of unchanged pages that a connection keeps; the others it copies again


class Shared:
    """The bytes `data` in memory, as long as this or a connection lasts."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._name = f"/{secrets.token_hex(16)}"
        self._file = apsw.VFSFile("memdb", self._name, [_FLAGS, 0])
        self._file.xWrite(data, 0)

    def connect(self, statements: int) -> apsw.Connection:
        """A new connection, outside of a transaction. statements: prepared ones that it keeps."""
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(
            f"file:{self._name}?nolock=1", flags=flags, vfs="memdb", statementcachesize=statements
        )
        own = ("journal_mode = MEMORY", "cache_spill = OFF", f"cache_size = -{_CACHE_KIB}")
        for setting in (*own, "foreign_keys = ON"):
            connection.execute(f"PRAGMA {setting}")
        connection.set_commit_hook(_refuse)
        return connection


def _refuse() -> bool:
    return True
