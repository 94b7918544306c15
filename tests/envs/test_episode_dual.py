"""Dual control: the user has tools of its own on the episode's world. And the end: nobody leaves on a yes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mocktrial.agents.scripted import Expert, Guesser, Null, Violator
from mocktrial.envs.chat import Message, assistant, tool_call
from mocktrial.envs.episode import Episode
from mocktrial.envs.task import Fact, Persona, Task
from mocktrial.envs.trajectory import Event, Trajectory
from mocktrial.envs.users.base import Reply, UserState
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.faults import Fault, check_faults
from mocktrial.mocktools.world import World
from tests.support.desk import desk_image, desk_spec, desk_task
from tests.support.router import router_image, router_spec, router_task


def call(tool: str, **arguments: Any) -> Message:
    return assistant(None, tool_call("c", tool, json.dumps(arguments)))


async def talk(task: Task, *messages: Message) -> tuple[list[str], list[Event], Trajectory]:
    """The user's replies, all events, and the record."""
    image = router_image() if task.world == "router" else desk_image()
    said: list[str] = []
    async with Episode(task, image) as episode:
        await episode.reset()
        for message in messages:
            if not episode.done:
                replies = (await episode.step(message)).messages
                said += [reply["content"] for reply in replies if reply["role"] == "user"]
        episode.finish("finished")
        return said, list(episode.events), episode.trajectory()


def test_the_users_tools_are_checked_like_all_others_and_not_the_agents() -> None:
    report = check_world(router_spec())
    assert report.ok
    assert report.succeeded["restart_router"]
    assert {"restart_router", "read_letter"}.isdisjoint(tool["function"]["name"] for tool in router_image().schemas)
    with pytest.raises(SpecError, match="no such tool"):
        check_faults([Fault(tool="restart_router", kind="unavailable")], router_spec())


def test_neither_side_can_call_the_others_tools() -> None:
    with World.open(router_image(), 0) as world:
        refused = (
            world.call("restart_router", {"router_id": "r1"}),
            world.call_parsed("read_letter", {"customer_id": "c1"}),
            world.call_as_user("send_code", {"customer_id": "c1"}),
        )
        assert [result.code for result in refused] == ["unknown_tool"] * 3
        assert "restart_router" not in world.call("restart_routers", {}).text.replace("restart_routers", "")
        assert world.write_set() == ()


async def test_an_agent_that_calls_a_users_tool_is_told_that_there_is_none() -> None:
    _, events, trajectory = await talk(router_task(1), call("restart_router", router_id="r1"))
    assert [(event.ok, event.code, event.by) for event in events] == [(False, "unknown_tool", "agent")]
    assert trajectory.writes == ()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("agent", "right"), [(Expert(), True), (Null(), False), (Guesser(), False), (Violator(), False)]
)
async def test_only_the_expert_passes(number: int, agent: Any, right: bool) -> None:
    async with Episode(router_task(number), router_image()) as episode:
        await agent.play(episode)
        assert episode.succeeded() == right


@pytest.mark.parametrize(
    "message",
    ["Please restart your router.", "Could you reboot the router for me?", "I need you to turn the router off and on."],
)
async def test_a_deed_that_is_asked_for_is_done_on_the_same_world(message: str) -> None:
    said, events, trajectory = await talk(router_task(1), assistant(message), call("check_line", customer_id="c1"))
    done = next(event for event in events if event.by == "user")
    assert (done.kind, done.name, done.ok, done.arguments) == ("call", "restart_router", True, {"router_id": "r1"})
    assert said == ["I restarted it. The lights are green now."]
    assert json.loads(trajectory.messages[-1]["content"]) == {"line": "works"}
    assert not [event for event in events if event.kind == "question"]


@pytest.mark.parametrize(
    "message",
    [
        "Have you restarted the router?",
        "I will restart the router.",
        "How is the line?",
        "Shall I restart the router?",
        "Please do not restart your router.",
        "Would you like me to restart the router?",
    ],
)
async def test_nothing_is_done_unasked(message: str) -> None:
    _, events, _ = await talk(router_task(1), assistant(message))
    assert not [event for event in events if event.by == "user"]


async def test_a_failed_deed_is_told_in_the_tools_words() -> None:
    task = router_task(1)
    deed = task.deeds[0].model_copy(update={"arguments": {"router_id": "r9"}})
    said, events, _ = await talk(task.model_copy(update={"deeds": (deed,)}), assistant("Please restart your router."))
    assert "There is no such router here." in said[0]
    assert [(event.ok, event.code) for event in events if event.by == "user"] == [(False, "no_router")]


