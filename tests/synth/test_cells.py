"""Ends with one value wrong: which there are, and that a rubric blind to one of them is found out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mocktrial.envs.rubric import Rubric, WritePattern, WritesCriterion
from mocktrial.mocktools.recalled import RecalledWorld
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.production.units import make_unit
from mocktrial.synth.proof.cells import Slip, slips
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.proof.weaken import weakened, weaker
from tests.support.desk import desk_image
from tests.support.inn import inn_image

BOOK = ("book", {"guest": "g1", "room": "r2", "day": "2026-06-20", "nights": 2})


@pytest.fixture
def inn_world() -> Iterator[RecalledWorld]:
    with RecalledWorld.open(inn_image(), seed=1) as world:
        yield world


def ends(world: RecalledWorld, found: Sequence[Slip]) -> Iterator[tuple[Slip, tuple[Change, ...]]]:
    """What each slip's first way that the world takes makes of the write set."""
    end = world.mark()
    for slip in found:
        assert any(world.alter(way) for way in slip.ways), slip
        yield slip, world.write_set()
        world.rewind(end)


def test_each_value_of_a_new_row_is_wrong_once_and_alone(inn_world: RecalledWorld) -> None:
    assert inn_world.call(*BOOK).ok
    (made,) = inn_world.write_set()
    found = list(slips(inn_world, (made,), (made,)))
    assert [slip.name for slip in found] == [f"stays.{column}" for column in made.columns]
    for slip, (wrong,) in ends(inn_world, found):
        column = slip.name.removeprefix("stays.")
        assert {name for name in made.columns if made.columns[name] != wrong.columns[name]} == {column}


def test_what_differs_between_two_plays_is_left_alone(inn_world: RecalledWorld) -> None:
    assert inn_world.call(*BOOK).ok
    with RecalledWorld.open(inn_image(), seed=2) as other:
        other.call(*BOOK)
        found = slips(inn_world, inn_world.write_set(), other.write_set())
        assert [slip.name for slip in found] == [
            f"stays.{name}" for name in ("guest_id", "room_id", "day", "nights", "state")
        ]


def test_a_change_moves_to_a_row_that_the_plan_leaves_alone(inn_world: RecalledWorld) -> None:
    assert inn_world.alter([("UPDATE guests SET phone = substr(id, 2) WHERE id IN ('g1', 'g2')", {})])
    one, two = inn_world.write_set()
    moved = [slip for slip in slips(inn_world, (one, two), (one, two)) if slip.operator == "wrong_place"]
    assert [slip.name for slip in moved] == ["guests {'id': 'g1'}", "guests {'id': 'g2'}"]
    for slip, wrong in ends(inn_world, moved):
        keys = [change.key["id"] for change in wrong]
        assert "g3" in keys
        assert slip.name.split("'")[3] not in keys
        assert {change.columns["phone"][1] for change in wrong} == {"1", "2"}


@pytest.mark.parametrize(
    ("column", "value", "wrong"),
    [
        ("born", "'1990-12-31'", "1991-01-01"),
        ("born", "NULL", "1912-06-24"),
        ("active", "NOT active", None),  # back to what it was
        ("tags", "'[1]'", '"other"'),
        ("name", "'Zed'", "Zedother"),
    ],
)
def test_a_wrong_value_is_of_the_columns_type(column: str, value: str, wrong: Any) -> None:
    with RecalledWorld.open(desk_image(), seed=1) as world:
        assert world.alter([(f"UPDATE members SET {column} = {value} WHERE id = 'm2'", {})])
        writes = world.write_set()
        cell = next(slip for slip in slips(world, writes, writes) if slip.operator == "wrong_cell")
        ((_, after),) = ends(world, [cell])
        assert after != writes
        if wrong is not None:
            assert after[0].columns[column][1] == wrong


def test_a_row_that_went_has_no_values_to_be_wrong(inn_world: RecalledWorld) -> None:
    assert inn_world.alter([("DELETE FROM stays WHERE id = (SELECT min(id) FROM stays)", {})])
    assert list(slips(inn_world, inn_world.write_set(), inn_world.write_set())) == []


def test_a_weakened_rubric_leaves_one_value_open_everywhere() -> None:
    pattern = WritePattern(table="loans", op="insert", key={"id": "l9"}, new={"id": "l9", "item": "map"})
    other = pattern.model_copy(update={"new": {"item": "lens"}})
    rubric = Rubric(
        subgoals=(WritesCriterion(id="a", required=(pattern,)),),
        forbidden=(WritesCriterion(id="b", allowed=(pattern, other)), WritesCriterion(id="c", most=1)),
    )
    names, rubrics = zip(*weakened(rubric), strict=True)
    assert names == ("loans.id", "loans.item", "loans.item")
    opened = pattern.model_copy(update={"new": {"id": "l9"}})
    assert rubrics[1] == Rubric(
        subgoals=(WritesCriterion(id="a", required=(opened,)),),
        forbidden=(WritesCriterion(id="b", allowed=(opened, other)), WritesCriterion(id="c", most=1)),
    )


@pytest.mark.parametrize(("worlds", "tasks"), [(3, 6), pytest.param(80, 25, marks=pytest.mark.soak)])
def test_a_rubric_that_leaves_a_value_open_does_not_ship(worlds: int, tasks: int) -> None:
    unseen = []
    for number in range(worlds):
        unit = make_unit(Composer(5), number, 5, tasks)
        assert unit.image is not None
        for task, _ in unit.pairs:
            for name, rubric in weaker(task.rubric, unit.image):
                if prove(task.model_copy(update={"rubric": rubric}), unit.image).ok:
                    unseen.append((task.id, name))
    assert unseen == []


@pytest.mark.parametrize(
    ("member", "new", "open_values"),
    [
        ("m3", {"active": 1}, []),  # all others are active, and a yes or no has no third value
        ("m1", {"active": 0}, ["members.id"]),  # m2 could be ended too
        ("m3", {"name": "Zed"}, ["members.id", "members.name"]),
        ("m3", {"active": 1, "name": "Zed"}, ["members.active", "members.name"]),  # one alone would do
    ],
)
def test_an_open_value_weakens_nothing_where_the_world_has_no_other_end(
    member: str, new: dict[str, Any], open_values: list[str]
) -> None:
    pattern = WritePattern(table="members", op="update", key={"id": member}, columns=tuple(new), new=new)
    rubric = Rubric(subgoals=(WritesCriterion(id="a", required=(pattern,), allowed=(pattern,)),))
    assert [name for name, _ in weaker(rubric, desk_image())] == open_values
