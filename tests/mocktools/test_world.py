"""The engine on the desk world: transactions, failures, write sets, snapshots, determinism."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.image import compile_world
from mocktrial.mocktools.world import MAX_RESULT_BYTES, World
from tests.support.desk import desk_image, desk_spec


@pytest.fixture
def world() -> Any:
    with World.open(desk_image(), seed=1) as opened:
        yield opened


def test_results_are_typed(world: World) -> None:
    rows = world.call("find_members", {"name": "BYRON"}).value
    assert rows == [{"id": "m1", "name": "Ada Byron", "active": True, "tags": ["staff"]}]


def test_a_write_shows_in_reads_and_in_the_write_set(world: World) -> None:
    lent = world.call("lend", '{"member_id": "m1", "item": "lens"}').value
    assert lent["due"] == "2026-05-25"  # the schema's default of 14 days, on the virtual clock
    assert lent["id"] in world.call("list_loans", {"member_id": "m1"}).text
    (change,) = world.write_set()
    assert (change.table, change.op, change.key) == ("loans", "insert", {"id": lent["id"]})


def test_write_set_is_by_column_and_net(world: World) -> None:
    world.call("end_loan", {"loan_id": "loan-1"})
    (change,) = world.write_set()
    assert change.columns == {"state": ("open", "ended")}


def test_a_failed_call_changes_nothing_not_even_the_ids(world: World) -> None:
    before = world.digest()
    failed = world.call("lend", {"member_id": "m1", "item": ""})  # fails after new_id() ran
    assert (failed.ok, failed.code) == (False, "constraint")
    assert world.digest() == before
    assert world.write_set() == ()
    with World.open(desk_image(), seed=1) as fresh:
        expected = fresh.call("lend", {"member_id": "m1", "item": "lens"}).text
    assert world.call("lend", {"member_id": "m1", "item": "lens"}).text == expected


def test_a_require_after_a_write_rolls_it_back(world: World) -> None:
    failed = world.call("end_loan", {"loan_id": "loan-404"})
    assert json.loads(failed.text)["error"] == {"code": "not_found", "message": "There is no loan loan-404."}


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("lend", {"member_id": "m1"}, "bad_arguments"),
        ("lend", {"member_id": "m1", "item": "x", "days": 0}, "bad_arguments"),
        ("lend", {"member_id": "m1", "item": "x", "extra": 1}, "bad_arguments"),
        ("lend", "{", "bad_json"),
        ("lend", "[]", "bad_arguments"),
        ("lent", {}, "unknown_tool"),
        ("lend", {"member_id": "m3", "item": "x"}, "not_active"),
    ],
)
def test_failures_say_what_and_what_next(world: World, tool: str, arguments: Any, code: str) -> None:
    result = world.call(tool, arguments)
    assert result.code == code
    error = json.loads(result.text)["error"]
    assert error["message"]
    assert error["hint"]


def test_long_results_are_cut_and_say_so(world: World) -> None:
    for number in range(300):
        world.call("lend", {"member_id": "m1", "item": f"item number {number}"})
    first = world.call("list_loans", {"member_id": "m1"})
    assert len(first.text.encode()) <= MAX_RESULT_BYTES
    assert first.value["pages"] == 16
    last = world.call("list_loans", {"member_id": "m1", "page": 16})
    assert len(last.value["rows"]) == 1


def test_snapshot_carries_state_ids_clock_and_write_set(world: World) -> None:
    world.call("lend", {"member_id": "m1", "item": "lens"})
    with World(desk_image(), world.snapshot()) as copy:
        assert copy.digest() == world.digest()
        assert copy.write_set() == world.write_set()
        again = {"member_id": "m2", "item": "tripod"}
        assert copy.call("lend", again).text == world.call("lend", again).text


def test_a_pooled_connection_forgets_its_last_episode() -> None:
    image = compile_world(desk_spec())
    with World.open(image, seed=1) as first:
        first.call("lend", {"member_id": "m1", "item": "canary"})
    with World.open(image, seed=2) as second:
        assert "canary" not in second.call("list_loans", {"member_id": "m1"}).text
        assert second.write_set() == ()


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["lend", "end_loan", "list_loans", "find_members"]),
        st.fixed_dictionaries(
            {},
            optional={
                "member_id": st.sampled_from(["m1", "m2", "m3", "m9"]),
                "item": st.text(max_size=5),
                "days": st.integers(-1, 70),
                "loan_id": st.sampled_from(["loan-1", "loan-2"]),
                "name": st.text(max_size=3),
            },
        ),
    ),
    max_size=8,
)


@given(CALLS)
@settings(max_examples=150, deadline=None)
def test_any_calls_replay_to_the_same_bytes(calls: list[tuple[str, dict[str, Any]]]) -> None:
    runs = []
    for _ in range(2):
        with World.open(desk_image(), seed=5) as world:
            texts = [world.call(name, arguments).text for name, arguments in calls]
            runs.append((texts, world.digest(), world.write_set()))
    assert runs[0] == runs[1]


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_value_breaks_out_of_its_parameter(text: str) -> None:
    with World.open(desk_image(), seed=5) as world:
        result = world.call("find_members", {"name": text})
        assert result.ok or result.code == "bad_arguments"
        assert world.write_set() == ()
