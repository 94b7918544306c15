"""Goals about records: make one, take it through its life, change it, look it up, sum over a party's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mocktrial.synth.compose.design import RecordDesign
from mocktrial.synth.compose.scene import (
    Chosen,
    GoalData,
    Named,
    Scene,
    calling,
    capital,
    choose,
    family,
    goal_id,
    named,
    told,
    wording,
)  # fmt: skip
from mocktrial.synth.compose.sql import active, taken_by, tellings, text
from mocktrial.synth.kits import Move

LATER = "state"  # the bound name of a record's present state


def record_goals(scene: Scene, record: RecordDesign) -> Iterator[GoalData]:
    """Every goal that this world allows about one kind of record."""
    for move in record.moves:
        yield from _moves(scene, record, move)
    yield from _changes(scene, record)
    yield from _assigns(scene, record)
    yield from _looks(scene, record)
    yield from sum_goals(scene, record)


def ways(scene: Scene, record: RecordDesign, states: Sequence[str], **more: Any) -> Iterator[tuple[str, Chosen]]:
    """The ways to point at a record in this world, each with a short name."""
    options: list[tuple[str, dict[str, Any]]] = [("", {}), ("one", {"single": True})]
    if record.party.to.thing.people:
        options.append(("namesake", {"single": True, "namesake": True}))
    options.append(("mistaken", {"wrong": True}))
    for name, how in options:
        chosen = choose(scene, record, states, **how, **more)
        if chosen is None or (name == "mistaken" and not _is_day(record, chosen.mark)):
            continue
        yield name, chosen


def _is_day(record: RecordDesign, mark: str) -> bool:
    item = record.field(mark)
    return item is not None and item.kind == "day"


def move_call(scene: Scene, record: RecordDesign, move: Move, key: dict[str, Any], **more: Any) -> GoalData | None:
    """The call that takes a record one step on."""
    op = scene.ops.get("move", record.record.name, move.verb)
    if op is None:
        return None
    arguments: GoalData = {op.args["id"]: key}
    if "status" in op.args:
        arguments[op.args["status"]] = {"value": move.to}
    return {"call": op.name, "id": "moved", "arguments": arguments, **more}


def verification(scene: Scene, party: Named) -> tuple[list[GoalData], list[GoalData], str]:
    """Where people must prove who they are: the call, the fact, and the column to bind."""
    op = scene.ops.get("verify", party.thing.thing.name)
    if op is None:
        return [], [], ""
    fact = {
        "id": "pin",
        "label": "the PIN",
        "question": "What is the PIN?",
        "aliases": ["pin", "pin number"],
        "hide": False,
    }
    call = calling(op, "verified", {"id": party.key(), "pin": {"fact": "pin"}})
    return [call], [fact], ", t.pin AS pin"


def with_pin(scene: Scene, data: GoalData) -> GoalData:
    """The goal with a sentence that tells the PIN, where its plan verifies one."""
    if not any(fact["id"] == "pin" for fact in data["facts"]):
        return data
    sentences = scene.chance.sample(wording()["pin"]["sentences"], len(data["instructions"]))
    pairs = zip(data["instructions"], sentences, strict=True)
    return data | {
        "wish": f"{data['wish']} The PIN is {{pin}}.",
        "instructions": [f"{text} {sentence}" for text, sentence in pairs],
    }


def _bound(chosen: Chosen, column: str) -> GoalData:
    """The binding of a chosen record, with one more column."""
    return {"sql": chosen.bind.replace(" FROM ", f"{column} FROM ", 1)}


def _moves(scene: Scene, record: RecordDesign, move: Move) -> Iterator[GoalData]:
    for name, chosen in ways(scene, record, move.of):
        call = move_call(scene, record, move, chosen.key())
        if call is None:
            return
        checks, facts, column = verification(scene, chosen.party)
        words = {"verb": scene.chance.choice((move.verb, *move.also)), "ref": chosen.ref, "undone": move.undoes}
        frames = scene.frames("undo" if move.undoes else "move", words)
        frames["wish"] = capital(f"{move.verb} {chosen.wish}.")
        if move.confirm:
            call["confirm"] = f"Shall I {move.verb} {chosen.wish}?"
        yield with_pin(scene, {
            "id": goal_id(move.verb, name), **frames,
            "family": "policy" if checks or move.confirm else "tool_use", "tags": ["undo"] if move.undoes else [],
            "bind": [_bound(chosen, column)], "facts": [*chosen.facts, *facts],
            "plan": [chosen.calls[0], *checks, chosen.calls[1], call],
            "finish": f"Done: the {record.noun.one} is now {move.to}.",
        })  # fmt: skip
    if not move.confirm:
        yield from _loop(scene, record, move)


def _loop(scene: Scene, record: RecordDesign, move: Move) -> Iterator[GoalData]:
    """The move for all of a party's records in one state."""
    state, link = move.of[0], record.party
    party = named(scene, link.to, link.name, link.words)
    listing = scene.ops.get("of", record.record.name, link.name)
    if party is None or listing is None:
        return
    key = {"step": "records", "take": listing.gives["id"]}
    call = move_call(scene, record, move, key, each="records", where={"status": LATER})
    if call is None:
        return
    checks, facts, column = verification(scene, party)
    words = {
        "verb": move.verb,
        "nouns": record.noun.many,
        "state": state,
        "party": party.id,
        "noun": party.thing.noun.one,
    }
    fitting = f"r.{link.column} = t.{link.to.key} AND r.status = {text(state)}"
    number = f"(SELECT count(*) FROM {record.table} r WHERE {fitting})"
    choice = f"FROM {link.to.table} t WHERE {number} BETWEEN 2 AND 4"
    yield with_pin(scene, {
        "id": goal_id(f"all {move.verb}"), "tags": ["loop"], **scene.frames("loop", words),
        "family": family(checks),
        "bind": [{"sql": f"SELECT t.name AS {party.id}, {text(state)} AS {LATER}{column} {choice}"}],
        "facts": [party.fact | {"alternatives": f"SELECT t.name {choice} AND t.name <> :{party.id}"}, *facts],
        "plan": [party.call, *checks, calling(listing, "records", {"id": party.key()}), call],
        "finish": f"All of them are now {move.to}.",
    })  # fmt: skip


