"""Worlds of one image stand on the same bytes: what one changes, no other sees, and none takes memory for what it reads."""

from __future__ import annotations

from functools import lru_cache

import apsw
import pytest

from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.shared import Shared
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.world import World

ROWS = 4000
SET = {"run": "UPDATE books SET copies = :n"}
FLOOD = (
    "UPDATE books SET copies = copies + (SELECT count(*) FROM books a, books b WHERE a.note || b.note <> books.note)"
)


@lru_cache
def image() -> WorldImage:
    """About 500 KiB."""
    tools = [
        {"name": "set_all", "parameters": {"n": {"type": "integer"}}, "required": ["n"], "steps": [SET]},
        {"name": "flood", "steps": [{"run": FLOOD}]},
    ]
    columns = [{"name": "id", "type": "integer"}, {"name": "note"}, {"name": "copies", "type": "integer"}]
    kit = {
        "name": "shelf",
        "tables": [{"name": "books", "columns": columns, "primary_key": ["id"]}],
        "tools": [{"description": "It does.", "effect": "write", **tool} for tool in tools],
    }
    rows = [{"id": n, "note": "x" * 100, "copies": 0} for n in range(ROWS)]
    body = {"name": "shelf", "now": "2026-01-05T09:00:00", "toolkits": [kit], "rows": {"books": rows}}
    return compile_world(WorldSpec.model_validate(body))


def total(world: World) -> int:
    found: int = world.query("SELECT sum(copies) FROM books")[0][0]
    return found


def test_what_one_world_writes_no_other_sees_however_much_it_is() -> None:
    """All pages are changed, several times what a connection's cache holds."""
    with World.open(image(), 0) as first, World.open(image(), 1) as second:
        assert first.call("set_all", {"n": 2}).ok
        with World.open(image(), 2) as third:
            assert [total(world) for world in (first, second, third)] == [2 * ROWS, 0, 0]
            assert second.call("set_all", {"n": 3}).ok
        assert [total(world) for world in (first, second)] == [2 * ROWS, 3 * ROWS]
    with World.open(image(), 0) as again:
        assert total(again) == 0


def test_many_open_worlds_take_little_more_than_one() -> None:
    apsw_memory = apsw.memory_used()
    worlds = [World.open(image(), number) for number in range(30)]
    assert {total(world) for world in worlds} == {0}  # reads every page
    grown = (apsw.memory_used() - apsw_memory) / 30
    for world in worlds:
        world.close()
    assert len(image().data) > 450_000
    assert grown < 250_000


def test_a_commit_is_refused_and_undoes_what_was_done() -> None:
    shared = Shared(image().data)
    connection = shared.connect(10)
    connection.execute("BEGIN")
    connection.execute("UPDATE books SET copies = 9")
    with pytest.raises(apsw.ConstraintError):
        connection.execute("COMMIT")
    sums = [one.execute("SELECT sum(copies) FROM books").get for one in (connection, shared.connect(10))]
    assert sums == [0, 0]


def test_a_world_goes_on_after_it_was_frozen_and_so_does_its_copy() -> None:
    with World.open(image(), 0) as world:
        world.call("set_all", {"n": 1})
        frozen = world.snapshot()
        world.call("set_all", {"n": 5})
        with World(image(), frozen) as copy:
            assert (total(copy), len(copy.write_set())) == (ROWS, ROWS)
            copy.call("set_all", {"n": 7})
            refrozen = copy.snapshot()
        assert total(world) == 5 * ROWS
        with World(image(), refrozen) as copy, World(image(), frozen) as other, World.open(image(), 3) as fresh:
            assert [total(each) for each in (copy, other, fresh)] == [7 * ROWS, ROWS, 0]


def test_a_write_that_is_interrupted_after_a_snapshot_leaves_what_was_before_it() -> None:
    """SQLite then rolls the whole transaction back."""
    with World.open(image(), 0) as world:
        world.call("set_all", {"n": 1})
        frozen = world.snapshot()
        assert world.call("flood", {}).code == "too_much_work"
        assert total(world) == ROWS
        assert world.snapshot().changeset == frozen.changeset
