"""Tools that others describe, as the beginning of a world: OpenAPI documents, MCP tool lists, OpenAI function lists.

A description says what a tool takes, not what it does. So the world that comes out compiles and answers from a table
`replies` of recorded ones: same call, same reply (the map M of SynthAgent, METHODS section 1), and the error
`not_recorded` elsewhere; a write leaves a row in `calls`. Steps that mean something take their place tool by tool.
Broken files raise `SpecError`; what our schemas cannot hold is left out, and `Skeleton.notes` says what and where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.files import broken, read_text
from mocktrial.mocktools.schemas import KEYWORDS, MAX_DEPTH
from mocktrial.mocktools.spec import RESERVED_TOOLS, Column, Give, Require, Run, Table, Toolkit, ToolSpec, WorldSpec

NOW = "2026-01-01T09:00:00"  # a skeleton's clock; any other will do
_READS = frozenset(("get", "head", "options"))
_METHODS = (*_READS, "post", "put", "patch", "delete")
_OF_ARGUMENTS = frozenset(  # keys that say nothing more, or what holds of every tool
    ("type", "title", "description", "properties", "required", "additionalProperties", "$schema", "$defs")
)
_PARTS = 2  # of `allOf` within `allOf`: more would let a small document take long
_UNNAMED = re.compile(r"[^a-z0-9]+")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Described:
    """A tool as a document describes it."""

    name: str
    description: str
    schema: Mapping[str, Any]  # of its arguments object
    effect: Literal["read", "write"]


@dataclass
class Skeleton:
    world: WorldSpec
    notes: list[str] = field(default_factory=list)  # what was left out or renamed, a line each


def read_skeleton(path: Path) -> Skeleton:
    """The world's beginning from the document at `path`; which kind it is, its keys tell."""
    try:
        document = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}: not JSON: {error}", hint="YAML documents are converted to JSON first") from error
    name = _plain(path.stem)[:40] or "imported"
    if isinstance(document, Mapping) and "paths" in document:
        return skeleton(name, _of_openapi(document), document)
    listed = document.get("tools") if isinstance(document, Mapping) else document
    if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
        raise SpecError(f"{path}: neither OpenAPI nor a list of tools", hint="docs/exchange.md has the three forms")
    return skeleton(name, map(_of_listed, listed), document)


def skeleton(name: str, described: Iterable[Described], document: Any) -> Skeleton:
    """A world whose tools answer from recorded replies; `document` is where `$ref`s point into."""
    notes: list[str] = []
    tools: dict[str, ToolSpec] = {}
    for one in described:
        tool_name = _fresh(_plain(one.name), tools)
        if tool_name != one.name:
            notes.append(f"{one.name}: called {tool_name} here")
        properties, required = _arguments(one, tool_name, document, notes)
        try:
            tools[tool_name] = ToolSpec(
                name=tool_name,
                description=" ".join(one.description.split())[:1000] or tool_name.replace("_", " "),
                parameters=properties,
                required=tuple(required),
                effect=one.effect,
                steps=_steps(tool_name, properties, one.effect),
            )
        except ValidationError as error:
            raise broken(f"tool {one.name}", error) from error
    if not tools:
        raise SpecError(f"{name}: describes no tool")
    return Skeleton(_world(name, tuple(tools.values())), notes)


def _of_openapi(document: Mapping[str, Any]) -> Iterator[Described]:
    for path, item in document["paths"].items():
        for method in (method for method in _METHODS if method in item):
            operation = item[method]
            given = [
                _resolved(one, document) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))
            ]
            properties = {
                one["name"]: one.get("schema", {}) | {key: one[key] for key in ("description",) if key in one}
                for one in given
            }
            required = [one["name"] for one in given if one.get("required")]
            body = _resolved(operation.get("requestBody", {}), document)
            schema = _whole(body.get("content", {}).get("application/json", {}).get("schema", {}), document)
            if "properties" in schema:
                properties |= schema["properties"]
                required += schema.get("required", ())
            elif schema:
                properties["body"] = schema
                required += ["body"] * bool(body.get("required"))
            yield Described(
                name=operation.get("operationId") or f"{method}_{path}",
                description=operation.get("description") or operation.get("summary") or f"{method.upper()} {path}",
                schema={"properties": properties, "required": required},
                effect="read" if method in _READS else "write",
            )


def _of_listed(item: Mapping[str, Any]) -> Described:
    """One entry of an MCP `tools/list` answer, or of an OpenAI function list, wrapped or not."""
    function = item.get("function", item)
    hints = function.get("annotations") or {}
    return Described(
        name=str(function.get("name", "")),
        description=function.get("description") or "",
        schema=function.get("inputSchema") or function.get("parameters") or {},
        effect="read" if hints.get("readOnlyHint") else "write",
    )