async def test_a_value_that_must_be_looked_up_is_told_once_it_is_there() -> None:
    ask = assistant("What is the code in the letter?")
    said, events, _ = await talk(router_task(2), ask, call("send_code", customer_id="c1"), ask)
    assert "No letter has come." in said[0]
    assert "4711-K" not in said[0]
    assert "4711-K" in said[1]
    kinds = [(event.kind, event.name) for event in events if event.kind == "release" or event.by == "user"]
    assert kinds == [("call", "read_letter"), ("call", "read_letter"), ("release", "code")]


async def test_what_is_told_is_what_the_world_says() -> None:
    task = router_task(2)
    code = task.fact("code").model_copy(update={"value": "1234-A", "spoken": "1234-A"})
    stale = task.model_copy(update={"facts": (code, task.fact("plan"))})
    said, _, _ = await talk(stale, call("send_code", customer_id="c1"), assistant("What is the code in the letter?"))
    assert "4711-K" in said[0]


async def test_what_the_user_does_itself_is_no_guess_of_the_agent() -> None:
    router = Fact(id="router", label="the router's number", value="r1", spoken="r1")
    task = router_task(1).model_copy(update={"facts": (router,)})
    restart = assistant("Please restart your router.")
    trajectory = (await talk(task, restart))[2]
    assert trajectory.grade is not None
    assert (trajectory.grade.asking.guess, trajectory.grade.asking.under_ask) == (0, 1)


async def test_the_reserved_answer_a_gold_plan_that_asks_for_several_things_at_once() -> None:
    days, item = desk_task().facts
    phone = days.model_copy(
        update={"label": "the phone number", "question": "What is your phone number?", "aliases": ()}
    )
    asks = desk_task().gold[1].model_copy(update={"text": "What is the item? What is your phone number?"})
    task = desk_task().model_copy(
        update={
            "facts": (phone, item),
            "persona": Persona(privacy=2),
            "gold": (desk_task().gold[0], asks, *desk_task().gold[2:]),
        }
    )
    async with Episode(task, desk_image()) as episode:
        await Expert().play(episode)
        assert episode.succeeded()


def test_records_without_the_new_fields_are_read_and_written_as_before() -> None:
    task = desk_task().model_dump()
    assert not {"deeds"} & task.keys()
    assert not any("via" in fact for fact in task["facts"])
    assert not any("does" in step for step in task["gold"])
    assert not any("by" in tool for kit in desk_spec().model_dump()["toolkits"] for tool in kit["tools"])
    event = {"turn": 0, "kind": "call", "name": "lend", "arguments": {}, "ok": True, "code": "", "text": ""}
    old = Trajectory.model_validate(
        {"task_id": "t", "task_hash": "h", "world_hash": "w", "agent": "a", "seed": 0, "trial": 0,
         "outcome": "scored", "end": "finished", "events": [event]}
    )  # fmt: skip
    assert old.events[0].by == "agent"
    assert old.model_dump(mode="json")["events"] == [event]


IMPATIENT = desk_task().model_copy(update={"persona": Persona(patience=1)})
YES = assistant("Shall I lend the tripod to Alan Mathison for 7 days?")
SILLY = assistant("Do you like jazz?")
LEND = call("lend", member_id="m2", item="tripod", days=7)


@pytest.mark.parametrize(
    ("messages", "end", "writes"),
    [
        ((SILLY,), "user_left", 0),
        ((YES, SILLY, SILLY, SILLY, LEND), "finished", 1),
        ((YES, LEND, SILLY), "user_left", 1),
        ((YES, call("find_members", name="a"), SILLY, LEND), "finished", 1),  # a look-up is not what it waits for
        ((YES, call("lend", item="x"), SILLY, LEND), "finished", 1),  # nor is a call that failed
        ((YES, assistant("I am sorry, I cannot do that."), SILLY), "user_left", 0),
    ],
)
async def test_a_user_who_said_yes_stays_until_it_is_done_or_declined(
    messages: tuple[Message, ...], end: str, writes: int
) -> None:
    _, _, trajectory = await talk(IMPATIENT, *messages)
    assert (trajectory.end, len(trajectory.writes)) == (end, writes)


class Leaver:
    """Says yes, and leaves at the next word."""

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...], **_: Any
    ) -> tuple[Reply, UserState]:
        waits = state.model_copy(update={"awaiting": True})
        return Reply(text="Yes.", confirmed=True, leaves=state.awaiting, faults=("leak",)), waits


async def test_no_user_of_whatever_make_can_cut_off_what_it_said_yes_to() -> None:
    async with Episode(desk_task(), desk_image(), user=Leaver()) as episode:
        await episode.reset()
        for message in (YES, SILLY, SILLY, LEND):
            await episode.step(message)
        assert not episode.done
        assert [event.name for event in episode.events if event.kind == "fault"] == ["leak"] * 3
