"""Tools and tables of a design: `toolkit_of(design) -> (Toolkit, ops)`.

Every tool is data in the form that people write (DESIGN, invariant 2); which tools there are follows from the
design alone. Things here, records in `record_tools`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mocktrial.mocktools.spec import Column, ColumnType, Give, Require, Run, Step, Table, ToolSpec
from mocktrial.synth.compose.design import Design, RecordDesign, ThingDesign
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.kits import Field

_TYPES: dict[str, ColumnType] = {
    "choices": "text", "whole": "integer", "money": "integer", "day": "date", "time": "time", "flag": "boolean",
    "text": "text",
}  # fmt: skip
_MOST = 20  # rows of a list that is not paged


class Maker:
    """Names and builds the tools of one design."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self._names: set[str] = set()

    def name(self, kind: str, words: str, verb: str = "") -> str:
        """A name that no other tool of the toolkit has."""
        style = self.design.style
        first = (verb or style.verbs[kind]).replace(" ", "_").replace("-", "_").replace("'", "").lower()
        joined = f"{words}_{first}" if style.verb_last else f"{first}_{words}"
        name, number = joined[:60], 2
        while name in self._names:
            name, number = f"{joined[:57]}_{number}", number + 1
        self._names.add(name)
        return name

    def id_of(self, entity: ThingDesign | RecordDesign, role: str = "") -> str:
        """The parameter that takes an id."""
        return f"{role or entity.noun.snake}{self.design.style.suffix}"

    def read(self, kind: str, about: str, name: str, description: str, steps: Sequence[Step], **more: Any) -> Op:
        return self._op("read", kind, about, name, description, steps, **more)

    def write(self, kind: str, about: str, name: str, description: str, steps: Sequence[Step], **more: Any) -> Op:
        return self._op("write", kind, about, name, description, steps, **more)

    def _op(
        self, effect: Any, kind: str, about: str, name: str, description: str, steps: Sequence[Step], *,
        parameters: dict[str, Any] | None = None, optional: Sequence[str] = (), detail: str = "",
        args: dict[str, str] | None = None, gives: dict[str, str] | None = None, paged: bool = False,
    ) -> Op:  # fmt: skip
        parameters = parameters or {}
        spec = ToolSpec(
            name=name, description=description, parameters=parameters, effect=effect, steps=tuple(steps), paged=paged,
            required=tuple(item for item in parameters if item not in optional),
        )  # fmt: skip
        return Op(kind, about, spec, detail, args or {}, gives or {})


def table_of_thing(thing: ThingDesign, design: Design) -> Table:
    columns = [Column(name=thing.key), Column(name="name", unique=True)]
    if thing.parent:
        columns.append(Column(name=parent_column(thing), references=f"{thing.parent.table}.{thing.parent.key}"))
    columns += [column_of(field) for field in thing.fields]
    if thing.thing.name == design.verified:
        columns.append(Column(name="pin"))
    return Table(name=thing.table, columns=tuple(columns), primary_key=(thing.key,))


def parent_column(thing: ThingDesign) -> str:
    assert thing.parent is not None, "asked of a thing without a parent"
    return f"{thing.parent.noun.snake}_id"


def column_of(field: Field) -> Column:
    return Column(name=field.name, type=_TYPES[field.kind], choices=field.choices)


def schema_of(field: Field) -> dict[str, Any]:
    """The JSON Schema of an argument that takes a value of the field."""
    match field.kind:
        case "choices":
            return {"type": "string", "enum": list(field.choices)}
        case "whole" | "money":
            return (
                {"type": "integer", "minimum": 0, "description": field.unit or "in whole dollars"}
                if (field.unit or field.kind == "money")
                else {"type": "integer", "minimum": 0}
            )
        case "day":
            return {"type": "string", "format": "date", "description": "YYYY-MM-DD"}
        case "time":
            return {"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$", "description": "HH:MM"}
        case "flag":
            return {"type": "boolean", "description": f"whether {field.flag}"}
        case _:
            return {"type": "string", "minLength": 1, "maxLength": 80}


def known(entity: ThingDesign | RecordDesign, parameter: str, finder: str) -> Require:
    """Fails unless the id at `parameter` is one of the entity's."""
    return Require(
        require=f"SELECT 1 AS known FROM {entity.table} WHERE {entity.key} = :{parameter}",
        error=f"no_{entity.noun.snake}"[:60],
        message=f"There is no {entity.noun.one} {{{parameter}}}.",
        hint=f"Call {finder} to see which there are." if finder else "Check the id.",
    )


def update(entity: ThingDesign | RecordDesign, sets: str, parameter: str) -> Run:
    return Run(run=f"UPDATE {entity.table} SET {sets} WHERE {entity.key} = :{parameter}")


