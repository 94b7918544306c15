"""`compile_world`: from a `WorldSpec` to database bytes and checked, ready-to-run tools.

Everything that can be wrong with a spec is found here, before any episode: rows that break their own
constraints, SQL that does not prepare, touches what it may not, uses a value nobody gives, or writes
where it says it reads. Each error is a `SpecError` that names table, tool and step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import apsw
import apsw.ext

from mocktrial.mocktools.arguments import Pools
from mocktrial.mocktools.engine import MAX_OPERATIONS, Engine
from mocktrial.mocktools.errors import NoResult, SpecError, ToolFailure
from mocktrial.mocktools.limits import check_limits
from mocktrial.mocktools.rowwrites import Netting
from mocktrial.mocktools.schemas import validator_of
from mocktrial.mocktools.shared import Shared
from mocktrial.mocktools.spec import Column, Give, Require, Run, Step, Table, ToolSpec, WorldSpec, short_hash

_DECLARED = {
    "text": "TEXT", "integer": "INTEGER", "real": "REAL", "boolean": "BOOLEAN",
    "date": "DATE TEXT", "time": "TIME TEXT", "datetime": "DATETIME TEXT", "json": "JSON TEXT",
}  # fmt: skip
_SHAPES = {
    "date": "____-__-__", "time": "__:__", "datetime": "____-__-__T__:__:__",
}  # fmt: skip
_CLOCK = re.compile(r"\b(?:now|today)\b", re.IGNORECASE)
_NEW_ID = re.compile(r"\bnew_id\b", re.IGNORECASE)
_TYPEOF = {"integer": "integer", "real": "real', 'integer", "boolean": "integer"}
_REFUSED = (apsw.Error, NoResult, ValueError, TypeError, OverflowError)  # what SQLite and APSW say no with
_MAYBE_BYTES = re.compile(r"blob|x'", re.IGNORECASE)
_BLOB_AFFINITY = ord("A")
_FIRST_DAY, _LAST_DAY = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 - virtual time has no zone
Convert = Callable[[Any], Any]


def _to_bool(value: Any) -> Any:
    return None if value is None else bool(value)


def _from_json(value: Any) -> Any:
    try:
        return None if value is None else json.loads(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ToolFailure("constraint", "The tool made a value that is no JSON.") from error


_CONVERT: dict[str, Convert] = {
    "BOOLEAN": _to_bool, "boolean": _to_bool, "JSON TEXT": _from_json, "json": _from_json,
}  # fmt: skip


@dataclass(frozen=True)
class CompiledStep:
    """A step with the names of its result columns and how to turn a stored value into JSON."""

    step: Step
    sql: str
    columns: tuple[tuple[str, Convert | None], ...] = ()


@dataclass(frozen=True)
class CompiledTool:
    """A tool with its validator made and its steps prepared."""

    spec: ToolSpec
    validator: Any  # jsonschema_rs.Draft202012Validator
    defaults: dict[str, Any]
    steps: tuple[CompiledStep, ...]

    @cached_property
    def timeless(self) -> bool:
        """Whether it only reads, and gives the same whenever and in whatever episode it is called."""
        return self.spec.effect == "read" and not self.reads_clock and not self.makes_ids

    @cached_property
    def reads_clock(self) -> bool:
        return any(_CLOCK.search(step.sql) for step in self.steps)

    @cached_property
    def makes_ids(self) -> bool:
        return any(_NEW_ID.search(step.sql) for step in self.steps)


@dataclass(frozen=True)
class WorldImage:
    """A compiled world. `data` is the database file's bytes; `pool` holds idle engines for reuse."""

    spec: WorldSpec
    data: bytes
    tools: dict[str, CompiledTool]
    hash: str
    now: datetime
    tables: tuple[Table, ...]
    pool: list[Engine] = field(default_factory=list, compare=False, repr=False)
    reads: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # results of an untouched world
    recalled: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # what `RecalledWorld` keeps

    @cached_property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """The agent's tools in OpenAI's form. Shared: not to be written to."""
        return tuple(tool.to_openai() for tool in self.spec.tools_of("agent"))

    @cached_property
    def writers(self) -> tuple[ToolSpec, ...]:
        """The agent's tools that write."""
        return tuple(tool for tool in self.spec.tools_of("agent") if tool.effect == "write")

    @cached_property
    def pools(self) -> Pools:
        """Values for generated arguments."""
        return Pools(self.spec)

    @cached_property
    def _shared(self) -> Shared:
        return Shared(self.data)

    @cached_property
    def netting(self) -> Netting:
        return Netting(self.tables)

    def engine(self) -> Engine:
        return self.pool.pop() if self.pool else Engine(frozenset(table.name for table in self.tables), self._shared)


