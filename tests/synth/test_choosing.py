"""Which rows a template means, against the plain reading of its words; and calls remembered, against calls made."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.world import World
from mocktrial.synth.form.steps import Filter, StepSource
from mocktrial.synth.plan.choosing import Unplannable, agreeing, at, choose_row, rows_of
from mocktrial.synth.plan.stage import START, Stage
from tests.support.inn import inn_image

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "price": st.none() | st.integers(0, 4) | st.sampled_from([0.5, 2.0]),
            "day": st.sampled_from(["2026-05-12", "2026-05-13", "2026-06-01"]),
            "kind": st.sampled_from(["Double", "double", "single"]),
        }
    ),
    max_size=6,
)
VALUES = {"limit": 2, "first": "2026-05-13", "kind": "double", "wish": "-price"}


@given(rows=ROWS)
def test_rows_agree_as_their_filter_says(rows: list[dict[str, Any]]) -> None:
    assert agreeing(Filter(), rows, VALUES) == list(range(len(rows)))
    filter_ = Filter(where={"kind": "kind"}, at_most={"price": "limit"}, at_least={"day": "first"})
    assert agreeing(filter_, rows, VALUES) == [
        n for n, row in enumerate(rows)
        if row["kind"].lower() == "double" and row["price"] is not None and row["price"] <= 2 and row["day"] >= "2026-05-13"
    ]  # fmt: skip


@given(rows=ROWS, best=st.sampled_from(["price", "+price", "-price", "{wish}", "day", "-day"]), first=st.booleans())
def test_the_best_row_is_chosen_or_a_tie_is_named(rows: list[dict[str, Any]], best: str, first: bool) -> None:
    text = VALUES["wish"] if best == "{wish}" else best
    column, sign = str(text).lstrip("+-"), max if str(text).startswith("-") else min
    known = [row[column] for row in rows if row[column] is not None]
    tops = [n for n, row in enumerate(rows) if known and row[column] == sign(known)]
    source = StepSource(step="list", best=best, first=first)
    if tops and (first or len(tops) == 1):
        assert choose_row(source, rows, VALUES, "goal") == tops[0]
    else:
        with pytest.raises(Unplannable, match="a tie" if tops else "no row of list fits"):
            choose_row(source, rows, VALUES, "goal")


@pytest.mark.parametrize(
    ("limit", "value", "fits"),
    [(2, "2", False), ("b", 1, False), (2, 2.0, True), ("10:30", "09:00", True), (1, None, False)],
)
def test_only_like_is_put_in_order(limit: Any, value: Any, fits: bool) -> None:
    assert agreeing(Filter(at_most={"x": "limit"}), [{"x": value}], {"limit": limit}) == ([0] if fits else [])


def test_rows_are_found_in_lists_pages_and_single_results() -> None:
    assert rows_of([1, 2]) == ([1, 2], "")
    assert rows_of({"rows": [1], "page": 1}) == ([1], "rows")
    assert rows_of({"id": "x"}) == ([{"id": "x"}], None)
    assert rows_of(None) == ([], None)
    assert at({"rows": [{"id": "x"}]}, "rows.0.id") == "x"
    assert at(5, "") == 5
    assert at([1], "3.id") is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_remembered_call_is_the_call_made(seed: int) -> None:
    """Calls on a stage, from states visited in any order, give what a fresh world gives after the same writes."""
    image, chance = inn_image(), random.Random(seed)
    source, tools = ArgumentSource(image.spec, seed), image.spec.tools()
    states: dict[int, list[tuple[str, dict[str, Any]]]] = {START: []}
    with Stage(image, 5) as stage:
        for _ in range(12):
            state, tool = chance.choice(sorted(states)), chance.choice(tools)
            given_ = source.draw(tool, strange=0.0)
            outcome = stage.call(state, tool.name, given_)
            with World.open(image, 5) as world:
                for name, arguments in states[state]:
                    world.call(name, arguments)
                result = world.call(tool.name, given_)
                assert (outcome.ok, outcome.code, outcome.value) == (result.ok, result.code, result.value)
                assert stage.changes(outcome.state) == world.write_set()
            moved = result.ok and tool.effect == "write"
            assert (outcome.state != state) == moved
            if moved:
                states[outcome.state] = [*states[state], (tool.name, given_)]
            assert stage.call(state, tool.name, given_) == outcome
