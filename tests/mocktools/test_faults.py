"""Injected faults: what the agent sees, what the world does, and what the state remembers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from mocktrial.envs.episode import Episode
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.faults import Fault, FaultState, apply, check_faults
from mocktrial.mocktools.world import MAX_RESULT_BYTES, ToolResult, World
from tests.support.desk import desk_image, desk_spec, desk_task

LEND = {"member_id": "m1", "item": "lens"}
NOTHING = FaultState()


@pytest.fixture
def world() -> Iterator[World]:
    with World.open(desk_image(), seed=1) as opened:
        yield opened


def fault(tool: str, kind: str, *calls: int) -> Fault:
    return Fault.model_validate({"tool": tool, "kind": kind, "calls": calls or (1,)})


def play(faults: list[Fault], world: World, *calls: tuple[str, dict[str, Any]]) -> list[ToolResult]:
    results, state = [], NOTHING
    for name, arguments in calls:
        result, state = apply(faults, state, world, name, arguments)
        results.append(result)
    return results


@pytest.mark.parametrize("kind", ["unavailable", "timeout"])
def test_nothing_is_carried_out_and_the_next_call_works(world: World, kind: str) -> None:
    before = world.digest()
    first, state = apply([fault("lend", kind)], NOTHING, world, "lend", LEND)
    assert (first.ok, first.code, world.digest()) == (False, kind, before)
    second, _ = apply([fault("lend", kind)], state, world, "lend", LEND)
    assert second.ok
    assert world.digest() != before


def test_a_lost_reply_looks_like_a_timeout_but_is_done(world: World) -> None:
    with World.open(desk_image(), seed=1) as other:
        (timeout,) = play([fault("lend", "timeout")], other, ("lend", LEND))
    (lost,) = play([fault("lend", "lost_reply")], world, ("lend", LEND))
    assert (lost.text, lost.code, lost.ok) == (timeout.text, "timeout", True)
    assert [change.op for change in world.write_set()] == ["insert"]
    assert "look" in json.loads(lost.text)["error"]["hint"]


def test_a_stale_result_is_from_before_the_change(world: World) -> None:
    look = ("list_loans", {"member_id": "m1"})
    old, _, stale, fresh = play([fault("list_loans", "stale", 2)], world, look, ("lend", LEND), look, look)
    assert stale.value["stale"] is True
    assert stale.value["result"] == old.value
    assert len(fresh.value["rows"]) == 2
    assert "stale" not in fresh.value
    assert json.loads(stale.text) == stale.value


def test_a_partial_result_lost_its_second_half(world: World) -> None:
    look = ("find_members", {"name": ""})
    partial, whole = play([fault("find_members", "partial")], world, look, look)
    assert partial.value["partial"] is True
    assert partial.value["result"] == whole.value[:1]
    assert len(whole.value) == 3


@pytest.mark.parametrize("kind", ["unavailable", "timeout", "lost_reply"])
def test_a_call_that_fails_by_itself_is_not_counted(world: World, kind: str) -> None:
    for bad in ({}, {"member_id": 1, "item": "x"}, "{"):
        result, state = apply([fault("lend", kind)], NOTHING, world, "lend", bad)
        assert result.code in ("bad_arguments", "bad_json")
        assert state == NOTHING
    owed, _ = apply([fault("lend", kind)], state, world, "lend", LEND)
    assert owed.code in ("unavailable", "timeout")


def test_an_old_world_without_an_answer_leaves_the_fault_owed(world: World) -> None:
    faults = [fault("list_loans", "stale")]
    result, state = apply(faults, NOTHING, world, "list_loans", {"member_id": "nobody"})
    assert (result.code, state) == ("not_found", NOTHING)


def test_only_the_named_calls_and_tools_are_hit(world: World) -> None:
    look = ("find_members", {"name": "ada"})
    results = play([fault("find_members", "unavailable", 2, 3)], world, look, look, ("lend", LEND), look, look)
    assert [result.ok for result in results] == [True, False, True, False, True]


def test_a_spoiled_result_fits(world: World) -> None:
    for number in range(400):
        world.call("lend", {"member_id": "m1", "item": f"{number:04d}" + "x" * 76})
    for kind in ("stale", "partial"):
        (result,) = play([fault("list_loans", kind)], world, ("list_loans", {"member_id": "m1"}))
        assert len(result.text.encode()) <= MAX_RESULT_BYTES
        assert result.value[kind]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([fault("fly", "timeout")], "no such tool"),
        ([fault("lend", "stale")], "not for a tool that writes"),
        ([fault("find_members", "lost_reply")], "not for a tool that reads"),
        ([fault("lend", "timeout", 1, 2), fault("lend", "unavailable", 2)], "call 2 already"),
    ],
)
def test_impossible_faults_are_refused(faults: list[Fault], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_faults(faults, desk_spec())


@pytest.mark.parametrize("calls", [(), (0,), (-1,)])
def test_calls_count_from_one(calls: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Fault(tool="lend", kind="timeout", calls=calls)


async def test_a_branch_owes_what_its_snapshot_owed() -> None:
    task = Task.model_validate(desk_task().model_dump() | {"faults": ({"tool": "lend", "kind": "unavailable"},)})
    call = {"id": "a", "type": "function", "function": {"name": "lend", "arguments": json.dumps(LEND)}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    async with Episode(task, desk_image()) as episode:
        await episode.reset()
        before = episode.snapshot()
        first = await episode.step(message)
        second = await episode.step(message)
        async with episode.branch(before) as branch:
            again = await branch.step(message)
    assert '"unavailable"' in first.messages[0]["content"]
    assert '"error"' not in second.messages[0]["content"]
    assert again.messages == first.messages