def _changes(scene: Scene, record: RecordDesign) -> Iterator[GoalData]:
    for item in record.fields:
        op = scene.ops.get("set", record.record.name, item.name)
        if op is None or item.name not in op.args or item.kind == "flag":
            continue
        for name, chosen in ways(scene, record, record.active):
            if name == "one" or (chosen.mark == item.name and name != "mistaken"):
                continue
            checks, facts, column = verification(scene, chosen.party)
            fact = scene.value_fact(
                item, "value", label=f"the new {item.words}", question=f"What is the new {item.words}?"
            )
            fact["aliases"] = [f"new {word}" for word in fact["aliases"]]
            words = {"label": item.words, "ref": chosen.ref, "fact": "value"}
            frames = scene.frames("change", words)
            frames["wish"] = f"Change the {item.words} of {chosen.wish} to {{value}}."
            yield with_pin(scene, {
                "id": goal_id(f"set {item.name}", name), **frames, "family": family(checks),
                "bind": [_bound(chosen, column), {"name": "value", "choices": scene.values(item)}],
                "facts": [*chosen.facts, fact, *facts],
                "plan": [chosen.calls[0], *checks, chosen.calls[1],
                         calling(op, "changed", {"id": chosen.key(), item.name: {"fact": "value"}})],
                "finish": f"The {item.words} is changed to {{value}}.",
            })  # fmt: skip