def get_one(
    make: Maker, entity: ThingDesign | RecordDesign, about: str, finder: str, query: str, gives: dict[str, str]
) -> Op:
    """The tool that shows all of one thing or record; `query` takes its id."""
    parameter = make.id_of(entity)
    return make.read(
        "get", about, make.name("get", entity.noun.snake), f"All that is known of {entity.noun.a}",
        [known(entity, parameter, finder), Give(give=query)],
        parameters={parameter: {"type": "string"}}, args={"id": parameter}, gives=gives,
    )  # fmt: skip


def change_any(
    make: Maker, entity: ThingDesign | RecordDesign, about: str, fields: Sequence[Field], first: Sequence[Step]
) -> Op:
    """One tool for all changes, after the steps `first`: a field that it is not given stays."""
    parameter = make.id_of(entity)
    sets = ", ".join(f"{field.name} = coalesce(:{field.name}, {field.name})" for field in fields)
    return make.write(
        "set", about, make.name("update", entity.noun.snake),
        f"Change {' or '.join(field.words for field in fields)} of {entity.noun.a}",
        [*first, update(entity, sets, parameter)],
        parameters={parameter: {"type": "string"}, **{field.name: schema_of(field) for field in fields}},
        optional=[field.name for field in fields],
        args={"id": parameter, **{field.name: field.name for field in fields}},
    )  # fmt: skip


def thing_ops(make: Maker, thing: ThingDesign, design: Design) -> Iterator[Op]:
    """Everything that can be done with one kind of thing."""
    find = _find(make, thing)
    yield find
    yield from _lists(make, thing)
    yield _get(make, thing, find.name)
    yield from _changes(make, thing, find.name)
    parents = [other.parent for other in design.things]
    if thing.grows and thing not in parents and thing.thing.name != design.verified:
        yield _add(make, thing)
        yield _remove(make, thing, design.records, find.name)
    if thing.parent:
        yield _children(make, thing)


def _find(make: Maker, thing: ThingDesign) -> Op:
    shown = [field.name for field in thing.fields[:2]] if not thing.separate else []
    columns = ", ".join([thing.key, "name", *shown])
    return make.read(
        "find", thing.thing.name, make.name("find", thing.noun.snake),
        f"Find {thing.noun.many} by name or part of it",
        [Give(give=f"SELECT {columns} FROM {thing.table} WHERE instr(fold(name), fold(:name)) > 0 "
                   "ORDER BY name LIMIT 6", shape="rows")],
        parameters={"name": {"type": "string", "minLength": 1, "maxLength": 60}},
        args={"name": "name"}, gives={"id": thing.key, "name": "name", **{name: name for name in shown}},
    )  # fmt: skip


def _lists(make: Maker, thing: ThingDesign) -> Iterator[Op]:
    filters = [field for field in thing.fields if field.kind in ("choices", "flag")]
    columns = ", ".join([thing.key, "name", *(field.name for field in thing.fields)])
    gives = {"id": thing.key, "name": "name", **{field.name: field.name for field in thing.fields}}
    many = thing.table
    if thing.separate and filters:
        for field in filters:
            yield make.read(
                "list", thing.thing.name, make.name("list", f"{many}_by_{field.name}"),
                f"{thing.noun.many.capitalize()} by {field.words}",
                [Give(give=f"SELECT {columns} FROM {thing.table} WHERE {field.name} = :{field.name} "
                           f"ORDER BY name LIMIT {_MOST}", shape="rows")],
                parameters={field.name: schema_of(field)}, detail=field.name, args={field.name: field.name},
                gives=gives,
            )  # fmt: skip
        filters = []
    by = f", all or by {' and '.join(field.words for field in filters)}" if filters else ""
    where = " AND ".join(f"(:{field.name} IS NULL OR {field.name} = :{field.name})" for field in filters)
    yield make.read(
        "list", thing.thing.name, make.name("list", many),
        f"List {thing.noun.many}{by}",
        [Give(give=f"SELECT {columns} FROM {thing.table} WHERE {where or '1'} ORDER BY name LIMIT {_MOST}",
              shape="rows")],
        parameters={field.name: schema_of(field) for field in filters}, optional=[field.name for field in filters],
        args={field.name: field.name for field in filters}, gives=gives,
    )  # fmt: skip


def _get(make: Maker, thing: ThingDesign, finder: str) -> Op:
    parameter = make.id_of(thing)
    columns = [f"t.{thing.key}", "t.name", *(f"t.{field.name}" for field in thing.fields)]
    join = ""
    gives = {"name": "name", **{field.name: field.name for field in thing.fields}}
    if thing.parent:
        columns.append(f"p.name AS {thing.parent.noun.snake}")
        join = f" JOIN {thing.parent.table} p ON p.{thing.parent.key} = t.{parent_column(thing)}"
        gives["parent"] = thing.parent.noun.snake
    query = f"SELECT {', '.join(columns)} FROM {thing.table} t{join} WHERE t.{thing.key} = :{parameter}"
    return get_one(make, thing, thing.thing.name, finder, query, gives)


