"""What the gold plan wrote with one value of it wrong: alterations of its final state, each of which must fail.

The operators of `variants` reach only the ends that the plan's own tools have with other arguments. A value may go
wrong in other ways (a tool for another status, one more call, a tool that fixes the value itself), and a grader
that does not look at it is blind to all of them. So here the end is altered, a value at a time, whatever tool might
do it. What differs between two plays of the gold plan (ids that the world makes up, moments) is open and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from mocktrial.mocktools.recalled import RecalledWorld, Statement
from mocktrial.mocktools.spec import Column, Table
from mocktrial.mocktools.values import same
from mocktrial.mocktools.writeset import Change

_TRIED = 4  # other values, and other rows, of which the first that the world takes is played


@dataclass(frozen=True)
class Slip:
    """One thing wrong in the end; the first of the `ways` that the tables allow will do. They are made one by one."""

    operator: str
    name: str
    ways: Iterable[tuple[Statement, ...]]


def slips(world: RecalledWorld, writes: Sequence[Change], twin: Sequence[Change]) -> Iterator[Slip]:
    """Every closed value of `writes`, wrong; every row that was changed, another one in its stead.

    `twin` has the net changes of another play of the same plan, with other ids and at another time.
    """
    tables = {table.name: table for table in world.image.tables}
    for change in writes:
        table = tables[change.table]
        for column in table.columns if change.op != "delete" else ():
            if column.name in change.columns and _closed(change, column.name, twin):
                yield Slip("wrong_cell", f"{change.table}.{column.name}", _values(world, change, table, column))
        if change.op == "update" and any(change.table == other.table and change.key == other.key for other in twin):
            yield Slip("wrong_place", f"{change.table} {change.key}", _places(world, change, table, writes))


def _closed(change: Change, column: str, twin: Sequence[Change]) -> bool:
    """Whether the plan gives the column this value whatever the seed and the hour."""
    pair = change.columns[column]
    return any((o.table, o.op, o.columns.get(column)) == (change.table, change.op, pair) for o in twin)


def _values(world: RecalledWorld, change: Change, table: Table, column: Column) -> Iterator[tuple[Statement, ...]]:
    """The column with another value in the row."""
    old, right = change.columns[column.name]
    likely = (*column.choices, *_invented(column, old if right is None else right))
    fresh = (value for value in chain(likely, _known(world, table, column)) if not same(value, old))
    wrong = (value for value in chain(fresh, (old,)) if not same(value, right))
    for value in islice(wrong, _TRIED):
        yield (_update(table, change.key, {column.name: value}),)


def _known(world: RecalledWorld, table: Table, column: Column) -> Iterator[Any]:
    """Values of the column, or of that which it refers to, that stand in the world."""
    home, name = column.references.split(".") if column.references else (table.name, column.name)
    yield from (row[0] for row in world.query(f'SELECT DISTINCT "{name}" FROM "{home}" ORDER BY 1 LIMIT {2 * _TRIED}'))


def _invented(column: Column, like: Any) -> tuple[Any, ...]:
    """Another value of the column's type, where no list of them is given."""
    if column.choices or column.references:
        return ()
    match column.type:
        case "integer" | "real":
            return ((like or 0) + 1,)
        case "boolean":
            return (int(not like),)
        case "date" | "time" | "datetime":
            return (_later(column.type, like),) if like else ()
        case "json":
            return ('"other"',)
    return (f"{like or 'an'}other",)


def _later(kind: str, text: str) -> str:
    """A day later, or an hour."""
    if kind == "time":
        return f"{(int(text[:2]) + 1) % 24:02}{text[2:]}"
    return (datetime.fromisoformat(text) + timedelta(days=1)).isoformat()[: len(text)]


def _places(
    world: RecalledWorld, change: Change, table: Table, writes: Sequence[Change]
) -> Iterator[tuple[Statement, ...]]:
    """The same change on a row that the plan leaves alone."""
    keys = ", ".join(f'"{name}"' for name in change.key)
    unlike = " AND ".join(f'"{name}" IS NOT :{name}' for name in change.columns)
    new = {name: pair[1] for name, pair in change.columns.items()}
    rows = world.records(f'SELECT {keys} FROM "{table.name}" WHERE {unlike} ORDER BY {keys}', new)
    taken = [other.key for other in writes if other.table == change.table]
    old = {name: pair[0] for name, pair in change.columns.items()}
    for row in [row for row in rows if row not in taken][:_TRIED]:
        yield _update(table, change.key, old), _update(table, row, new)


def _update(table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> Statement:
    sets = ", ".join(f'"{name}" = :{name}' for name in values)
    where = " AND ".join(f'"{name}" IS :key_{name}' for name in key)
    return (
        f'UPDATE "{table.name}" SET {sets} WHERE {where}',
        {**values, **{f"key_{name}": value for name, value in key.items()}},
    )
