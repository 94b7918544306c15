"""Episodes on the desk world: the protocol, the ends, isolation, branching and bad calls."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.agents.scripted import Expert, Guesser, Interrogator, Null, Violator
from mocktrial.envs.chat import assistant, tool_call
from mocktrial.envs.episode import Episode, Limits, SyncEpisode
from mocktrial.envs.task import Finish, Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.faults import Fault
from tests.support.desk import desk_image, desk_task


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return assistant(None, tool_call("c", tool, json.dumps(arguments)))


async def play(agent: Any, trial: int = 0) -> Trajectory:
    async with Episode(desk_task(), desk_image(), agent=agent.name, trial=trial) as episode:
        await agent.play(episode)
        return episode.trajectory()


async def test_expert_passes() -> None:
    trajectory = await play(Expert())
    assert trajectory.end == "finished"
    assert trajectory.grade is not None
    assert trajectory.grade.reward == 1.0
    assert trajectory.grade.asking.model_dump() == {"hidden": 1, "under_ask": 0, "over_ask": 0, "guess": 0}
    assert [(c.table, c.op) for c in trajectory.writes] == [("loans", "insert")]


@pytest.mark.parametrize("agent", [Null(), Guesser(), Guesser(lucky=True), Interrogator(), Violator()])
async def test_adversaries_fail(agent: Any) -> None:
    trajectory = await play(agent)
    assert trajectory.grade is not None
    assert not trajectory.grade.success


async def test_a_lucky_guess_is_counted() -> None:
    grade = (await play(Guesser(lucky=True))).grade
    assert grade is not None
    assert (grade.asking.guess, grade.asking.under_ask) == (1, 1)


async def test_messages_are_openai_shaped() -> None:
    trajectory = await play(Expert())
    pending: list[str] = []
    for message in trajectory.messages:
        if message["role"] == "assistant":
            pending = [entry["id"] for entry in message.get("tool_calls", ())]
        if message["role"] == "tool":
            assert message["tool_call_id"] == pending.pop(0)


async def test_same_seed_same_bytes() -> None:
    first, second = await play(Expert()), await play(Expert())
    assert first.model_dump_json() == second.model_dump_json()
    assert (await play(Expert(), trial=1)).writes != first.writes


async def test_64_interleaved_episodes_equal_their_serial_replays() -> None:
    serial = [(await play(Expert(), trial)).model_dump_json() for trial in range(64)]
    together = await asyncio.gather(*(play(Expert(), trial) for trial in range(64)))
    assert [trajectory.model_dump_json() for trajectory in together] == serial


async def test_branch_goes_on_without_touching_the_first() -> None:
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        await episode.step(call("lend", member_id="m1", item="lens"))
        other = episode.branch(episode.snapshot())
        await other.step(call("end_loan", loan_id="loan-1"))
        await other.step(call("finish", message="x"))
        await episode.step(call("finish", message="x"))
        assert [c.op for c in other.trajectory().writes] == ["update", "insert"]
        assert [c.op for c in episode.trajectory().writes] == ["insert"]
        other.close()


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        (Limits(turns=3), "turn_limit"),
        (Limits(calls=2), "call_limit"),
        (Limits(minutes=0.5), "time_limit"),
    ],
)
async def test_limits_end_an_episode(limits: Limits, end: str) -> None:
    async with Episode(desk_task(), desk_image(), limits=limits) as episode:
        observation = await episode.reset()
        while not observation.done:
            observation = await episode.step(call("find_members", name="a"))
        assert episode.trajectory().end == end


async def test_a_step_after_the_end_is_an_error() -> None:
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        await episode.step(call("finish", message="bye"))
        with pytest.raises(ValueError, match="ended"):
            await episode.step(call("find_members", name="a"))


async def test_calls_after_finish_in_one_message_do_not_run() -> None:
    both = assistant(
        None,
        tool_call("a", "finish", '{"message": "bye"}'),
        tool_call("b", "lend", '{"member_id": "m1", "item": "lens"}'),
    )
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        await episode.step(both)
        assert episode.trajectory().writes == ()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=6,
)
BAD_CALLS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON_VALUES,
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["lend", "finish", "nope", "", None]),
                "arguments": JSON_VALUES,
            },
        ),
    },
)


@given(calls=st.lists(BAD_CALLS | JSON_VALUES, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_malformed_calls_change_nothing_and_get_short_answers(calls: list[Any]) -> None:
    """FAULTS 4: short structured error to the model, call not run, nothing repaired."""
    episode = SyncEpisode(desk_task(), desk_image())
    episode.reset()
    before = episode.episode.world.digest()
    observation = episode.step({"role": "assistant", "content": None, "tool_calls": calls})
    assert episode.episode.world.digest() == before
    for message in observation.messages:
        assert len(message["content"].encode()) <= 2048
        assert message["role"] == "tool"
        assert "error" in json.loads(message["content"])
    episode.close()


@pytest.mark.parametrize("arguments", ["[1]", "null", '{"member_id": "m1"', "x" * 1_000_000, '"\ud800"', "{" * 5000])
async def test_broken_arguments_are_reported(arguments: str) -> None:
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        observation = await episode.step(assistant(None, tool_call("c", "lend", arguments)))
        error = json.loads(observation.messages[0]["content"])["error"]
        assert error["code"] in {"bad_json", "bad_arguments", "too_large"}
        assert episode.world.write_set() == ()


async def test_duplicate_ids_run_once() -> None:
    lend = tool_call("same", "lend", '{"member_id": "m1", "item": "lens"}')
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        observation = await episode.step(assistant(None, lend, lend))
        assert "duplicate_id" in observation.messages[1]["content"]
        assert len(episode.world.write_set()) == 1


async def test_an_episode_taken_back_goes_on_as_if_nothing_had_been() -> None:
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        await episode.step(assistant("For how many days is the loan?"))
        mark = episode.mark()
        records = []
        for _ in range(2):
            await episode.step(call("lend", member_id="m2", item="tripod", days=7))
            await episode.step(call("finish", message="Due on 2026-05-18."))
            records.append(episode.trajectory().model_dump_json())
            assert not episode.rewind(mark).done
        assert records[0] == records[1]
        await episode.step(call("finish", message="x"))
        assert episode.trajectory().writes == ()


FAULTS = {kind: Fault(tool="lend", kind=kind) for kind in ("unavailable", "timeout", "lost_reply")} | {
    kind: Fault(tool="find_members", kind=kind) for kind in ("stale", "partial")
}


def with_fault(kind: str) -> Task:
    return desk_task().model_copy(
        update={"faults": (FAULTS[kind],), "gold": (*desk_task().gold[:-1], Finish(finish="Due 18 May."))}
    )


@pytest.mark.parametrize("kind", FAULTS)
async def test_the_expert_gets_over_a_fault(kind: str) -> None:
    async with Episode(with_fault(kind), desk_image()) as episode:
        await Expert().play(episode)
        trajectory = episode.trajectory()
        assert trajectory.grade is not None
        assert trajectory.grade.success, trajectory.grade
        lends = [event for event in trajectory.events if event.name == "lend"]
        assert len(lends) == (2 if kind in ("unavailable", "timeout") else 1)
        assert len(trajectory.writes) == 1


async def test_a_branch_knows_which_faults_are_over() -> None:
    async with Episode(with_fault("unavailable"), desk_image()) as episode:
        await episode.reset()
        lend = call("lend", member_id="m2", item="tripod")
        before = episode.snapshot()
        first = await episode.step(lend)
        assert first.values[0]["error"]["code"] == "unavailable"
        for snapshot, ok in ((before, False), (episode.snapshot(), True)):
            other = episode.branch(snapshot)
            assert ("error" not in (await other.step(lend)).values[0]) == ok
            other.close()


async def test_values_are_what_the_tool_messages_say() -> None:
    async with Episode(desk_task(), desk_image()) as episode:
        await episode.reset()
        for message in (call("find_members", name="a"), call("lend", item="x"), call("finish", message="x")):
            observation = await episode.step(message)
            assert [json.loads(told["content"]) for told in observation.messages] == list(observation.values)