def _changes(make: Maker, thing: ThingDesign, finder: str) -> Iterator[Op]:
    fields = [field for field in thing.fields if field.change]
    parameter = make.id_of(thing)
    if thing.coarse and len(fields) > 1:
        yield change_any(make, thing, thing.thing.name, fields, [known(thing, parameter, finder)])
        return
    for field in fields:
        yield make.write(
            "set", thing.thing.name, make.name("set", f"{thing.noun.snake}_{field.name}"),
            f"Change the {field.words} of {thing.noun.a}" if field.kind != "flag"
            else f"Say whether {thing.noun.a} is {field.flag}",
            [known(thing, parameter, finder), update(thing, f"{field.name} = :{field.name}", parameter)],
            parameters={parameter: {"type": "string"}, field.name: schema_of(field)}, detail=field.name,
            args={"id": parameter, field.name: field.name},
        )  # fmt: skip


def _add(make: Maker, thing: ThingDesign) -> Op:
    columns = [thing.key, "name"]
    values = [":fresh", ":name"]
    parameters: dict[str, Any] = {"name": {"type": "string", "minLength": 2, "maxLength": 60}}
    steps: list[Step] = []
    args = {"name": "name"}
    if thing.parent:
        parent = make.id_of(thing.parent)
        parameters[parent] = {"type": "string"}
        columns.append(parent_column(thing))
        values.append(f":{parent}")
        steps.append(known(thing.parent, parent, ""))
        args["parent"] = parent
    for field in thing.fields:
        parameters[field.name] = schema_of(field)
        columns.append(field.name)
        values.append(f":{field.name}")
        args[field.name] = field.name
    steps += [
        Require(
            require=f"SELECT 1 AS unused WHERE NOT EXISTS (SELECT 1 FROM {thing.table} WHERE fold(name) = fold(:name))",
            error="name_taken", message=f"There is {thing.noun.a} called {{name}} already.",
            hint="Choose another name, or change the one that is there.",
        ),
        Require(require=f"SELECT new_id('{thing.noun.snake[:1]}') AS fresh", error="no_id", message="No id is left."),
        Run(run=f"INSERT INTO {thing.table} ({', '.join(columns)}) VALUES ({', '.join(values)})"),
        Give(give=f"SELECT :fresh AS {thing.key}"),
    ]  # fmt: skip
    return make.write(
        "add", thing.thing.name, make.name("add", thing.noun.snake), f"Add {thing.noun.a}", steps,
        parameters=parameters, args=args, gives={"id": thing.key},
    )  # fmt: skip


def _remove(make: Maker, thing: ThingDesign, records: Sequence[RecordDesign], finder: str) -> Op:
    parameter = make.id_of(thing)
    steps: list[Step] = [known(thing, parameter, finder)]
    for record in records:
        for link in record.links:
            if link.to is thing:
                steps.append(
                    Require(
                        require=f"SELECT 1 AS unused WHERE NOT EXISTS (SELECT 1 FROM {record.table} "
                                f"WHERE {link.column} = :{parameter})",
                        error="in_use", message=f"{{{parameter}}} has {record.noun.many}.",
                        hint=f"{thing.noun.a.capitalize()} with {record.noun.many} stays.",
                    )
                )  # fmt: skip
    steps.append(Run(run=f"DELETE FROM {thing.table} WHERE {thing.key} = :{parameter}"))
    return make.write(
        "remove", thing.thing.name, make.name("remove", thing.noun.snake),
        f"Remove {thing.noun.a} that nothing refers to", steps,
        parameters={parameter: {"type": "string"}}, args={"id": parameter},
    )  # fmt: skip


def _children(make: Maker, thing: ThingDesign) -> Op:
    assert thing.parent is not None, "asked of a thing without a parent"
    parent = make.id_of(thing.parent)
    columns = ", ".join([thing.key, "name", *(field.name for field in thing.fields[:3])])
    return make.read(
        "of", thing.thing.name, make.name("list", f"{thing.table}_of_{thing.parent.noun.snake}"),
        f"The {thing.noun.many} of {thing.parent.noun.a}",
        [known(thing.parent, parent, ""),
         Give(give=f"SELECT {columns} FROM {thing.table} WHERE {parent_column(thing)} = :{parent} ORDER BY name",
              shape="rows")],
        parameters={parent: {"type": "string"}}, detail=thing.parent.thing.name, args={"id": parent},
        gives={"id": thing.key, "name": "name", **{field.name: field.name for field in thing.fields[:3]}},
    )  # fmt: skip
