"""Running the compiled steps of one tool on a connection, inside a transaction that is the caller's business.

What the model can act on raises `ToolFailure`; SQLite's own errors pass through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import apsw

from mocktrial.mocktools.errors import ToolFailure
from mocktrial.mocktools.image import CompiledStep, CompiledTool
from mocktrial.mocktools.spec import Give, Require, Run

MAX_GIVEN_BYTES = 4 << 20  # that one step may read, to show some and to count the others
PAGE_ROWS = 20
_SLOT = re.compile(r"\{(\w+)\}")


def run_steps(connection: apsw.Connection, tool: CompiledTool, values: dict[str, Any]) -> Any:
    """What the steps give. `values` gains the columns of each row that a step required."""
    parts: dict[str, Any] = {}
    for compiled in tool.steps:
        cursor = connection.execute(compiled.sql, values)
        step = compiled.step
        if isinstance(step, Require):
            row = cursor.fetchone()
            if row is None:
                raise ToolFailure(step.error, _fill(step.message, values), hint=_fill(step.hint, values))
            values |= {name: value for (name, _), value in zip(compiled.columns, row, strict=True)}
        elif isinstance(step, Run):
            cursor.fetchall()
        else:
            parts[step.name] = _part(step, compiled, cursor, int(values["page"]) if tool.spec.paged else 0)
    if not parts:
        return {"ok": True}
    return parts[""] if list(parts) == [""] else parts


def _part(step: Give, compiled: CompiledStep, cursor: apsw.Cursor, page: int) -> Any:
    rows = []
    room = MAX_GIVEN_BYTES
    for row in cursor:
        room -= 100 + sum([len(value) for value in row if value.__class__ is str])
        if room < 0:
            raise ToolFailure("too_long", "The result is far too long.", hint="Ask for less: narrow the arguments.")
        rows.append(
            {
                name: convert(value) if convert else value
                for (name, convert), value in zip(compiled.columns, row, strict=True)
            }
        )
    if step.shape == "rows":
        return _page(rows, page) if page else rows
    first = rows[0] if rows else None
    return first if step.shape == "row" or first is None else next(iter(first.values()))


def _page(rows: list[dict[str, Any]], page: int) -> dict[str, Any]:
    pages = max(1, -(-len(rows) // PAGE_ROWS))
    return {"rows": rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS], "page": page, "pages": pages}


def _fill(template: str, values: Mapping[str, Any]) -> str:
    return _SLOT.sub(lambda match: str(values.get(match[1], match[0])), template)
