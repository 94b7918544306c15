"""What a world is on disk: frozen pydantic models, JSON in and out, no behaviour.

`compile_world` (in `image`) turns a `WorldSpec` into a `WorldImage`. Tools are data, never code: a
tool's steps are parameterised SQL (DESIGN, invariant 2). Unknown keys are errors that name the key.

A step's SQL may use as named values (`:name`): the tool's parameters (an absent optional one is its
schema default, else NULL) and the columns of the row that an earlier `require` returned.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.values import stable

RESERVED_TOOLS = frozenset(
    [
        "reset",
        "step",
        "state",
        "close",
        "verify",
        "seed_session",
        "run",
        "aggregate_metrics",
        "mcp",
        "health",
        "done",
        "get_reward",
        "finish",
        "ask_user",
    ]
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WORLD_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: lower-case letters, digits and _ (at most 64)")
    return name


def _check_world_name(name: str) -> str:
    if not _WORLD_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name: lower-case letters, digits and . _ - (at most 64)")
    return name


def check_file_name(name: str) -> str:
    """`name`, if it may name a folder of ours. Raises `UsageError` (FAULTS 20)."""
    try:
        return _check_world_name(name)
    except ValueError as error:
        raise UsageError(str(error), hint="choose another name") from error


Name = Annotated[str, AfterValidator(_check_name)]
FileName = Annotated[str, AfterValidator(_check_world_name)]
ColumnType = Literal["text", "integer", "real", "boolean", "date", "time", "datetime", "json"]


def short_hash(body: bytes) -> str:
    """First 16 hex digits of SHA-256."""
    return hashlib.sha256(body).hexdigest()[:16]


class Frozen(BaseModel):
    """Base of everything that goes to disk or over the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _parts_of(reference: str) -> tuple[str, str]:
    table, _, column = reference.partition(".")
    return table, column


class Column(Frozen):
    """One column of a table."""

    name: Name
    type: ColumnType = "text"
    null: bool = False
    unique: bool = False
    choices: tuple[str, ...] = ()
    references: str = ""  # "table.column", or empty
    description: str = ""

    @model_validator(mode="after")
    def _refers(self) -> Column:
        if self.references and not all(_NAME.fullmatch(part) for part in _parts_of(self.references)):
            raise ValueError(f"column {self.name}: references is {self.references[:80]!r}, not table.column")
        return self


class Table(Frozen):
    """One table of a world, with a primary key."""

    name: Name
    columns: tuple[Column, ...]
    primary_key: tuple[Name, ...]  # at least one: the session extension watches keyed tables only
    checks: tuple[str, ...] = ()  # SQL expressions that must hold of every row
    description: str = ""

    @model_validator(mode="after")
    def _keyed(self) -> Table:
        names = {column.name for column in self.columns}
        if not self.primary_key or not set(self.primary_key) <= names:
            raise ValueError(f"table {self.name}: primary_key must name its columns")
        if any(column.null for column in self.columns if column.name in self.primary_key):
            raise ValueError(f"table {self.name}: a column of the primary_key must not be null")  # nobody watches it
        return self


class Require(Frozen):
    """A query that must return a row, else the tool fails with `error`. The row's columns become values."""

    require: str
    error: Name
    message: str  # `{name}` stands for a value
    hint: str = ""


class Run(Frozen):
    """A write."""

    run: str


class Give(Frozen):
    """A query that makes (part of) the result."""

    give: str
    shape: Literal["row", "rows", "value"] = "row"
    name: str = ""  # key in the result when a tool gives several parts
    types: dict[str, ColumnType] = Field(default_factory=dict)  # for computed columns; plain ones are known


Step = Require | Run | Give


def _is_agents(by: str) -> bool:
    return by == "agent"


class ToolSpec(Frozen):
    """One tool: what it takes, and the steps that it takes them through."""

    name: Name
    description: str
    parameters: dict[Name, dict[str, Any]] = Field(default_factory=dict)  # JSON Schema of each argument
    required: tuple[Name, ...] = ()
    effect: Literal["read", "write"]
    steps: tuple[Step, ...]
    paged: bool = False  # adds the optional argument `page`; long lists then come a page at a time
    by: Literal["agent", "user"] = Field(default="agent", exclude_if=_is_agents)  # whose tool it is

    @model_validator(mode="after")
    def _consistent(self) -> ToolSpec:
        if self.name in RESERVED_TOOLS:
            raise ValueError(f"tool name {self.name!r} is reserved")
        missing = [name for name in self.required if name not in self.parameters]
        if missing:
            raise ValueError(f"tool {self.name}: required names no parameter {missing[0]!r}")
        if self.effect == "read" and any(isinstance(step, Run) for step in self.steps):
            raise ValueError(f"tool {self.name}: effect is read but a step runs a write")
        if self.paged and "page" in self.parameters:
            raise ValueError(f"tool {self.name}: paged adds the parameter `page` itself")
        if not any(isinstance(step, Run | Give) for step in self.steps):
            raise ValueError(f"tool {self.name}: has no step that runs or gives anything")
        return self

    def schema_of_arguments(self) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of the whole arguments object."""
        page = {"page": {"type": "integer", "minimum": 1}} if self.paged else {}
        return {
            "type": "object",
            "properties": self.parameters | page,
            "required": list(self.required),
            "additionalProperties": False,
        }

    def to_openai(self) -> dict[str, Any]:
        """The tool as the chat completions API takes it."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.schema_of_arguments(),
            },
        }


class Toolkit(Frozen):
    """Tools and the tables that they work on."""

    name: Name
    description: str = ""
    tables: tuple[Table, ...] = ()
    tools: tuple[ToolSpec, ...]


class WorldSpec(Frozen):
    """A whole world; `image.compile_world` checks and compiles it."""

    model_config = ConfigDict(ser_json_inf_nan="constants")  # else NaN is written, and hashed, as null

    name: FileName
    description: str = ""
    rules: str = ""  # policy text, shown to the agent
    now: str  # virtual clock at the start, "YYYY-MM-DDTHH:MM:SS"
    toolkits: tuple[Toolkit, ...]
    rows: dict[Name, tuple[dict[str, Any], ...]] = Field(default_factory=dict)

    def tables(self) -> tuple[Table, ...]:
        return tuple(table for toolkit in self.toolkits for table in toolkit.tables)

    def tools(self) -> tuple[ToolSpec, ...]:
        return tuple(tool for toolkit in self.toolkits for tool in toolkit.tools)

    def tools_of(self, by: Literal["agent", "user"]) -> tuple[ToolSpec, ...]:
        return tuple(tool for tool in self.tools() if tool.by == by)

    def canonical(self) -> bytes:
        """The canonical JSON. Raises `SpecError` for a world that no JSON can hold."""
        try:
            return stable(self.model_dump(mode="json"), allow_nan=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise SpecError(f"world {self.name} cannot be written as JSON: {str(error)[:200]}") from error

    def content_hash(self) -> str:
        """First 16 hex digits of SHA-256 over the canonical JSON."""
        return short_hash(self.canonical())
