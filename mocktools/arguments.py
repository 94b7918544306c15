"""Seeded arguments for tools, drawn from their JSON Schemas and from the rows of the world.

A parameter `patient` gets keys of a table `patients` and values of columns `patient` or `patient_id`, so
that a good share of calls succeeds; the rest is anything the schema takes. Serves `check_world` and the
proof of tasks. Never fails: a schema it does not know gets plain text.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from mocktrial.mocktools.schemas import pattern_validator
from mocktrial.mocktools.spec import ToolSpec, WorldSpec

_TEXTS = ("", "x", "Zoë", "50%", "'; --", "{name}", "2026-02-30", "\U0001f642" * 3)
_FORMATS = {"date": "2026-05-12", "time": "10:30:00Z", "date-time": "2026-05-12T10:30:00Z"}
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
}  # fmt: skip


class Pools:
    """The values that stand in the rows of one world, by the names that a parameter may go by."""

    def __init__(self, spec: WorldSpec) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._keys: list[Any] = []
        self._all: list[Any] = []
        self._fitting: dict[tuple[str, str, str], list[Any]] = {}
        for table in spec.tables():
            rows = spec.rows.get(table.name, ())
            for column in (column.name for column in table.columns):
                values = [row[column] for row in rows if column in row]
                names = [column, column.removesuffix("_id")]
                if (column,) == table.primary_key:
                    names += [table.name, table.name.removesuffix("s")]
                    self._keys += values
                for name in dict.fromkeys(names):
                    self._columns.setdefault(name, []).extend(values)
                self._all += values

    def fitting(self, name: str, kind: str, schema: Mapping[str, Any]) -> list[Any]:
        """Values for the parameter `name` of the world's tool with this schema: by name, else keys, else any."""
        key = (name, kind, repr(schema))
        if key not in self._fitting:
            pools = (self._columns.get(name.removesuffix("_id"), ()), self._keys, self._all)
            found = ([value for value in pool if _fits(value, kind, schema)] for pool in pools)
            self._fitting[key] = next(filter(None, found), [])
        return self._fitting[key]


class ArgumentSource:
    """Draws arguments for the tools of one world; equal seeds give equal draws."""

    def __init__(self, spec: WorldSpec, seed: int, pools: Pools | None = None) -> None:
        self._random = random.Random(seed)
        self._pools = pools or Pools(spec)

    def draw(self, tool: ToolSpec, *, strange: float = 0.2) -> dict[str, Any]:
        """Arguments that the tool's schema takes; `strange` is the share of values not from rows."""
        given = {}
        for name, schema in tool.parameters.items():
            if name in tool.required or self._random.random() < 0.6:
                given[name] = self._value(name, schema, strange)
        if tool.paged and self._random.random() < 0.3:
            given["page"] = self._random.randint(1, 3)
        return given

    def spoil(self, tool: ToolSpec, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` made invalid: an argument missing, of a wrong type, or unknown."""
        spoiled = dict(given)
        kind = self._random.choice(("missing", "type", "unknown"))
        if kind == "missing" and tool.required:
            spoiled.pop(self._random.choice(tool.required), None)
        elif kind == "type" and given:
            spoiled[self._random.choice(sorted(given))] = {"no": ["such", "type"]}
        else:
            spoiled["no_such_argument"] = 1
        return spoiled

    def _value(self, name: str, schema: Mapping[str, Any], strange: float) -> Any:
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        kinds = schema.get("type", "string")
        kind = self._random.choice(kinds) if isinstance(kinds, list) else kinds
        if self._random.random() >= strange:
            fitting = self._pools.fitting(name, kind, schema)
            if fitting:
                return self._random.choice(fitting)
        return self._invent(kind, schema)

    def _invent(self, kind: str, schema: Mapping[str, Any]) -> Any:
        chance = self._random
        low = int(schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1))
        high = max(low, int(schema.get("maximum", schema.get("exclusiveMaximum", low + 101) - 1)))
        match kind:
            case "integer":
                step = int(schema.get("multipleOf", 1))
                return chance.randint(-(-low // step), high // step) * step
            case "number":
                return round(chance.uniform(low, high), 2)
            case "boolean":
                return chance.random() < 0.5
            case "null":
                return None
            case "array":
                items = schema.get("items", {})
                count = chance.randint(int(schema.get("minItems", 0)), int(schema.get("maxItems", 3)))
                return [self._invent(items.get("type", "string"), items) for _ in range(count)]
            case "object":
                inner: Mapping[str, Any] = schema.get("properties", {})
                return {key: self._invent(part.get("type", "string"), part) for key, part in inner.items()}
            case _:
                return self._invent_text(schema)

    def _invent_text(self, schema: Mapping[str, Any]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self._random.choice(_TEXTS)
        return text[: schema.get("maxLength")].ljust(int(schema.get("minLength", 0)), "a")


def _fits(value: Any, kind: str, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) != (kind == "boolean") or not isinstance(value, _TYPES.get(kind, ())):
        return False
    if isinstance(value, str):
        if len(value) != len(_FORMATS.get(schema.get("format", ""), value)):
            return False
        if not int(schema.get("minLength", 0)) <= len(value) <= schema.get("maxLength", 1 << 16):
            return False
        return "pattern" not in schema or bool(pattern_validator(schema["pattern"]).is_valid(value))
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