def _assigns(scene: Scene, record: RecordDesign) -> Iterator[GoalData]:
    for link in record.links:
        op = scene.ops.get("assign", record.record.name, link.name)
        other = named(scene, link.to, "new", link.words)
        if op is None or other is None:
            continue
        for name, chosen in ways(scene, record, record.active):
            if chosen.mark == link.name or link is record.party:
                continue
            checks, facts, column = verification(scene, chosen.party)
            fact = other.fact | {"label": f"the new {link.words}", "question": f"To which {link.words} should it go?"}
            words = {"ref": chosen.ref, "new": "new", "other": link.words}
            frames = scene.frames("assign", words)
            frames["wish"] = f"Give {chosen.wish} to {{new}} instead."
            yield with_pin(scene, {
                "id": goal_id(f"assign {link.words}", name), **frames, "family": family(checks),
                "bind": [_bound(chosen, column),
                         {"sql": f"SELECT name AS new FROM {link.to.table} WHERE 1"}],
                "facts": [*chosen.facts, fact, *facts],
                "plan": [chosen.calls[0], *checks, chosen.calls[1], other.call,
                         calling(op, "changed", {"id": chosen.key(), "to": other.key()})],
                "finish": "It now goes to {new}.",
            })  # fmt: skip


def _looks(scene: Scene, record: RecordDesign) -> Iterator[GoalData]:
    """What a record says."""
    getter = scene.ops.get("get", record.record.name)
    for item in record.fields:
        if item.kind == "flag" or getter is None:
            continue
        for name, chosen in ways(scene, record, record.record.states, extra=f", r.{record.key} AS record"):
            if chosen.mark == item.name or name == "mistaken":
                continue
            frames = scene.frames("tell_record", {"label": item.words, "ref": chosen.ref})
            frames["wish"] = f"Find out the {item.words} of {chosen.wish}."
            yield {
                "id": goal_id(f"tell {item.name}", name), **frames,
                "bind": [{"sql": chosen.bind}], "facts": chosen.facts,
                "plan": [*chosen.calls, calling(getter, "got", {"id": chosen.key()}, subgoal="told")],
                "finish": f"The {item.words} is {{got.{getter.gives[item.name]}}}.",
                "subgoals": [told(tellings(item.name, f"FROM {record.table} WHERE {record.key} = :record", item.kind))],
            }  # fmt: skip


def sum_goals(scene: Scene, record: RecordDesign) -> Iterator[GoalData]:
    """How many records have a status, and what a party's active ones come to."""
    count = scene.ops.get("count", record.record.name)
    if count is not None:
        fact = {
            "id": "state",
            "label": "the status",
            "question": "In which status?",
            "aliases": ["state", "which ones"],
        }
        yield {
            "id": "count", **scene.frames("count", {"nouns": record.noun.many, "fact": "state"}),
            "bind": [{"name": "state", "choices": list(record.record.states)}], "facts": [fact],
            "plan": [calling(count, "got", {"status": {"fact": "state"}}, subgoal="told")],
            "finish": "There are {got.number}.",
            "subgoals": [told(f"SELECT count(*) FROM {record.table} WHERE status = :state")],
        }  # fmt: skip
    total = scene.ops.get("total", record.record.name)
    party = named(scene, record.party.to, record.party.name, record.party.words)
    item_of_total = record.field(total.detail) if total else None
    if total is None or party is None or item_of_total is None:
        return
    words = {
        "label": item_of_total.words, "party": party.id, "noun": party.thing.noun.one, "nouns": record.noun.many,
    }  # fmt: skip
    link = record.party
    join = f"JOIN {link.to.table} t ON t.{link.to.key} = r.{link.column}"
    own = f"SELECT sum(r.{item_of_total.name}) FROM {record.table} r {join}"
    several = f"{taken_by(record, link, f't.{link.to.key}')} > 1"
    yield {
        "id": "total", "tags": ["arithmetic"], **scene.frames("total", words),
        "bind": [{"sql": f"SELECT t.name AS {party.id} FROM {link.to.table} t WHERE {several}"}],
        "facts": [party.fact],
        "plan": [party.call, calling(total, "got", {"id": party.key()}, subgoal="told")],
        "finish": "It comes to {got.total}.",
        "subgoals": [told(f"{own} WHERE t.name = :{party.id} AND {active(record, 'r')}")],
    }  # fmt: skip
