"""Seeded rows: equal seeds give equal worlds, recipes are kept, impossible ones say so."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError
from mocktrial.synth.blueprint import Blueprint, load_blueprint, shipped_domains
from mocktrial.synth.form.recipes import RowRecipe
from mocktrial.synth.plan.rows import make_world


def with_rows(recipe: dict[str, Any], domain: str = "depot") -> Blueprint:
    rows = RowRecipe.model_validate({"tables": [recipe]})
    return load_blueprint(domain).model_copy(update={"rows": rows})


@pytest.mark.parametrize("domain", shipped_domains())
def test_every_shipped_world_keeps_the_contract(domain: str) -> None:
    blueprint = load_blueprint(domain)
    assert 6 <= len(blueprint.world.tools()) <= 10
    for number in range(3):
        report = check_world(make_world(blueprint, number, 7))
        assert report.ok, report.problems
        assert report.never_succeeded == ()


def test_worlds_depend_on_number_and_seed_and_on_nothing_else() -> None:
    blueprint = load_blueprint("clinic")
    made = make_world(blueprint, 0, 7)
    assert make_world(load_blueprint("clinic"), 0, 7).content_hash() == made.content_hash()
    others = [make_world(blueprint, number, seed).rows for number, seed in ((1, 7), (0, 8))]
    assert made.rows not in others
    assert made.name == "clinic-0"


def test_sources_draw_what_they_say() -> None:
    recipe = {
        "table": "parcels",
        "count": 40,
        "distinct": ["name", "size"],
        "columns": {
            "id": {"sequence": "k{n}"},
            "name": {"words": "person.last_name", "longest": 5, "format": "Dr {}"},
            "size": {"references": "rates.size"},
            "due": {"day": [1, 3]},
            "hold_days": {"integer": [2, 10], "step": 4, "null": 0.5},
        },
    }
    rows = make_world(with_rows(recipe), 0, 1).rows["parcels"]
    assert [row["id"] for row in rows] == [f"k{n}" for n in range(1, 41)]
    assert all(row["name"].startswith("Dr ") and len(row["name"]) <= 8 for row in rows)
    assert {row["size"] for row in rows} <= {"small", "medium", "large"}
    now = datetime.date(2026, 3, 2)
    assert {(datetime.date.fromisoformat(row["due"]) - now).days for row in rows} == {1, 2, 3}
    assert {row["hold_days"] for row in rows} == {None, 2, 6, 10}
    assert len({(row["name"], row["size"]) for row in rows}) == 40


def test_rows_for_each_parent() -> None:
    recipe = {
        "table": "parcels",
        "each": "rates",
        "count": [2, 3],
        "columns": {"id": {"sequence": "k{n}"}, "size": {"parent": "size"}},
    }
    rows = make_world(with_rows(recipe), 0, 1).rows["parcels"]
    sizes = [row["size"] for row in rows]
    assert all(2 <= sizes.count(size) <= 3 for size in ("small", "medium", "large"))


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "too few values": ({"count": 3, "columns": {"id": {"choices": ["a", "b"], "unique": True}}}, "no new row"),
    "no such words": ({"columns": {"id": {"words": "person.no_such_word"}}}, "no_such_word"),
    "a provider that is not on the list": ({"columns": {"id": {"words": "path.root"}}}, "path.root"),
    "a private name": ({"columns": {"id": {"words": "person.__class__"}}}, "__class__"),
    "an empty table": ({"columns": {"id": {"references": "points.id"}}}, "points"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_recipe_names_table_and_reason(name: str) -> None:
    recipe, reason = IMPOSSIBLE[name]
    with pytest.raises(SpecError, match="table parcels") as caught:
        make_world(with_rows({"table": "parcels", **recipe}), 0, 1)
    assert reason in str(caught.value)