def _arguments(
    one: Described, tool: str, document: Any, notes: list[str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    properties: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}
    whole = _whole(one.schema, document)
    if left_out := sorted(whole.keys() - _OF_ARGUMENTS):
        notes.append(f"{tool}: without {', '.join(left_out)}")
    for name, schema in whole.get("properties", {}).items():
        names[name] = _fresh(_plain(name), properties)
        if names[name] != name:
            notes.append(f"{tool}: argument {name} is called {names[name]} here")
        properties[names[name]] = _taken(schema, f"{tool}.{name}", document, notes, MAX_DEPTH - 1)
    return properties, list(dict.fromkeys(names[name] for name in whole.get("required", ()) if name in names))


def _taken(schema: Any, where: str, document: Any, notes: list[str], depth: int) -> dict[str, Any]:
    """The part of a schema that ours can hold: references looked up, keywords that are not taken left out."""
    schema = _whole(schema, document)
    if depth == 0:
        notes.append(f"{where}: nested too deep, anything is taken")
        return {}
    left_out = sorted(key for key in schema if key not in KEYWORDS and key not in ("$defs", "$schema"))
    if left_out:
        notes.append(f"{where}: without {', '.join(left_out)}")
    taken = {key: value for key, value in schema.items() if key in KEYWORDS and value != {}}
    for key, kind in (("properties", "object"), ("items", "array")):
        if key in taken:
            taken.setdefault("type", kind)
    for key in ("items", "additionalProperties"):
        if isinstance(taken.get(key), Mapping):
            taken[key] = _taken(taken[key], f"{where}.{key}", document, notes, depth - 1)
    for key in ("anyOf", "oneOf"):
        if key in taken:
            taken[key] = [_taken(part, f"{where}.{key}", document, notes, depth - 1) for part in taken[key]]
    if "properties" in taken:
        parts, at = taken["properties"].items(), f"{where}.{{}}".format
        taken["properties"] = {name: _taken(part, at(name), document, notes, depth - 1) for name, part in parts}
    return taken


def _whole(schema: Any, document: Any, depth: int = _PARTS) -> dict[str, Any]:
    """`schema` with what it names by `$ref` and `allOf` in it: the properties and required names of all parts."""
    whole = _resolved(schema, document)
    for part in whole.pop("allOf", ()) if depth else ():
        more = _whole(part, document, depth - 1)
        properties = {**whole.get("properties", {}), **more.get("properties", {})}
        required = list(dict.fromkeys((*whole.get("required", ()), *more.get("required", ()))))
        whole |= more
        whole |= {key: both for key, both in (("properties", properties), ("required", required)) if both}
    return whole


def _resolved(node: Any, document: Any) -> dict[str, Any]:
    """`node`, or what its `$ref` names in `document`; a chain of references is followed once round at most."""
    seen: set[str] = set()
    while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
        reference = node["$ref"]
        if not reference.startswith("#/") or reference in seen:
            raise SpecError(f"$ref {reference!r} leads nowhere in this document", hint="bundle the document first")
        seen.add(reference)
        node = document
        for part in reference[2:].split("/"):
            node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        return {}
    return dict(node)


def _steps(tool: str, properties: Mapping[str, Any], effect: str) -> tuple[Require | Run | Give, ...]:
    pairs = ", ".join(f"'{name}', {_as_json(name, properties[name])}" for name in sorted(properties))
    call = f"json_object({pairs})"
    found = f"FROM replies WHERE tool = '{tool}' AND arguments = {call}"
    known = Require(
        require=f"SELECT 1 AS known {found}",
        error="not_recorded",
        message=f"No reply of {tool} is recorded for these arguments.",
        hint="Try other arguments.",
    )
    leave = Run(run=f"INSERT INTO calls (id, tool, arguments) VALUES (new_id('call'), '{tool}', {call})")
    give = Give(give=f"SELECT reply {found}", shape="value")
    return (known, leave, give) if effect == "write" else (known, give)


def _as_json(name: str, schema: Mapping[str, Any]) -> str:
    """A list or an object comes to a step as its text."""
    given = schema.get("type", "any")
    kinds = {given} if isinstance(given, str) else set(given)
    return f"json(:{name})" if kinds <= {"array", "object", "null"} else f":{name}"


def _world(name: str, tools: tuple[ToolSpec, ...]) -> WorldSpec:
    tool = Column(name="tool")
    arguments = Column(name="arguments", description="A JSON object of all parameters, keys sorted, null where absent.")
    tables = (
        Table(
            name="replies",
            columns=(tool, arguments, Column(name="reply", type="json")),
            primary_key=("tool", "arguments"),
            description="What each call gives; the same call always the same.",
        ),
        Table(name="calls", columns=(Column(name="id"), tool, arguments), primary_key=("id",), description="Writes."),
    )
    kit = Toolkit(name=_UNNAMED.sub("_", name), tables=tables, tools=tools)
    return WorldSpec(name=name, description=f"Tools of {name}, to be filled in.", now=NOW, toolkits=(kit,))


def _plain(name: str) -> str:
    """`name` as ours are: lower case, digits and underscores, a letter first."""
    plain = _UNNAMED.sub("_", _HUMPS.sub("_", name).lower()).strip("_")[:60].rstrip("_")
    return plain if not plain or plain[0].isalpha() else f"n_{plain}"


def _fresh(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, with a number behind it where it is reserved or taken."""
    name = name or "unnamed"
    wanted = f"{name}_it" if name in RESERVED_TOOLS else name
    return next(one for one in (wanted, *(f"{wanted}_{n}" for n in range(2, 10_000))) if one not in taken)