def compile_world(spec: WorldSpec) -> WorldImage:
    """Check `spec` and build its image. Raises `SpecError`."""
    body = check_limits(spec)
    tables = spec.tables()
    _check_unique("table", [table.name for table in tables])
    _check_unique("tool", [tool.name for tool in spec.tools()])
    _check_references(spec, tables)
    now = _clock(spec)
    engine = Engine(frozenset(table.name for table in tables))
    engine.runtime.now = now
    for table in tables:
        _create(engine, spec, table)
    _insert_rows(engine, spec, tables)
    tools = {tool.name: _compile_tool(engine, spec, tool) for tool in spec.tools()}
    data = engine.connection.serialize("main")
    return WorldImage(spec=spec, data=data, tools=tools, hash=short_hash(body), now=now, tables=tables)


def _clock(spec: WorldSpec) -> datetime:
    try:
        now = datetime.fromisoformat(spec.now)
        if now.isoformat() == spec.now and _FIRST_DAY <= now < _LAST_DAY:
            return now
    except (ValueError, TypeError):
        pass  # said below; TypeError: it has a zone
    raise SpecError(f"world {spec.name}: now is {spec.now[:40]!r}, not YYYY-MM-DDTHH:MM:SS from 1900 to 2199")


def _check_references(spec: WorldSpec, tables: tuple[Table, ...]) -> None:
    keys = {f"{table.name}.{column.name}" for table in tables for column in table.columns if column.unique}
    keys |= {f"{table.name}.{table.primary_key[0]}" for table in tables if len(table.primary_key) == 1}
    for table in tables:
        for column in table.columns:
            if column.references and column.references not in keys:
                where = f"world {spec.name}, table {table.name}, column {column.name}"
                raise SpecError(f"{where}: references {column.references}, which is no unique column of a table")


