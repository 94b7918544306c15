"""Goals whose plan depends on what a look-up shows: this one, or if it is full another."""

from __future__ import annotations

from collections.abc import Iterator

from mocktrial.synth.compose.create_goals import create_verb
from mocktrial.synth.compose.design import LinkDesign, RecordDesign, RuleDesign
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.compose.scene import GoalData, Named, Scene, calling, manner, named
from mocktrial.synth.compose.sql import free_places
from mocktrial.synth.kits import Field


def either_goals(scene: Scene) -> Iterator[GoalData]:
    """One for each record of a party and something with a capacity."""
    for record in scene.design.records:
        for rule in record.rules:
            link = next((item for item in record.links[1:] if item.name == rule.rule.capacity), None)
            if link is not None and len(record.links) == 2:
                yield from _either(scene, record, rule, link)


def _either(scene: Scene, record: RecordDesign, rule: RuleDesign, link: LinkDesign) -> Iterator[GoalData]:
    party = named(scene, record.party.to, record.party.name, record.party.words)
    first, second = named(scene, link.to, "first", link.words), named(scene, link.to, "second", link.words)
    create = scene.ops.get("create", record.record.name)
    free = scene.ops.get("free", record.record.name, link.name)
    verified = scene.ops.get("verify", record.party.to.thing.name)
    if create is None or free is None or party is None or first is None or second is None or verified:
        return
    words = {
        "verb": create_verb(scene, record), "a_noun": record.noun.a, "party": party.id,
        "prep": link.link.prep, "first": first.id, "second": second.id,
    }  # fmt: skip
    frames, told = scene.frames("either", words), _told(record)
    table, room = link.to.table, free_places(record, rule, "t") + " > 0"
    thirds = f"SELECT t.name FROM {table} t WHERE t.name NOT IN (:first, :second) AND {room}"
    looked = {"step": "room", "at_least": {free.gives["free"]: "one"}}
    yield {
        "id": "either", "tags": ["condition"],
        "wish": frames["wish"] + told, "instructions": [frame + told for frame in frames["instructions"]],
        "bind": [
            {"sql": f"SELECT t.name AS {party.id}, 1 AS one FROM {party.thing.table} t"},
            {"sql": f"SELECT t.name AS first FROM {table} t"},
            {"sql": f"SELECT t.name AS second FROM {table} t WHERE t.name <> :first AND {room}"},
            *({"name": item.name, "choices": scene.values(item)} for item in record.fields if item.kind != "flag"),
        ],
        "facts": [
            party.fact, first.fact | {"hide": False, "alternatives": ""},
            second.fact | {"alternatives": thirds},
        ],
        "plan": [
            party.call, first.call, calling(free, "room", {"id": first.key()}),
            second.call | {"when": looked | {"none": True}},
            _make(record, create, party, first, link) | {"when": looked},
            _make(record, create, party, second, link) | {"when": looked | {"none": True}},
        ],
        "finish": "It is made.",
    }  # fmt: skip


def _make(record: RecordDesign, create: Op, party: Named, way: Named, link: LinkDesign) -> GoalData:
    """The call that makes the record with the thing of `way`."""
    values: GoalData = {
        item.name: {"value": True} if item.kind == "flag" else {"bound": item.name} for item in record.fields
    }
    return calling(create, f"made_{way.id}", {record.party.name: party.key(), link.name: way.key(), **values})


def _told(record: RecordDesign) -> str:
    """A sentence with the values of the fields, which are all told."""
    parts = (
        f", {item.flag}" if item.kind == "flag"
        else f" {item.prep or f', {item.words}'} {{{item.name}{_manner(item)}}}".replace(" , ", ", ")
        for item in record.fields
    )  # fmt: skip
    text = "".join(parts).removeprefix(",")
    return f" For the rest:{text}." if text else ""


def _manner(item: Field) -> str:
    return f":{manner(item)}" if manner(item) else ""
