"""Goals of the families `math` and `search`: exact sums with a calculator, and answers two papers away."""

from __future__ import annotations

from collections.abc import Iterator

from mocktrial.synth.compose.extras import ANSWERS, PAPERS
from mocktrial.synth.compose.ops import Op
from mocktrial.synth.compose.scene import GoalData, Scene, calling, named, told
from mocktrial.synth.compose.sql import plain_number

_COUNTS = (3, 4, 6, 7, 9, 12, 15, 24)
_PERCENTS = (5, 8, 12, 15, 18, 25)
_ASKED = {"town": ("in which town did", "grow up"), "year": ("in which year was", "born")}


def maths_goals(scene: Scene) -> Iterator[GoalData]:
    """So many times a price, less a discount: four calls, each fed by the one before."""
    multiply, percent, subtract = (
        scene.ops.get("maths", "calculator", name) for name in ("multiply", "percent_of", "subtract")
    )
    if multiply is None or percent is None or subtract is None:
        return
    for thing in scene.design.things:
        way = named(scene, thing, thing.noun.snake)
        getter = scene.ops.get("get", thing.thing.name)
        for item in thing.fields:
            if item.kind != "money" or way is None or getter is None:
                continue
            words = {
                "thing": way.id,
                "label": item.words,
                "noun": thing.noun.one,
                "count": "count",
                "percent": "percent",
            }
            price = f":count * {item.name}"
            cost = f"({price}) - round(:percent * ({price}) / 100.0, 2)"
            yield {
                "id": f"cost-{item.name.replace('_', '-')[:18]}", "family": "math", "tags": ["arithmetic"],
                **scene.frames("ask_price", words),
                "bind": [{"sql": f"SELECT t.name AS {way.id} FROM {thing.table} t"},
                         {"name": "count", "choices": _COUNTS}, {"name": "percent", "choices": _PERCENTS}],
                "facts": [way.fact,
                          {"id": "count", "label": "the number of times", "question": "How many times?", "hide": False},
                          {"id": "percent", "label": "the discount", "question": "What is the discount in percent?",
                           "aliases": ["how much off", "percent", "percentage"]}],
                "plan": [
                    way.call, calling(getter, "got", {"id": way.key()}),
                    {"call": multiply.name, "id": "gross", "arguments": {
                        "a": {"step": "got", "take": getter.gives[item.name]}, "b": {"fact": "count"}}},
                    {"call": percent.name, "id": "off", "arguments": {
                        "percent": {"fact": "percent"}, "a": {"step": "gross", "take": "result"}}},
                    {"call": subtract.name, "id": "net", "subgoal": "told", "arguments": {
                        "a": {"step": "gross", "take": "result"}, "b": {"step": "off", "take": "result"}}},
                ],
                "finish": "It comes to {net.result}.",
                "subgoals": [{"id": "told", "kind": "tell",
                              "sql": f"SELECT {plain_number(cost)} FROM {thing.table} WHERE name = :{way.id}"}],
            }  # fmt: skip


def search_goals(scene: Scene) -> Iterator[GoalData]:
    """What a paper says of the person that another paper names."""
    search, read = scene.ops.get("search", PAPERS), scene.ops.get("open", PAPERS)
    thing = scene.design.things[0]
    way = named(scene, thing, thing.noun.snake)
    if search is None or read is None or way is None:
        return
    known = f"SELECT w.of AS {way.id} FROM {ANSWERS} w JOIN {thing.table} t ON t.name = w.of"
    fact = way.fact | {
        "question": f"Which {thing.noun.one} do you mean?",
        "alternatives": f"SELECT of FROM {ANSWERS} WHERE of <> :{way.id}",
    }
    body = {"body": {"step": "about", "take": read.gives["body"]}}
    start = "instr(:body, ' by ') + 4"
    person = f"'Who is ' || substr(:body, {start}, instr(:body, ', and has') - ({start}))"
    for answer, (lead, tail) in _ASKED.items():
        words = {"thing": way.id, "nouns": thing.noun.many, "lead": lead, "tail": tail}
        yield {
            "id": f"papers-{answer}", "family": "search", **scene.frames("document", words),
            "bind": [{"sql": known}], "facts": [fact],
            "plan": [
                calling(search, "found", {"words": {"fact": way.id}}),
                calling(read, "about", {"id": _first(search, "found")}),
                calling(search, "then", {"words": {"compute": person, "of": body}}),
                calling(read, "who", {"id": _first(search, "then")}, subgoal="told"),
            ],
            "finish": "The paper says: {who.body}",
            "subgoals": [told(f"SELECT {answer} FROM {ANSWERS} WHERE of = :{way.id}")],
        }  # fmt: skip


def _first(search: Op, step: str) -> GoalData:
    return {"step": step, "take": search.gives["id"], "first": True}
