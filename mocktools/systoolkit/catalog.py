"""`catalog()` reads the data files; `device_world()` makes a `WorldSpec` of all domains or of some.

Errors in the files are `SpecError` that name file, tool and reason: the files are part of the package, and
people add to them. Nothing here calls a tool.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.files import broken
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import Require, Run, Step, Table, Toolkit, ToolSpec, WorldSpec
from mocktrial.mocktools.systoolkit.entries import (
    Condition,
    DomainEntry,
    TableEntry,
    Template,
    ToolEntry,
    ToolUse,
)
from mocktrial.mocktools.systoolkit.notation import Reading, column, parameter, read_notation

NOW = "2026-05-11T09:00:00"  # a Monday
CORE = "core"  # the domain whose tables every condition may look at
_RULES = (
    "You are the assistant of a phone with a watch, a car and a home attached. Look things up before you change them."
)
_SLOT = re.compile(r"\{(\w+)\}")
_SETS_ONE = re.compile(r"(?is)\s*UPDATE\s+\w+\s+SET\s+(\w+)\s*=\s*(:\w+|0|1|NOT\s+\w+|'[^']*')\s*(WHERE.*)?")
_REQUIRED = {"require", "error", "message", "hint"}  # of a condition, what its tools hold
T = TypeVar("T")


@dataclass(frozen=True)
class CatalogTool:
    """A tool with what the catalogue knows of it beyond its `ToolSpec`."""

    spec: ToolSpec
    domain: str
    needs: tuple[str, ...]
    asks: tuple[str, ...]
    implied: tuple[Mapping[str, Any], ...]  # by ask: what its words say without a slot
    values: Mapping[str, tuple[Any, ...]]
    takes: Mapping[str, Reading]
    found: Mapping[str, ToolUse]
    starts: Mapping[str, Mapping[str, Any]]
    plain: bool  # a mere toggle, or the opening of a page


@dataclass(frozen=True)
class Catalog:
    domains: Mapping[str, DomainEntry]
    tools: Mapping[str, CatalogTool]
    conditions: Mapping[str, Condition]

    def table(self, name: str) -> TableEntry:
        """A table's entry. Raises `KeyError`."""
        return next(domain.tables[name] for domain in self.domains.values() if name in domain.tables)


@cache
def catalog() -> Catalog:
    """The whole catalogue, in the order of the files' names."""
    folder = resources.files(__package__)
    conditions = _read("conditions.toml", TypeAdapter(dict[str, Condition]))
    templates = _read("templates.toml", TypeAdapter(dict[str, Template]))
    files = sorted(entry.name for entry in folder.joinpath("domains").iterdir() if entry.name.endswith(".toml"))
    domains = {name.removesuffix(".toml"): _read(f"domains/{name}", TypeAdapter(DomainEntry)) for name in files}
    tools: dict[str, CatalogTool] = {}
    for domain, entry in domains.items():
        for name, tool in entry.tools.items():
            if name in tools:
                raise SpecError(f"domains/{domain}.toml: {tools[name].domain} has a tool {name} too")
            tools[name] = _tool(name, tool, domain, conditions, templates)
    return Catalog(domains, tools, conditions)


def device_world(domains: Sequence[str] = (), also: Collection[str] = ()) -> WorldSpec:
    """The world of all domains, or of the named ones with those whose tables they use.

    also: further tools by name, each of which brings the tables of its domain. Raises `UsageError`.
    """
    known = catalog()
    named = (*domains, *(known.tools[tool].domain for tool in also))
    chosen = _with_used(known, named) if domains else tuple(known.domains)
    kits = tuple(
        _toolkit(known, name, [tool for tool in known.domains[name].tools if whole or tool in also])
        for name in chosen
        for whole in (not domains or name in domains,)
    )
    rows = {table: entry.rows for name in chosen for table, entry in known.domains[name].tables.items() if entry.rows}
    return WorldSpec(
        name="systoolkit", description="A phone with watch, car and home.", rules=_RULES, now=NOW,
        toolkits=kits, rows=rows,
    )  # fmt: skip


@cache
def device_image() -> WorldImage:
    """The world of all domains, compiled once a process."""
    return compile_world(device_world())


def _with_used(known: Catalog, domains: Sequence[str]) -> tuple[str, ...]:
    found = {CORE: None}
    queue = list(domains)
    while queue:
        name = queue.pop(0)
        if name not in known.domains:
            raise UsageError(f"SysToolKit has no domain {name!r}", hint=f"it has {', '.join(known.domains)}")
        if name not in found:
            found[name] = None
            queue += known.domains[name].uses
    return tuple(name for name in known.domains if name in found)


