"""Structure: renaming everything keeps it, changing one reference, rule or step changes it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools.image import compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.audit.canonical import canonical
from mocktrial.synth.audit.sqlwords import words
from mocktrial.synth.audit.structure import tool_identity, tool_structure, world_structure
from mocktrial.synth.blueprint import load_blueprint, shipped_domains

WORDS = re.compile(r"'(?:[^']|'')*'|[:\w]+|\W")


def renamed(spec: WorldSpec, chance: random.Random) -> WorldSpec:
    """Every table, column, tool, parameter and choice under another name, everything in another order."""
    names: dict[str, str] = {}
    for table in spec.tables():
        for name in (table.name, *(column.name for column in table.columns)):
            names.setdefault(name, f"n{len(names)}_{chance.randrange(99)}")
    choices = {choice: f"v{at}" for at, choice in enumerate(sorted({
        choice for table in spec.tables() for column in table.columns for choice in column.choices
    }))}  # fmt: skip

    def sql(text: str, params: dict[str, str]) -> str:
        def word(match: re.Match[str]) -> str:
            found = match[0]
            if found.startswith("'"):
                return f"'{choices.get(found[1:-1], found[1:-1])}'"
            return (
                f":{params.get(found[1:], names.get(found[1:], found[1:]))}"
                if found[0] == ":"
                else names.get(found, found)
            )

        return WORDS.sub(word, text)

    body: dict[str, Any] = spec.model_dump(mode="json", exclude={"rows", "rules", "description"})
    for kit in body["toolkits"]:
        for table in kit["tables"]:
            for column in table["columns"]:
                if column["references"]:
                    column["references"] = ".".join(names[part] for part in column["references"].split("."))
                column["name"] = names[column["name"]]
                column["choices"] = [choices[choice] for choice in column["choices"]]
            chance.shuffle(table["columns"])
            table["checks"] = [sql(check, {}) for check in table["checks"]]
            table["name"], table["primary_key"] = names[table["name"]], [names[name] for name in table["primary_key"]]
        for at, tool in enumerate(kit["tools"]):
            params = {name: f"p{chance.randrange(9)}{place}" for place, name in enumerate(tool["parameters"])}
            tool["parameters"] = {params[name]: schema for name, schema in tool["parameters"].items()}
            tool["required"] = [params[name] for name in tool["required"]]
            tool["name"], tool["description"] = f"tool_{at}", "Other words."
            for step in tool["steps"]:
                for key in ("require", "run", "give"):
                    if key in step:
                        step[key] = sql(step[key], params)
        chance.shuffle(kit["tools"])
    chance.shuffle(body["toolkits"])
    return WorldSpec.model_validate(body)


@pytest.mark.parametrize("domain", shipped_domains())
@pytest.mark.parametrize("seed", range(3))
def test_renaming_everything_keeps_the_structure(domain: str, seed: int) -> None:
    spec = load_blueprint(domain).world
    other = renamed(spec, random.Random(seed))
    assert world_structure(other) == world_structure(spec)
    old = sorted(tool_structure(tool, spec) for tool in spec.tools())
    assert sorted(tool_structure(tool, other) for tool in other.tools()) == old
    assert not {tool_identity(tool) for tool in spec.tools()} & {tool_identity(tool) for tool in other.tools()}


def test_shipped_domains_differ() -> None:
    assert len({world_structure(load_blueprint(name).world) for name in shipped_domains()}) == 3


SPEC: dict[str, Any] = {
    "name": "shop", "now": "2026-01-05T09:00:00",
    "toolkits": [{"name": "shop", "tables": [
        {"name": "people", "primary_key": ["id"], "columns": [{"name": "id"}, {"name": "name"}, {"name": "town"}]},
        {"name": "items", "primary_key": ["id"], "columns": [{"name": "id"}, {"name": "price", "type": "integer"}, {"name": "stock", "type": "integer"}], "checks": ["price > 0"]},
        {"name": "orders", "primary_key": ["id"], "columns": [
            {"name": "id"}, {"name": "person", "references": "people.id"}, {"name": "item", "references": "items.id"},
            {"name": "status", "choices": ["open", "paid", "sent"]}]},
    ], "tools": [
        {"name": "pay", "description": "Pay.", "effect": "write", "parameters": {"order": {"type": "string"}}, "required": ["order"], "steps": [
            {"require": "SELECT id FROM orders WHERE id = :order", "error": "unknown", "message": "none"},
            {"require": "SELECT id FROM orders WHERE id = :order AND status = 'open'", "error": "closed", "message": "no"},
            {"run": "UPDATE orders SET status = 'paid' WHERE id = :order"}]},
        {"name": "find", "description": "Find.", "effect": "read", "parameters": {"town": {"type": "string"}}, "required": ["town"], "steps": [
            {"give": "SELECT id, name FROM people WHERE town = :town ORDER BY id LIMIT 5", "shape": "rows"}]},
    ]}],
}  # fmt: skip


def spec(change: Callable[[dict[str, Any]], None] = lambda body: None) -> WorldSpec:
    body = WorldSpec.model_validate(SPEC).model_dump(mode="json")
    change(body["toolkits"][0])
    made = WorldSpec.model_validate(body)
    compile_world(made)
    return made


def table(body: dict[str, Any], name: str) -> dict[str, Any]:
    return next(table for table in body["tables"] if table["name"] == name)


def step(body: dict[str, Any], tool: int, at: int, key: str, old: str, new: str) -> None:
    assert old in body["tools"][tool]["steps"][at][key]
    body["tools"][tool]["steps"][at][key] = body["tools"][tool]["steps"][at][key].replace(old, new)


WORLD_CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a reference elsewhere": lambda b: table(b, "orders")["columns"][1].update(references="items.id"),
    "a reference less": lambda b: table(b, "orders")["columns"][1].update(references=""),
    "a column more": lambda b: table(b, "people")["columns"].append({"name": "age", "type": "integer"}),
    "another type": lambda b: table(b, "people")["columns"][2].update(type="date"),
    "a state more": lambda b: table(b, "orders")["columns"][3]["choices"].append("lost"),
    "another transition": lambda b: step(b, 0, 1, "require", "'open'", "'paid'"),
    "another end": lambda b: step(b, 0, 2, "run", "'paid'", "'open'"),
    "a check more": lambda b: table(b, "items")["checks"].append("stock >= 0"),
    "another check": lambda b: table(b, "items").update(checks=["price >= 0"]),
    "a check of another column": lambda b: table(b, "items").update(checks=["price > stock"]),
    "a rule more": lambda b: b["tools"][0]["steps"].insert(1, {"require": "SELECT 1 AS one FROM orders WHERE status <> 'sent'", "error": "x", "message": "x"}),
    "a table more": lambda b: b["tables"].append({"name": "towns", "primary_key": ["id"], "columns": [{"name": "id"}]}),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLD_CHANGES)
def test_one_change_makes_another_world(name: str) -> None:
    assert world_structure(spec(WORLD_CHANGES[name])) != world_structure(spec())


WORLD_SAME: dict[str, Callable[[dict[str, Any]], None]] = {
    "a look-up more": lambda b: b["tools"][1]["steps"].insert(0, {"require": "SELECT id FROM people WHERE town = :town", "error": "x", "message": "x"}),
    "other columns given": lambda b: step(b, 1, 0, "give", "id, name", "name"),
    "other words": lambda b: b["tools"][0].update(description="Settle."),
    "columns in another order": lambda b: table(b, "people")["columns"].reverse(),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLD_SAME)
def test_tools_and_words_are_no_part_of_a_worlds_structure(name: str) -> None:
    assert world_structure(spec(WORLD_SAME[name])) == world_structure(spec())


TOOL_CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a step less": lambda b: b["tools"][0]["steps"].pop(1),
    "another operator": lambda b: step(b, 0, 1, "require", "status =", "status <>"),
    "a column more": lambda b: step(b, 1, 0, "give", "id, name", "id, name, town"),
    "another order": lambda b: step(b, 1, 0, "give", "ORDER BY id", "ORDER BY id DESC"),
    "a function": lambda b: step(b, 1, 0, "give", "town = :town", "lower(town) = :town"),
    "an optional parameter": lambda b: b["tools"][1].update(required=[]),
    "another shape": lambda b: b["tools"][1]["steps"][0].update(shape="row"),
    "a parameter's type": lambda b: b["tools"][1]["parameters"].update(town={"type": "integer"}),
    "one column twice": lambda b: step(b, 1, 0, "give", "id, name", "id, id"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOOL_CHANGES)
def test_one_change_makes_another_tool(name: str) -> None:
    def structures(world: WorldSpec) -> set[str]:
        return {tool_structure(tool, world) for tool in world.tools()}

    assert structures(spec(TOOL_CHANGES[name])) != structures(spec())


def test_literals_and_messages_do_not_count() -> None:
    def change(body: dict[str, Any]) -> None:
        step(body, 1, 0, "give", "LIMIT 5", "LIMIT 7")
        body["tools"][0]["steps"][0]["message"] = "other"

    world, other = spec(), spec(change)
    for at in (0, 1):
        assert tool_structure(world.tools()[at], world) == tool_structure(other.tools()[at], other)


graphs = st.integers(1, 7).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from("ab"), min_size=n, max_size=n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.sampled_from("xy")), max_size=12),
        st.permutations(range(n)),
    )
)


@given(graphs)
def test_the_canonical_form_forgets_numbers_and_nothing_else(drawn: Any) -> None:
    colours, edges, order = drawn
    place = {node: at for at, node in enumerate(order)}
    moved = [colours[node] for node in order], [(place[a], place[b], label) for a, b, label in edges]
    form = canonical(colours, edges)
    assert canonical(*moved) == form
    if edges:
        assert canonical(colours, edges[1:]) != form


def test_ties_that_refinement_cannot_break_are_broken() -> None:
    """Two triangles and a ring of six: every node has two neighbours."""
    ring = [(at, (at + 1) % 6, "e") for at in range(6)]
    triangles = [(0, 1, "e"), (1, 2, "e"), (2, 0, "e"), (3, 4, "e"), (4, 5, "e"), (5, 3, "e")]
    assert canonical(["a"] * 6, ring) != canonical(["a"] * 6, triangles)


@given(st.text())
def test_any_text_gives_tokens(text: str) -> None:
    assert all(token.text for token in words(text) if token.sort != "name")
