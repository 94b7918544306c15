"""What an episode changed, by row and column, from SQLite's session extension.

A changeset is net: a row that was inserted and updated is one insert with its last values; a row that
was changed and changed back does not appear. Tables are watched because each has a primary key.
"""

from __future__ import annotations

from typing import Any, Literal

import apsw

from mocktrial.mocktools.spec import Frozen, Table

_OPERATIONS: dict[str, Literal["insert", "update", "delete"]] = {
    "INSERT": "insert",
    "UPDATE": "update",
    "DELETE": "delete",
}


class Change(Frozen):
    """One row's net change. `columns` maps each changed column to (old, new); absent sides are None."""

    table: str
    op: Literal["insert", "update", "delete"]
    key: dict[str, Any]
    columns: dict[str, tuple[Any, Any]]


def read_changeset(changeset: bytes, tables: tuple[Table, ...]) -> tuple[Change, ...]:
    """The changes in `changeset`, sorted by table and key, so that equal work gives equal bytes."""
    known = {table.name: table for table in tables}
    changes = [
        _change(item, [column.name for column in known[item.name].columns]) for item in apsw.Changeset.iter(changeset)
    ]
    return in_order(changes)


def in_order(changes: list[Change]) -> tuple[Change, ...]:
    """By table and key."""
    if len(changes) < 2:
        return tuple(changes)
    return tuple(sorted(changes, key=lambda change: (change.table, repr(sorted(change.key.items())))))


def _change(item: apsw.TableChange, columns: list[str]) -> Change:
    old = _side(item.old, columns)
    new = _side(item.new, columns)
    keys = [columns[index] for index in sorted(item.pk_columns)]
    changed = [name for name in columns if name in (new if item.op == "UPDATE" else old | new)]
    return Change.model_construct(  # SQLite's own values
        table=item.name,
        op=_OPERATIONS[item.op],
        key={name: old.get(name, new.get(name)) for name in keys},
        columns={name: (old.get(name), new.get(name)) for name in changed},
    )


def _side(values: tuple[Any, ...] | None, columns: list[str]) -> dict[str, Any]:
    pairs = zip(columns, values or (), strict=False)
    return {name: value for name, value in pairs if value is not apsw.no_change}
