"""What was changed, from each write of a row as SQLite makes it: what a changeset says, without asking for one.

A changeset reads every changed row again, which costs more than a tool call. Where many states of one world are
looked at (`recalled`), the net of each comes from that of the state before it. Rolling back is the caller's business:
SQLite tells of no write that it takes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import apsw

from mocktrial.mocktools.spec import Table
from mocktrial.mocktools.writeset import Change, in_order

Row: TypeAlias = tuple[Any, ...]
RowWrite: TypeAlias = tuple[str, Row | None, Row | None]  # table; the row before and after, None where there is none
Net: TypeAlias = Mapping[tuple[str, Row], tuple[Row | None, Row | None]]  # by table and key: the row at first, at last
_HOOK = "rowwrites"


def watch(connection: apsw.Connection, log: list[RowWrite]) -> None:
    """Add every write of a row to `log` from now on. No session may be made on the connection until `unwatch`."""

    def note(update: apsw.PreUpdate) -> None:
        log.append((update.table_name, update.old, update.new))

    connection.preupdate_hook(note, id=_HOOK)


def unwatch(connection: apsw.Connection) -> None:
    connection.preupdate_hook(None, id=_HOOK)


class Netting:
    """Nets writes to the tables of one world."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._columns = {table.name: [column.name for column in table.columns] for table in tables}
        self._keys: dict[str, list[int]] = {}  # places of the key's columns
        for table in tables:
            places = range(len(table.columns))
            self._keys[table.name] = [place for place in places if table.columns[place].name in table.primary_key]

    def added(self, net: Net, writes: Iterable[RowWrite]) -> Net:
        """`net`, and then `writes`."""
        found = dict(net)
        for table, old, new in writes:
            if old is not None:
                key = self._key(table, old)
                found[key] = (found[key][0] if key in found else old), None
            if new is not None:
                key = self._key(table, new)
                found[key] = (found[key][0] if key in found else None), new
        return {key: pair for key, pair in found.items() if pair[0] != pair[1]}

    def changes(self, net: Net) -> tuple[Change, ...]:
        return in_order([self._change(table, old, new) for (table, _), (old, new) in net.items()])

    def _key(self, table: str, row: Row) -> tuple[str, Row]:
        return table, tuple([row[place] for place in self._keys[table]])

    def _change(self, table: str, old: Row | None, new: Row | None) -> Change:
        names = self._columns[table]
        row = new if old is None else old
        assert row is not None, "a net change has one side at least"
        nothing = (None,) * len(names)
        pairs = zip(names, old or nothing, new or nothing, strict=True)
        both = old is not None and new is not None
        return Change.model_construct(  # SQLite's own values
            table=table,
            op="update" if both else "delete" if new is None else "insert",
            key={names[place]: row[place] for place in self._keys[table]},
            columns={name: (before, after) for name, before, after in pairs if not both or before != after},
        )