def _toolkit(known: Catalog, name: str, tools: Sequence[str]) -> Toolkit:
    domain = known.domains[name]
    own = tuple(known.tools[tool].spec for tool in tools)
    tables = tuple(_table(table, entry) for table, entry in domain.tables.items())
    return Toolkit(name=name, description=domain.about, tables=tables, tools=own)


def _table(name: str, entry: TableEntry) -> Table:
    read = [column(key, text, name) for key, text in entry.columns.items()]
    checks = tuple(check for _, made in read for check in made) + entry.checks
    return Table(
        name=name, columns=tuple(made for made, _ in read), primary_key=entry.key, checks=checks,
        description=entry.about,
    )  # fmt: skip


def _tool(
    name: str, entry: ToolEntry, domain: str, conditions: Mapping[str, Condition], templates: Mapping[str, Template]
) -> CatalogTool:
    where = f"domains/{domain}.toml, {name}"
    template = _template(entry, templates, where)
    filled = _fill(template.model_dump(mode="json"), entry.with_) if template else {}
    takes = {
        key: read_notation(text, f"{where}.{key}") for key, text in (filled.get("takes", {}) | entry.takes).items()
    }
    own: tuple[Step, ...] = TypeAdapter(tuple[Step, ...]).validate_python(filled["steps"]) if filled else entry.steps
    steps = (*_conditions(entry.needs, conditions, where), *_rows_exist(takes), *own)
    spec = ToolSpec(
        name=name, description=entry.about, parameters={key: parameter(read) for key, read in takes.items()},
        required=tuple(key for key, read in takes.items() if not read.optional),
        effect="write" if any(isinstance(step, Run) for step in steps) else "read", steps=steps, paged=entry.paged,
    )  # fmt: skip
    plain = bool(template and template.plain) or _sets_one(own, takes)
    implied = entry.implied + ({},) * (len(entry.asks) - len(entry.implied))
    return CatalogTool(
        spec, domain, entry.needs, entry.asks, implied, entry.values, takes, entry.found, entry.starts, plain
    )


def _template(entry: ToolEntry, templates: Mapping[str, Template], where: str) -> Template | None:
    if bool(entry.use) == bool(entry.steps):
        raise SpecError(f"{where}: needs either steps or use")
    if entry.use and entry.use not in templates:
        raise SpecError(f"{where}: there is no template {entry.use!r}", hint=f"templates are {', '.join(templates)}")
    return templates[entry.use] if entry.use else None


def _fill(part: Any, values: Mapping[str, str]) -> Any:
    """`part` with `{key}` filled in wherever `values` has the key, names included."""
    if isinstance(part, str):
        return _SLOT.sub(lambda slot: values.get(slot[1], slot[0]), part)
    if isinstance(part, dict):
        return {_fill(key, values): _fill(item, values) for key, item in part.items()}
    return [_fill(item, values) for item in part] if isinstance(part, list) else part


def _conditions(needs: Sequence[str], conditions: Mapping[str, Condition], where: str) -> list[Step]:
    for need in needs:
        if need not in conditions:
            raise SpecError(f"{where}: there is no condition {need!r}", hint=f"conditions are {', '.join(conditions)}")
    return [Require(**conditions[need].model_dump(include=_REQUIRED)) for need in needs]


def _rows_exist(takes: Mapping[str, Reading]) -> list[Step]:
    steps: list[Step] = []
    for name, read in takes.items():
        if read.row_of and not read.many:
            table, key = read.row_of.split(".")
            there = f":{name} IS NULL OR EXISTS (SELECT 1 FROM {table} WHERE {key} = :{name})"
            message = f"There is no such {name}: {{{name}}}."
            steps.append(Require(require=f"SELECT 1 AS found_{name} WHERE {there}", error="not_found", message=message))
    return steps


def _sets_one(steps: Sequence[Step], takes: Mapping[str, Reading]) -> bool:
    """Whether all that the steps write is one switch: a column set to a boolean argument or a constant."""
    writes = [step.run for step in steps if isinstance(step, Run)]
    if len(writes) != 1 or not (found := _SETS_ONE.fullmatch(writes[0])):
        return False
    value = found[2]
    return not value.startswith(":") or (value[1:] in takes and takes[value[1:]].type == "boolean")


def _read(name: str, kind: TypeAdapter[T]) -> T:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    try:
        return kind.validate_json(json.dumps(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{name}: {error}") from error
    except ValidationError as error:
        raise broken(name, error) from error
