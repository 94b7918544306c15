"""How large a world may be. A world beyond a limit is a `SpecError` that names the limit (docs/worlds.md).

What one tool call may take is decided in `engine`; what a schema may hold, in `schemas`.
"""

from __future__ import annotations

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.spec import Require, ToolSpec, WorldSpec
from mocktrial.mocktools.values import dumps

MAX_WORLD_BYTES = 8 << 20  # of the canonical JSON
MAX_TABLES = 200
MAX_COLUMNS = 100  # of one table
MAX_ROWS = 50_000  # of all tables
MAX_TOOLS = 1000
MAX_STEPS = 30  # of one tool
MAX_TOOL_BYTES = 1 << 14  # of a tool as the agent sees it, in JSON
MAX_MESSAGE = 600  # characters of a step's message or hint


def check_limits(spec: WorldSpec) -> bytes:
    """The canonical JSON of a world within the limits. Raises `SpecError` for any other."""
    where = f"world {spec.name}"
    _check(where, "tables", len(spec.tables()), MAX_TABLES)
    _check(where, "tools", len(spec.tools()), MAX_TOOLS)
    _check(where, "rows", sum(map(len, spec.rows.values())), MAX_ROWS)
    for table in spec.tables():
        _check(f"{where}, table {table.name}", "columns", len(table.columns), MAX_COLUMNS)
    body = spec.canonical()
    _check(where, "bytes", len(body), MAX_WORLD_BYTES)
    for tool in spec.tools():
        _check_tool(f"{where}, tool {tool.name}", tool)
    return body


def _check_tool(where: str, tool: ToolSpec) -> None:
    _check(where, "steps", len(tool.steps), MAX_STEPS)
    _check(where, "bytes of name, description and parameters", len(dumps(tool.to_openai()).encode()), MAX_TOOL_BYTES)
    for number, step in enumerate(tool.steps, 1):
        if isinstance(step, Require):
            longest = max(len(step.message), len(step.hint))
            _check(f"{where}, step {number}", "characters of a message", longest, MAX_MESSAGE)


def _check(where: str, what: str, found: int, limit: int) -> None:
    if found > limit:
        raise SpecError(f"{where}: {found} {what}, at most {limit} are taken")
