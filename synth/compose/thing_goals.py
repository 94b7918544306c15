"""Goals about things: look a field up, set one, note a flag, raise or lower a number, find the best."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mocktrial.synth.compose.design import ThingDesign, snake, with_article
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.compose.scene import GoalData, Named, Scene, calling, manner, named, question, told
from mocktrial.synth.compose.sql import tellings, text
from mocktrial.synth.kits import Field

_PERCENTS = (5, 10, 15, 20, 25, 40)
_STEPS = (1, 2, 3, 4)
_WIDE = 50  # span of a number that people change by percent


def thing_goals(scene: Scene, thing: ThingDesign) -> Iterator[GoalData]:
    """Every goal that this world allows about one kind of thing."""
    person = named(scene, thing, thing.noun.snake)
    if person is None:
        return
    ways = [person]
    if thing.thing.people:
        namesake = named(scene, thing, thing.noun.snake, namesake=True)
        ways += [namesake] if namesake else []
    getter = scene.ops.get("get", thing.thing.name)
    for item in thing.fields:
        way = scene.chance.choice(ways)
        if getter and item.kind != "flag":
            yield _tell(scene, way, item, getter)
        setter = scene.ops.get("set", thing.thing.name, item.name)
        if setter is None or item.name not in setter.args:
            continue
        yield _flag(scene, way, item, setter) if item.kind == "flag" else _set(scene, way, item, setter)
        if item.kind in ("whole", "money") and getter:
            low, high = item.whole or item.money or (0, 0)
            yield _computed(scene, way, item, setter, getter, up=high - low >= _WIDE)
    yield from best_goals(scene, thing)
    yield from limit_goals(scene, thing)


def _bind(way: Named, columns: str = "") -> dict[str, str]:
    table = way.thing.table
    return {"sql": f"SELECT t.name AS {way.id}{columns}{way.extra} FROM {table} t WHERE 1{way.test}"}


def _tell(scene: Scene, way: Named, item: Field, getter: Op) -> GoalData:
    words = {"thing": way.id, "label": item.words, "noun": way.thing.noun.one}
    frames = _renamed(scene.frames("tell", words), way)
    return {
        "id": f"tell-{snake(item.name)}"[:32], **frames, "bind": [_bind(way)], "facts": [way.fact],
        "plan": [way.call, calling(getter, "got", {"id": way.key()}, subgoal="told")],
        "finish": f"The {item.words} is {{got.{getter.gives[item.name]}}}.",
        "subgoals": [told(tellings(item.name, f"FROM {way.thing.table} WHERE name = :{way.id}", item.kind))],
    }  # fmt: skip


def _renamed(frames: dict[str, Any], way: Named) -> dict[str, Any]:
    """The frames with the way that this user names the thing, where that is by an ambiguous first name."""
    if not way.extra:
        return frames
    noun = way.thing.noun.one
    first = f"{{{way.id}_first}}"
    changed = [
        frame.replace(f"|the {noun}'s]", f"|{first}'s]").replace(f"|The {noun}'s]", f"|{first}'s]")
        .replace(f"|the {noun}]", f"|{first}]").replace(f"|The {noun}]", f"|{first}]")
        for frame in frames["instructions"]
    ]  # fmt: skip
    return frames | {"instructions": changed}


def _set(scene: Scene, way: Named, item: Field, setter: Op) -> GoalData:
    words = {"thing": way.id, "label": item.words, "noun": way.thing.noun.one, "fact": "value"}
    fact = scene.value_fact(item, "value", label=f"the new {item.words}", question=f"What is the new {item.words}?")
    return {
        "id": f"set-{snake(item.name)}"[:32], **_renamed(scene.frames("set", words), way),
        "bind": [_bind(way), {"name": "value", "choices": scene.values(item)}],
        "facts": [way.fact, fact],
        "plan": [way.call, _set_call(way, item, setter, {"fact": "value"})],
        "finish": f"The {item.words} is now {{value}}.",
    }  # fmt: skip


def _set_call(way: Named, item: Field, setter: Op, value: dict[str, Any]) -> GoalData:
    return {
        "call": setter.name,
        "id": "changed",
        "arguments": {setter.args["id"]: way.key(), setter.args[item.name]: value},
    }


def _flag(scene: Scene, way: Named, item: Field, setter: Op) -> GoalData:
    words = {"thing": way.id, "noun": way.thing.noun.one, "fact": "value"}
    fact = scene.value_fact(item, "value")
    return {
        "id": f"flag-{snake(item.name)}"[:32], **_renamed(scene.frames("flag", words), way),
        "bind": [_bind(way), {"name": "value", "choices": [True, False]}], "facts": [way.fact, fact],
        "plan": [way.call, _set_call(way, item, setter, {"fact": "value"})],
        "finish": "That is noted: {value}.",
    }  # fmt: skip


def _computed(scene: Scene, way: Named, item: Field, setter: Op, getter: Op, *, up: bool) -> GoalData:
    words = {"thing": way.id, "label": item.words, "noun": way.thing.noun.one, "fact": "change"}
    expression = "CAST(round(:old * (100 + :change) / 100.0) AS INTEGER)" if up else ":old - :change"
    fact = {
        "id": "change",
        "label": "the change",
        "question": "By how much?",
        "aliases": ["how many", "percent", "what percentage"],
    }
    return {
        "id": f"{'raise' if up else 'lower'}-{snake(item.name)}"[:32], "tags": ["arithmetic"],
        **_renamed(scene.frames("raise" if up else "lower", words), way),
        "bind": [_bind(way), {"name": "change", "choices": list(_PERCENTS if up else _STEPS)}],
        "facts": [way.fact, fact],
        "plan": [
            way.call, calling(getter, "got", {"id": way.key()}),
            _set_call(way, item, setter, {
                "compute": expression, "of": {"old": {"step": "got", "take": getter.gives[item.name]}},
            }),
        ],
        "finish": f"The {item.words} is changed.",
    }  # fmt: skip


def superlatives(thing: ThingDesign) -> dict[str, str]:
    """What people call the first by each order: {"+fee": "the cheapest", "-years": "the most experienced"}."""
    found = {f"+{item.name}": f"the {item.low}" for item in thing.fields if item.low}
    return found | {f"-{item.name}": f"the {item.high}" for item in thing.fields if item.high}


def bounded(thing: ThingDesign) -> list[tuple[str, Field]]:
    """An order to choose by and a number to keep below a limit, in every pair."""
    numbers = [item for item in thing.fields if item.kind in ("whole", "money")]
    return [(order, item) for order in sorted(superlatives(thing)) for item in numbers if order[1:] != item.name]


def limit_fact(scene: Scene, item: Field) -> GoalData:
    """The most that the user takes of a number, bound as `most`."""
    words = item.words
    return scene.value_fact(
        item, "most", kind="constraint", aliases=["limit", "at most", "maximum", words],
        label=f"the limit of the {words}", question=f"Is there a limit for the {words}?",
    )  # fmt: skip


def within(item: Field) -> str:
    """The part of a sentence that tells the limit, or that there is one."""
    return f"[ with {with_article(item.words)} of at most {{most}}| within our limit for the {item.words}]"


def narrowed(scene: Scene, thing: ThingDesign) -> tuple[Op | None, Field | None]:
    """A list tool of the thing, and the choice field that it can be narrowed by."""
    for item in thing.fields:
        if item.kind == "choices":
            op = scene.ops.get("list", thing.thing.name, item.name)
            if op is not None and item.name in op.args:
                return op, item
    return scene.ops.get("list", thing.thing.name, ""), None


def best_goals(scene: Scene, thing: ThingDesign) -> Iterator[GoalData]:
    """Which one is the cheapest: the wish may leave out by what measure, or of which kind."""
    orders = superlatives(thing)
    listing, item = narrowed(scene, thing)
    getter = scene.ops.get("get", thing.thing.name)
    if listing is None or getter is None or len(orders) < 2:
        return
    bind: list[GoalData] = [{"name": "wanted", "choices": sorted(orders)}]
    facts: list[GoalData] = [{
        "id": "wanted", "kind": "preference", "label": "what matters most", "question": "What matters most to you?",
        "aliases": ["preference", "what kind", "by what", "in what way"], "spoken_as": orders,
    }]  # fmt: skip
    arguments: GoalData = {}
    where = ""
    if item is not None:
        column = f"SELECT {item.name} AS {item.name} FROM {thing.table} GROUP BY {item.name} HAVING count(*) > 1"
        bind.append({"sql": column})
        facts.append({
            "id": item.name, "label": f"the {item.words}", "question": question(item), "says": manner(item),
            "hide": False,
        })  # fmt: skip
        arguments = {listing.args[item.name]: {"fact": item.name}}
        where = f" with {item.words} {{{item.name}}}"
    words = {"noun": thing.noun.one, "nouns": thing.noun.many, "where": where, "fact": "wanted"}
    frames = scene.frames("best", words)
    frames["instructions"] = [frame.replace("{wanted}", "[{wanted}|best for us]") for frame in frames["instructions"]]
    cases = " ".join(
        f"WHEN {text(order)} THEN {'-' if order.startswith('-') else ''}{_number(thing, order[1:])}"
        for order in sorted(orders)
    )
    within = f" WHERE {item.name} = :{item.name}" if item is not None else ""
    yield {
        "id": "best", "tags": ["choice"], **frames, "bind": bind, "facts": facts,
        "plan": [
            {"call": listing.name, "id": "listed", "arguments": arguments},
            {"call": getter.name, "id": "got", "subgoal": "told", "arguments": {
                getter.args["id"]: {"step": "listed", "take": listing.gives["id"], "best": "{wanted}"},
            }},
        ],
        "finish": f"That is {{got.{getter.gives['name']}}}.",
        "subgoals": [told(f"SELECT name FROM {thing.table}{within} ORDER BY CASE :wanted {cases} END LIMIT 1")],
    }  # fmt: skip


def limit_goals(scene: Scene, thing: ThingDesign) -> Iterator[GoalData]:
    """Which one is the cheapest of those within a limit, which the wish may leave out."""
    listing = scene.ops.get("list", thing.thing.name, "")
    getter = scene.ops.get("get", thing.thing.name)
    pairs = bounded(thing)
    if listing is None or getter is None or not pairs:
        return
    best, bound = scene.chance.choice(pairs)
    words = {"noun": thing.noun.one, "nouns": thing.noun.many, "where": within(bound), "fact": "best"}
    frames = scene.frames("best", words)
    order = f"{'-' if best.startswith('-') else ''}{_number(thing, best[1:])}"
    chosen = {
        "step": "listed",
        "take": listing.gives["id"],
        "best": best,
        "at_most": {listing.gives[bound.name]: "most"},
    }
    spoken = superlatives(thing)[best]
    yield {
        "id": "best-within", "tags": ["choice"],
        "wish": _whole(frames["wish"]).replace("{best}", spoken),
        "instructions": [frame.replace("{best}", spoken) for frame in frames["instructions"]],
        "bind": [{"name": "most", "choices": scene.values(bound)[2:]}], "facts": [limit_fact(scene, bound)],
        "plan": [calling(listing, "listed", {}), calling(getter, "got", {"id": chosen}, subgoal="told")],
        "finish": f"That is {{got.{getter.gives['name']}}}.",
        "subgoals": [told(f"SELECT name FROM {thing.table} WHERE {bound.name} <= :most ORDER BY {order} LIMIT 1")],
    }  # fmt: skip


def _whole(text: str) -> str:
    """A template with the first words of each part in brackets."""
    return re.sub(r"\[([^|\]]*)(?:\|[^\]]*)?\]", r"\1", text)


def _number(thing: ThingDesign, name: str) -> str:
    """An expression that orders by the field: days and times as numbers."""
    item = thing.field(name)
    kind = item.kind if item else "whole"
    if kind == "day":
        return f"days_between(today(), {name})"
    if kind == "time":
        return f"minutes_between('2026-01-01T00:00', '2026-01-01T' || {name})"
    return name
