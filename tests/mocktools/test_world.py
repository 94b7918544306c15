"""The engine on the desk world: transactions, failures, write sets, snapshots, determinism."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.errors import ToolFailure
from mocktrial.mocktools.given import parse_arguments
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
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


def flooded() -> WorldImage:
    """The desk with a tool that writes until it is stopped, which makes SQLite roll back the whole transaction."""
    body = desk_spec().model_dump(mode="json", exclude_defaults=True)
    joined = ", ".join(f"members m{number}" for number in range(16))
    counted = f"SELECT count(*) FROM {joined} WHERE m0.id || m15.id <> item"  # 3 to the power of 16 rows
    steps = [{"run": f"UPDATE loans SET item = item || ({counted})"}]
    tool = {"name": "flood", "description": "x", "effect": "write", "steps": steps}
    body["toolkits"][0]["tools"].append(tool)
    return compile_world(WorldSpec.model_validate(body))


def test_a_write_that_is_stopped_undoes_only_itself() -> None:
    image = flooded()
    with World.open(image, seed=1) as world, World.open(image, seed=1) as calm:
        for opened in (world, calm):
            opened.call("lend", {"member_id": "m1", "item": "lens"})
        mark = world.mark()
        for opened in (world, calm):
            opened.call("lend", {"member_id": "m2", "item": "map"})
        assert world.call("flood", {}).code == "too_much_work"
        assert (world.digest(), world.write_set()) == (calm.digest(), calm.write_set())
        again = {"member_id": "m1", "item": "bag"}
        assert world.call("lend", again).text == calm.call("lend", again).text
        world.rewind(mark)
        assert [change.columns["item"][1] for change in world.write_set()] == ["lens"]


def test_a_world_taken_back_goes_on_as_if_nothing_had_been(world: World) -> None:
    world.call("lend", {"member_id": "m1", "item": "lens"})
    outer = world.mark()
    world.call("end_loan", {"loan_id": "loan-1"})
    inner = world.mark()
    first = [world.call("lend", {"member_id": "m2", "item": "map"}).text, world.digest(), world.write_set()]
    world.rewind(inner)
    assert [world.call("lend", {"member_id": "m2", "item": "map"}).text, world.digest(), world.write_set()] == first
    world.rewind(outer)
    assert [change.op for change in world.write_set()] == ["insert"]
    with pytest.raises(ValueError, match="taken back"):
        world.rewind(inner)


def test_a_frozen_world_forgets_its_marks(world: World) -> None:
    mark = world.mark()
    world.snapshot()
    with pytest.raises(ValueError, match="taken back"):
        world.rewind(mark)


def test_released_marks_leave_the_world_as_it_is(world: World) -> None:
    mark = world.mark()
    world.call("end_loan", {"loan_id": "loan-1"})
    world.release(mark)
    assert len(world.write_set()) == 1
    with pytest.raises(ValueError, match="taken back"):
        world.rewind(mark)


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=4), st.lists, max_leaves=8))
@settings(max_examples=200, deadline=None)
def test_arguments_in_text_are_judged_like_arguments_in_objects(value: Any) -> None:
    given = {"value": value}
    outcomes = []
    for arguments in (json.dumps(given), json.dumps(given, ensure_ascii=False), given):
        try:
            outcomes.append(repr(parse_arguments(arguments)))
        except ToolFailure as failure:
            outcomes.append(str(failure))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize(
    "text", ['{"a": 1e400}', '{"a": -1E999}', '{"a": NaN}', '{"a": "\\ud800"}', '{"a": 1%s.5}' % ("0" * 320)]
)
def test_text_that_is_no_json_value_is_refused(text: str) -> None:
    with pytest.raises(ToolFailure):
        parse_arguments(text)
