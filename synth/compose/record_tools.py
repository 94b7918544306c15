"""Tables of records, and the tools that read them: lists, one whole, room left, counts and sums."""

from __future__ import annotations

from collections.abc import Iterator

from mocktrial.mocktools.spec import Column, Give, Table
from mocktrial.synth.compose.design import LinkDesign, RecordDesign, RuleDesign, snake
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.compose.record_writes import assign_op, change_ops, create_op, move_ops, note_op
from mocktrial.synth.compose.sql import active, free_places, join_links
from mocktrial.synth.compose.tools import Maker, column_of, get_one, known, schema_of
from mocktrial.synth.kits import Field


def table_of_record(record: RecordDesign) -> Table:
    columns = [Column(name=record.key)]
    columns += [Column(name=link.column, references=f"{link.to.table}.{link.to.key}") for link in record.links]
    columns += [column_of(field) for field in record.fields]
    columns.append(Column(name="status", choices=record.record.states))
    if record.noted:
        columns.append(Column(name="note", null=True))
    return Table(name=record.table, columns=tuple(columns), primary_key=(record.key,))


def record_ops(make: Maker, record: RecordDesign) -> Iterator[Op]:
    """Everything that can be done with one kind of record."""
    listing = [_of(make, record, link) for link in record.links]
    yield from listing
    finder = listing[0].name
    yield _get(make, record, finder)
    yield _browse(make, record)
    if record.record.create:
        yield create_op(make, record)
    yield from move_ops(make, record, finder)
    yield from change_ops(make, record, finder)
    for link in record.links:
        if link.link.change:
            yield assign_op(make, record, link, finder)
    for rule in record.rules:
        if rule.rule.kind == "capacity":
            yield _free(make, record, rule)
    if record.totals:
        yield _count(make, record)
        amounts = [field for field in record.fields if field.kind in ("money", "whole")]
        if amounts:
            yield _total(make, record, amounts[0])
    if record.noted:
        yield note_op(make, record, finder)


def _columns(record: RecordDesign, named: bool, noted: bool = False) -> tuple[str, str, dict[str, str]]:
    """What a list shows: columns, joins, and names by part."""
    columns = [f"r.{record.key}"]
    gives = {"id": record.key, "status": "status"}
    shown = record.links if named else ()
    for number, link in enumerate(record.links):
        columns.append(f"r.{link.column}")
        gives[f"{link.name}_id"] = link.column
        if named:
            columns.append(f"t{number}.name AS {link.name}")
            gives[link.name] = link.name
    for field in record.fields:
        columns.append(f"r.{field.name}")
        gives[field.name] = field.name
    columns.append("r.status")
    if noted and record.noted:
        columns.append("r.note")
        gives["note"] = "note"
    return ", ".join(columns), join_links(record, "r", shown), gives


def _of(make: Maker, record: RecordDesign, link: LinkDesign) -> Op:
    role = link.link.role or ""
    parameter = make.id_of(link.to, role)
    columns, joins, gives = _columns(record, record.named_links)
    # the state's filter is there where moves are told apart, so that structures differ
    filtered = not record.coarse_moves
    where = f"r.{link.column} = :{parameter}" + (" AND (:status IS NULL OR r.status = :status)" if filtered else "")
    state = {"status": {"type": "string", "enum": list(record.record.states)}} if filtered else {}
    words = f"{record.table}_of_{snake(link.words)}"
    return make.read(
        "of", record.record.name, make.name("list", words), f"The {record.noun.many} of a {link.words}",
        [known(link.to, parameter, ""),
         Give(give=f"SELECT {columns} FROM {record.table} r{joins} WHERE {where} ORDER BY r.{record.key} LIMIT 20",
              shape="rows")],
        parameters={parameter: {"type": "string"}, **state}, optional=list(state), detail=link.name,
        args={"id": parameter, **{name: name for name in state}}, gives=gives,
    )  # fmt: skip


def _get(make: Maker, record: RecordDesign, finder: str) -> Op:
    parameter = make.id_of(record)
    columns, joins, gives = _columns(record, True, noted=True)
    query = f"SELECT {columns} FROM {record.table} r{joins} WHERE r.{record.key} = :{parameter}"
    return get_one(make, record, record.record.name, finder, query, gives)


def _browse(make: Maker, record: RecordDesign) -> Op:
    filters = [field for field in record.fields if field.kind in ("choices", "day")][:2]
    columns, joins, gives = _columns(record, False)
    tests = [f"(:{field.name} IS NULL OR r.{field.name} = :{field.name})" for field in filters]
    tests.append("(:status IS NULL OR r.status = :status)")
    state = {"status": {"type": "string", "enum": list(record.record.states)}}
    parameters = {**{field.name: schema_of(field) for field in filters}, **state}
    return make.read(
        "browse", record.record.name, make.name("list", record.table),
        f"All {record.noun.many}, or those with some {' or '.join([*(f.words for f in filters), 'status'])}",
        [Give(give=f"SELECT {columns} FROM {record.table} r{joins} WHERE {' AND '.join(tests)} ORDER BY r.{record.key}",
              shape="rows")],
        parameters=parameters, optional=list(parameters), paged=True, args={name: name for name in parameters},
        gives=gives,
    )  # fmt: skip


def _free(make: Maker, record: RecordDesign, rule: RuleDesign) -> Op:
    link = record.link(rule.rule.capacity or "")
    parameter = make.id_of(link.to)
    return make.read(
        "free", record.record.name, make.name("free", snake(link.words)),
        f"How many more {record.noun.many} a {link.words} has room for",
        [known(link.to, parameter, ""),
         Give(give=f"SELECT c.name, {free_places(record, rule, 'c')} AS free FROM {link.to.table} c "
                   f"WHERE c.{link.to.key} = :{parameter}")],
        parameters={parameter: {"type": "string"}}, detail=link.name, args={"id": parameter},
        gives={"free": "free", "name": "name"},
    )  # fmt: skip


def _count(make: Maker, record: RecordDesign) -> Op:
    state = {"status": {"type": "string", "enum": list(record.record.states)}}
    return make.read(
        "count", record.record.name, make.name("count", record.table), f"How many {record.noun.many} have a status",
        [Give(give=f"SELECT count(*) AS number FROM {record.table} WHERE status = :status")],
        parameters=state, args={"status": "status"}, gives={"number": "number"},
    )  # fmt: skip


def _total(make: Maker, record: RecordDesign, field: Field) -> Op:
    link = record.party
    parameter = make.id_of(link.to, link.link.role or "")
    return make.read(
        "total", record.record.name, make.name("total", f"{field.name}_of_{snake(link.words)}"),
        f"The sum of {field.words} over the active {record.noun.many} of a {link.words}",
        [known(link.to, parameter, ""),
         Give(give=f"SELECT coalesce(sum(r.{field.name}), 0) AS total FROM {record.table} r "
                   f"WHERE r.{link.column} = :{parameter} AND {active(record, 'r')}")],
        parameters={parameter: {"type": "string"}}, detail=field.name, args={"id": parameter}, gives={"total": "total"},
    )  # fmt: skip
