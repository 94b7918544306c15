"""`RecalledWorld` gives what a plain world gives, in whatever order its states are visited, and runs a call once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.recalled import RecalledWorld
from mocktrial.mocktools.world import World
from tests.mocktools.test_shared import ROWS, total
from tests.mocktools.test_shared import image as shelf_image
from tests.support.desk import desk_image
from tests.support.inn import inn_image

LEND = ("lend", {"member_id": "m1", "item": "lens"})
Made = tuple[float, str, dict[str, Any]]  # minutes that pass before the call, tool, arguments


def _play(world: World, made: Made) -> Any:
    minutes, name, arguments = made
    world.advance(world.now + timedelta(minutes=minutes))
    return world.call(name, arguments)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), image=st.sampled_from([desk_image(), inn_image()]))
def test_it_gives_what_a_plain_world_gives(seed: int, image: WorldImage) -> None:
    chance, source, tools = random.Random(seed), ArgumentSource(image.spec, seed), image.spec.tools()
    with RecalledWorld.open(image, seed % 3) as recalled:
        visited: list[tuple[Any, list[Made]]] = [(recalled.mark(), [])]
        for _ in range(12):
            place, before = chance.choice(visited)
            tool = chance.choice(tools)
            made = (chance.choice((0, 0, 1, 2000)), tool.name, source.draw(tool, strange=0.1))
            recalled.rewind(place)
            with World.open(image, seed % 3) as plain:
                for earlier in before:
                    _play(plain, earlier)
                assert _play(recalled, made) == _play(plain, made)
                assert (recalled.write_set(), recalled.now) == (plain.write_set(), plain.now)
                assert recalled.digest() == plain.digest()
                assert recalled.snapshot().changeset == plain.snapshot().changeset
            visited.append((recalled.mark(), [*before, made]))


def test_a_call_runs_once_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    transact = World._transact
    monkeypatch.setattr(
        World, "_transact", lambda world, tool, *given: ran.append(tool.spec.name) or transact(world, tool, *given)
    )
    with RecalledWorld.open(desk_image(), seed=77) as world:
        start = world.mark()
        first = world.call(*LEND)
        world.rewind(start)
        assert world.call(*LEND) is first
        assert ran == ["lend"]
        assert world.call(*LEND) != first  # after the first it is another call
        assert ran == ["lend", "lend"]


def test_ids_depend_on_the_seed() -> None:
    with RecalledWorld.open(desk_image(), seed=1) as one, RecalledWorld.open(desk_image(), seed=2) as two:
        assert one.call(*LEND).value["id"] != two.call(*LEND).value["id"]


def test_it_starts_untouched_and_knows_its_own_marks_only() -> None:
    with World.open(desk_image(), seed=1) as plain, RecalledWorld.open(desk_image(), seed=1) as world:
        with pytest.raises(ValueError, match="own marks"):
            world.rewind(plain.mark())
        plain.call(*LEND)
        with pytest.raises(ValueError, match="starts from its image"):
            RecalledWorld(desk_image(), plain.snapshot())


def test_queries_and_write_sets_are_those_of_the_place_that_they_are_asked_at() -> None:
    count, one = "SELECT count(*) AS n FROM loans", "SELECT :x AS n"
    with RecalledWorld.open(desk_image(), seed=77) as world:
        start = world.mark()
        (before,) = world.query(count)
        world.call(*LEND)
        lent = world.mark()
        world.rewind(start)
        assert (world.query(count), world.write_set()) == ([before], ())
        world.rewind(lent)
        world.call(*LEND)  # the database goes on from there
        world.rewind(lent)
        assert world.query(count) == [(before[0] + 1,)]
        assert world.records(count) == [{"n": before[0] + 1}]
        assert len(world.write_set()) == 1
        assert [world.query(one, {"x": x}) for x in (1, 2)] == [[(1,)], [(2,)]]


def test_a_query_that_names_the_moment_is_asked_anew_when_time_passes() -> None:
    with RecalledWorld.open(desk_image(), seed=77) as world:
        first = world.query("SELECT now()")
        world.advance(world.now + timedelta(minutes=5))
        assert world.query("SELECT now()") != first


def test_the_user_is_not_given_what_a_tool_of_the_agents_gave() -> None:
    with RecalledWorld.open(desk_image(), seed=77) as world:
        start = world.mark()
        assert world.call(*LEND).ok
        world.rewind(start)
        assert world.call_as_user(*LEND).code == "unknown_tool"


@pytest.fixture
def desk() -> Iterator[RecalledWorld]:
    with RecalledWorld.open(desk_image(), seed=77) as world:
        yield world


LOANS = "SELECT id FROM loans WHERE item = 'lens'"


def test_a_call_that_reads_the_clock_is_made_anew_when_time_passes(desk: RecalledWorld) -> None:
    start = desk.mark()
    first = desk.call(*LEND).value["due"]
    desk.rewind(start)
    desk.advance(desk.now + timedelta(days=1))
    assert desk.call(*LEND).value["due"] > first


def test_a_write_that_is_done_again_makes_the_id_that_it_made(desk: RecalledWorld) -> None:
    start = desk.mark()
    made = desk.call(*LEND).value["id"]
    lent = desk.mark()
    desk.rewind(start)
    desk.call("lend", {"member_id": "m2", "item": "bag"})
    assert desk.query(LOANS) == []  # the database went another way
    desk.rewind(lent)
    assert desk.query(LOANS) == [(made,)]
    assert desk.call("lend", {"member_id": "m1", "item": "map"}).value["id"] != made


def test_a_recalled_write_counts_its_ids(desk: RecalledWorld) -> None:
    start = desk.mark()
    before = desk.call(*LEND).value["id"]
    desk.rewind(start)
    assert desk.call(*LEND).value["id"] == before  # recalled
    assert desk.call("lend", {"member_id": "m2", "item": "bag"}).value["id"] != before


def test_a_write_that_fails_is_no_state(desk: RecalledWorld) -> None:
    assert not desk.call("lend", {"member_id": "nobody", "item": "lens"}).ok
    assert (desk.state, desk.write_set()) == (None, ())
    desk.call(*LEND)
    lent = desk.state
    assert not desk.call("lend", {"member_id": "nobody", "item": "lens"}).ok
    assert desk.state is lent


def test_a_snapshot_has_the_hour_and_the_ids_of_the_world(desk: RecalledWorld) -> None:
    desk.call(*LEND)
    desk.advance(desk.now + timedelta(minutes=90))
    snapshot = desk.snapshot()
    assert snapshot.now == desk.now
    with World(desk_image(), snapshot) as copy:
        again = ("lend", {"member_id": "m2", "item": "bag"})
        assert copy.call(*again) == desk.call(*again)


def test_rows_that_are_altered_are_so_until_it_is_rewound(desk: RecalledWorld) -> None:
    desk.call(*LEND)
    end, changes = desk.mark(), desk.write_set()
    assert desk.alter([("UPDATE loans SET item = :item WHERE item = 'lens'", {"item": "bag"})])
    assert desk.query(LOANS) == []
    assert desk.write_set()[0].columns["item"] == (None, "bag")
    assert desk.snapshot().changeset != b""
    desk.rewind(end)
    assert (len(desk.query(LOANS)), desk.write_set()) == (1, changes)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE loans SET state = 'lost'",  # a choice
        "UPDATE loans SET member_id = 'nobody'",  # a reference
        "UPDATE members SET name = NULL",
    ],
)
def test_rows_are_not_altered_against_the_rules_of_their_table(desk: RecalledWorld, sql: str) -> None:
    desk.call(*LEND)
    changes = desk.write_set()
    assert not desk.alter([("UPDATE members SET name = 'x'", {}), (sql, {})])
    assert desk.write_set() == changes
    assert desk.query("SELECT 1 FROM members WHERE name = 'x'") == []


def test_a_write_that_is_interrupted_leaves_calls_and_alterations_before_it() -> None:
    """SQLite then rolls the whole transaction back."""
    with RecalledWorld.open(shelf_image(), 0) as world:
        assert world.call("set_all", {"n": 1}).ok
        before = world.mark()
        assert world.alter([("UPDATE books SET copies = 3 WHERE id < 10", {})])
        changes = world.write_set()
        assert world.call("flood", {}).code == "too_much_work"
        assert (total(world), world.write_set()) == (ROWS + 20, changes)
        assert world.call("set_all", {"n": 2}).ok
        assert total(world) == 2 * ROWS
        world.rewind(before)
        assert world.query("SELECT max(copies) FROM books") == [(1,)]
