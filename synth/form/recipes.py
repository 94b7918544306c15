"""How a world's tables are filled: `rows.json` as frozen models. `rows` carries it out."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from mocktrial.mocktools.spec import Frozen, Name


class _Source(Frozen):
    """Where a column's values come from. `format` wraps the value; `null` is the share left empty."""

    format: str = ""  # "Dr {}"
    unique: bool = False  # within the table
    null: float = Field(default=0.0, ge=0, le=1)


class Sequence(_Source):
    sequence: str  # "d{n}", n from 1


class Choices(_Source):
    choices: tuple[Any, ...]


class Words(_Source):
    words: str  # a mimesis provider, "person.first_name"
    longest: int = 40  # characters; longer ones are drawn again


class Reference(_Source):
    references: str  # "table.column" of a table filled before


class FromParent(_Source):
    parent: Name  # a column of the row named by the table's `each`


class Whole(_Source):
    integer: tuple[int, int]  # first and last
    step: int = 1


class Day(_Source):
    day: tuple[int, int]  # days from the virtual now, first and last; a date


ColumnSource = Sequence | Choices | Words | Reference | FromParent | Whole | Day


class TableRecipe(Frozen):
    table: Name
    count: int | tuple[int, int] = 1  # rows, or rows for each row of `each`
    each: Name | None = None  # a table filled before
    distinct: tuple[Name, ...] = ()  # columns that no two rows share all of
    columns: dict[Name, ColumnSource]


class RowRecipe(Frozen):
    locale: str = "en"  # of mimesis; pinned, so that names do not depend on the machine
    tables: tuple[TableRecipe, ...]