def _check_unique(kind: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SpecError(f"{kind} {name!r} is defined twice", hint=f"rename one of the {kind}s")


def _create(engine: Engine, spec: WorldSpec, table: Table) -> None:
    lines = [_column_sql(column) for column in table.columns]
    lines.append(f"PRIMARY KEY ({_quoted(table.primary_key)})")
    lines += [f"CHECK (\n{check}\n)" for check in table.checks]
    try:
        for check in table.checks:
            _check_expression(engine, table, check)
        engine.connection.execute(f'CREATE TABLE "{table.name}" ({", ".join(lines)})')
    except _REFUSED as error:
        raise SpecError(f"world {spec.name}, table {table.name}: {error}") from error


def _check_expression(engine: Engine, table: Table, check: str) -> None:
    """Raise unless `check` is one expression over the table's columns: text that closed the bracket would be run."""
    columns = ", ".join(f'NULL AS "{column.name}"' for column in table.columns)
    sql = f'WITH "{table.name}" AS (SELECT {columns}) SELECT 1 FROM "{table.name}" WHERE (\n{check}\n)'
    with engine.guarded() as connection:
        info = apsw.ext.query_info(connection, sql)
    if info.query_remaining or info.bindings_count:
        raise ValueError(f"check {check[:60]!r} is not one expression")


def _column_sql(column: Column) -> str:
    name = f'"{column.name}"'  # quoted, since a column may be called `index`
    parts = [name, f'"{_DECLARED[column.type]}"' if " " in _DECLARED[column.type] else column.type.upper()]
    if not column.null:
        parts.append("NOT NULL")
    if column.unique:
        parts.append("UNIQUE")
    if column.type in _TYPEOF:
        parts.append(f"CHECK ({name} IS NULL OR typeof({name}) IN ('{_TYPEOF[column.type]}'))")
    if column.type in _SHAPES:
        parts.append(f"CHECK ({name} LIKE '{_SHAPES[column.type]}')")
    if column.type not in _TYPEOF:
        parts.append(f"CHECK (is_text({name}))")
    if column.choices:
        quoted = ", ".join("'" + choice.replace("'", "''") + "'" for choice in column.choices)
        parts.append(f"CHECK ({name} IN ({quoted}))")
    if column.references:
        target, _, key = column.references.partition(".")
        parts.append(f'REFERENCES "{target}" ("{key}")')
    return " ".join(parts)


def _insert_rows(engine: Engine, spec: WorldSpec, tables: tuple[Table, ...]) -> None:
    known = {table.name: table for table in tables}
    for name in spec.rows:
        if name not in known:
            raise SpecError(f"world {spec.name}: rows for unknown table {name!r}")
    with engine.guarded(most=10 * MAX_OPERATIONS) as connection:
        for table in tables:
            columns = {column.name for column in table.columns}
            for number, row in enumerate(spec.rows.get(table.name, ()), 1):
                strange = [key for key in row if key not in columns]
                where = f"world {spec.name}, table {table.name}, row {number}"
                if strange:
                    raise SpecError(f"{where}: unknown column {strange[0][:80]!r}")
                names = _quoted(row)
                marks = ", ".join(f":{key}" for key in row)
                try:
                    connection.execute(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', encode(row))
                except _REFUSED as error:
                    raise SpecError(f"{where}: {error}") from error
    engine.connection.execute("PRAGMA foreign_keys = ON")
    broken = next(iter(engine.connection.execute("PRAGMA foreign_key_check")), None)
    if broken:
        raise SpecError(f"world {spec.name}, table {broken[0]}, row {broken[1]}: refers to no row of {broken[2]}")


def _quoted(names: Iterable[str]) -> str:
    """Names of columns as SQL takes them even where one is a keyword."""
    return ", ".join(f'"{name}"' for name in names)


def encode(values: dict[str, Any]) -> dict[str, Any]:
    """JSON values as SQLite takes them: booleans as 0/1, lists and objects as JSON text."""
    return {key: _encode(value) for key, value in values.items()}


def _encode(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _compile_tool(engine: Engine, spec: WorldSpec, tool: ToolSpec) -> CompiledTool:
    try:
        validator = validator_of(tool.schema_of_arguments())
    except ValueError as error:
        raise SpecError(
            f"world {spec.name}, tool {tool.name}: {error}", hint="docs/worlds.md has the subset"
        ) from error
    values = set(tool.parameters) | ({"page"} if tool.paged else set())
    steps = []
    for number, step in enumerate(tool.steps, 1):
        where = f"world {spec.name}, tool {tool.name}, step {number}"
        compiled = _compile_step(engine, step, values, where)
        steps.append(compiled)
        if isinstance(step, Require):
            values |= {name for name, _ in compiled.columns}
            if tool.paged and any(name == "page" for name, _ in compiled.columns):
                raise SpecError(f"{where}: gives a value called page, which the paged tool has already")
    defaults = {name: _encode(schema.get("default")) for name, schema in tool.parameters.items()}
    if tool.paged:
        defaults["page"] = 1
    return CompiledTool(spec=tool, validator=validator, defaults=defaults, steps=tuple(steps))


def _compile_step(engine: Engine, step: Step, values: set[str], where: str) -> CompiledStep:
    sql = step.require if isinstance(step, Require) else step.run if isinstance(step, Run) else step.give
    try:
        with engine.guarded() as connection:
            info = apsw.ext.query_info(connection, sql, explain=_MAYBE_BYTES.search(sql) is not None)
    except _REFUSED as error:
        raise SpecError(f"{where}: {error}", hint="docs/worlds.md says what SQL may do") from error
    if info.query_remaining:
        raise SpecError(f"{where}: one statement a step, found a second: {info.query_remaining.strip()[:60]!r}")
    if any(op.opcode == "Blob" or (op.opcode == "Cast" and op.p2 == _BLOB_AFFINITY) for op in info.explain or ()):
        raise SpecError(f"{where}: makes bytes, which are no value of a world")
    if isinstance(step, Run) and info.description:
        raise SpecError(f"{where}: a run returns nothing: read what it wrote by a give")
    if isinstance(step, Run) and not engine.wrote():
        raise SpecError(f"{where}: run must insert, update or delete")
    if not isinstance(step, Run) and (info.is_explain or not info.is_readonly or not info.description):
        raise SpecError(f"{where}: must be a query that only reads")
    unknown = [name for name in info.bindings_names if name not in values]
    if unknown:
        raise SpecError(f"{where}: uses :{unknown[0]}, which no parameter or earlier require gives")
    types = step.types if isinstance(step, Give) else {}
    columns = tuple(
        (name, _CONVERT.get(types.get(name, "")) or _CONVERT.get(declared or "")) for name, declared in info.description
    )
    return CompiledStep(step=step, sql=sql, columns=columns)
