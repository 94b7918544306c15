"""Which rows of a tool's result a call template means. Pure functions.

`Unplannable` is what the planner raises: here where no row, several rows or a tie would do, since the gold
plan must be the only one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.values import Canonical, canonical, same
from mocktrial.synth.form.steps import Filter, StepSource

Values = Mapping[str, Any]


class Unplannable(Exception):
    """This goal cannot be met with these values; `reason` is short and the same for all like it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def rows_of(result: Any) -> tuple[Sequence[Any], str | None]:
    """The rows of a result, and the path to the list that they stand in; None where the result is one row."""
    if isinstance(result, list):
        return result, ""
    if isinstance(result, dict) and isinstance(result.get("rows"), list):
        return result["rows"], "rows"
    return ([] if result is None else [result]), None


def agreeing(filter_: Filter, rows: Sequence[Any], values: Values) -> list[int]:
    """Numbers of the rows that agree with facts and bound values."""
    if not filter_.where and not filter_.at_most and not filter_.at_least:
        return list(range(len(rows)))
    where, most, least = (
        [(column, value_named(name, values, column)) for column, name in names.items()]
        for names in (filter_.where, filter_.at_most, filter_.at_least)
    )
    return [
        number
        for number, row in enumerate(rows)
        if all(equal(wanted, at(row, column)) for column, wanted in where)
        and all(_ordered(at(row, column), limit) for column, limit in most)
        and all(_ordered(limit, at(row, column)) for column, limit in least)
    ]


def choose_row(source: StepSource, rows: Sequence[Any], values: Values, goal: str) -> int:
    """The number of the one row that the source means."""
    fitting = agreeing(source, rows, values)
    if source.best and fitting:
        fitting = _best(source.best, fitting, rows, values)
        if len(fitting) > 1 and not source.first:
            raise Unplannable(f"{goal}: a tie")
    if not fitting:
        raise Unplannable(f"{goal}: no row of {source.step} fits")
    if len(fitting) > 1 and not source.first:
        raise Unplannable(f"{goal}: several rows of {source.step} fit")
    return fitting[0]


def value_named(name: str, values: Values, place: str) -> Any:
    if name not in values:
        raise SpecError(f"{place} names {name!r}, which bind does not give")
    return values[name]


def at(value: Any, path: str) -> Any:
    """The part of a result at a dotted path, or None; the whole of it where the path is empty."""
    for part in path.split(".") if path else ():
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def _best(best: str, numbers: list[int], rows: Sequence[Any], values: Values) -> list[int]:
    """Those of the rows that share the lowest, or highest, value of the column."""
    column = str(value_named(best[1:-1], values, "best")) if best.startswith("{") else best
    highest, column = column.startswith("-"), column.lstrip("+-")
    known = [(at(rows[number], column), number) for number in numbers]
    known = [(value, number) for value, number in known if value is not None]
    if not known:
        return []
    top = known[0][0]
    for value, _ in known[1:]:
        if _ordered(top, value) if highest else _ordered(value, top):
            top = value
    return [number for value, number in known if value == top]


def equal(wanted: Any, value: Any) -> bool:
    """`same` for what stands in a cell: quicker for what is plainly equal or plainly not."""
    if type(wanted) is type(value):
        return wanted == value or (isinstance(value, str) and _meaning(wanted) == _meaning(value))
    return same(wanted, value)


@lru_cache(maxsize=4096)
def _meaning(text: str) -> Canonical:
    return canonical(text)


def _ordered(low: Any, high: Any) -> bool:
    """Whether low <= high: two numbers, or two texts (dates and times are in order as text)."""
    if isinstance(low, str) and isinstance(high, str):
        return low <= high
    numbers = (int, float)
    return isinstance(low, numbers) and isinstance(high, numbers) and low <= high
