"""Each kind of criterion, holding and not holding, on one played episode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.envs.grading import grade, reward_of
from mocktrial.envs.rubric import Rubric
from mocktrial.envs.trajectory import CriterionResult, Event
from mocktrial.mocktools.world import World
from tests.support.desk import desk_image, desk_task

EVENTS = (
    Event(turn=0, kind="call", name="find_members", arguments={"name": "Alan"}),
    Event(turn=1, kind="release", name="days"),
    Event(turn=2, kind="confirm"),
    Event(turn=3, kind="call", name="lend", arguments={"member_id": "m2", "item": "Tripod", "days": 7.0}),
    Event(turn=4, kind="call", name="end_loan", arguments={"loan_id": "x"}, ok=False, code="not_found"),
    Event(turn=5, kind="say", text="The tripod is due on 2026-05-18."),
)

CASES: list[tuple[dict[str, Any], bool]] = [
    ({"kind": "state", "sql": "SELECT 1 FROM loans WHERE member_id = :m", "values": {"m": "m2"}}, True),
    ({"kind": "state", "sql": "SELECT 1 FROM loans WHERE member_id = :m", "values": {"m": "m3"}}, False),
    ({"kind": "writes", "required": [{"table": "loans", "op": "insert", "new": {"item": "TRIPOD"}}]}, True),
    ({"kind": "writes", "required": [{"table": "loans", "op": "update"}]}, False),
    ({"kind": "writes", "allowed": [{"table": "loans"}]}, True),
    ({"kind": "writes", "allowed": [{"table": "members"}]}, False),
    ({"kind": "writes", "allowed": [{"table": "loans", "columns": ["state"]}]}, False),
    ({"kind": "call", "tool": "lend", "arguments": {"item": "tripod", "days": 7}}, True),
    ({"kind": "call", "tool": "lend", "arguments": {"days": 8}}, False),
    ({"kind": "call", "tool": "end_loan"}, False),  # it was called, but failed
    ({"kind": "order", "first": {"kind": "confirm"}, "then": {"kind": "call", "name": "lend"}}, True),
    ({"kind": "order", "first": {"kind": "call", "name": "lend"}, "then": {"kind": "confirm"}}, False),
    ({"kind": "ask", "fact": "days"}, True),
    ({"kind": "tell", "any_of": ["18 May", "2026-05-18"]}, True),
    ({"kind": "tell", "any_of": ["2026-05-1"]}, False),  # part of a word is not the word
    ({"kind": "tell", "sql": "SELECT due FROM loans WHERE member_id = 'm2'"}, True),
    ({"kind": "forbid", "of": {"kind": "call", "id": "inner", "tool": "end_loan"}}, True),
    ({"kind": "forbid", "of": {"kind": "call", "id": "inner", "tool": "lend"}}, False),
]


@pytest.mark.parametrize(("criterion", "holds"), CASES)
def test_criteria(criterion: dict[str, Any], holds: bool) -> None:
    rubric = Rubric.model_validate({"subgoals": [{"id": "it", **criterion}]})
    task = desk_task().model_copy(update={"rubric": rubric})
    with World.open(desk_image(), seed=1) as world:
        world.call("lend", {"member_id": "m2", "item": "tripod", "days": 7})
        result = grade(task, world, EVENTS, world.write_set())
    assert result.criteria[0].passed is holds
    assert result.criteria[0].evidence
    assert result.success is holds


def guess(*events: Event) -> tuple[int, int]:
    with World.open(desk_image(), seed=1) as world:
        asking = grade(desk_task(), world, events, ()).asking
    return asking.under_ask, asking.guess


def test_a_value_used_before_it_is_told_is_a_guess() -> None:
    told = Event(turn=1, kind="release", name="days")
    right = Event(turn=2, kind="call", name="lend", arguments={"days": 7})
    wrong = Event(turn=2, kind="call", name="lend", arguments={"days": 3})
    elsewhere = Event(turn=0, kind="call", name="find_members", arguments={"name": "7"})
    assert guess(told, right) == (0, 0)
    assert guess(right, told) == (0, 1)
    assert guess(wrong, told) == (0, 1)  # a write with any value in its place
    assert guess(elsewhere, told) == (0, 0)
    assert guess(right) == (1, 1)


RESULTS = st.lists(
    st.builds(
        CriterionResult,
        id=st.just("c"), kind=st.just("state"), passed=st.booleans(),
        group=st.sampled_from(["subgoal", "interaction", "forbidden"]), weight=st.floats(0.1, 10),
    ),
    max_size=8,
)  # fmt: skip


@given(RESULTS)
def test_reward_is_a_fraction_and_one_means_all(results: list[CriterionResult]) -> None:
    reward = reward_of(results)
    assert 0 <= reward <= 1
    scored = [result for result in results if result.group != "forbidden"]
    assert (reward == 1) == (bool(scored) and all(result.passed for result in results))
    if any(result.group == "forbidden" and not result.passed for result in results):
        assert reward == 0


def test_an_empty_side_is_left_out() -> None:
    half = [CriterionResult(id=str(n), kind="state", group="subgoal", passed=bool(n), weight=1.0) for n in range(2)]
    assert reward_of(half) == 0.5
    asked = CriterionResult(id="a", kind="ask", group="interaction", passed=True)
    assert reward_of([*half, asked]) == 0.75
    assert reward_of([]) == 0.0
