"""The plain loop and the LangGraph ReAct agent: one behaviour, two ways to run it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.support.desk import desk_image, desk_task
from tests.support.endpoint import Endpoint, Raw, Request, message, refuse, say

from mocktrial.agents.base import Agent
from mocktrial.agents.graphs import CompiledStateGraph
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.openai_client import OpenAIModel
from mocktrial.agents.react import ReactAgent
from mocktrial.agents.retry import Retry
from mocktrial.agents.testing import ScriptedModel
from mocktrial.envs.chat import CONTEXT_LIMIT, ChatModel, Completion, Message, ToolSchema, Usage, assistant, tool_call
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult

Make = Callable[..., Agent]
both = pytest.mark.parametrize("make", [ModelAgent, ReactAgent])

GOLD: list[Any] = [
    assistant(None, tool_call("a", "find_members", '{"name": "Alan"}')),
    "For how many days is the loan?",
    "Shall I lend the tripod to Alan Mathison for 7 days?",
    assistant(None, tool_call("b", "lend", '{"member_id": "m2", "item": "tripod", "days": 7}')),
    assistant(None, tool_call("c", "finish", '{"message": "Done: the tripod is due on 2026-05-18."}')),
]


async def play(make: Make, model: ChatModel, limits: Limits | None = None, **options: Any) -> Trajectory:
    agent = make(model, **options)
    async with Episode(desk_task(), desk_image(), agent=agent.name, limits=limits) as episode:
        await agent.play(episode)
        return episode.trajectory()


@both
async def test_a_good_model_passes(make: Make) -> None:
    trajectory = await play(make, ScriptedModel(GOLD))
    assert trajectory.end == "finished"
    assert trajectory.grade is not None
    assert trajectory.grade.success


async def test_both_leave_the_same_record() -> None:
    plain = await play(ModelAgent, ScriptedModel(GOLD))
    graph = await play(ReactAgent, ScriptedModel(GOLD))
    assert (plain.agent, graph.agent) == ("scripted", "react:scripted")
    assert graph.model_copy(update={"agent": plain.agent}) == plain


@both
async def test_the_model_is_sent_all_of_the_conversation_once(make: Make) -> None:
    sent: list[Message] = []

    def answer(messages: Sequence[Message], tools: Sequence[ToolSchema]) -> Any:
        sent[:] = messages
        assert [tool["function"]["name"] for tool in tools][-1] == "finish"
        return GOLD[sum(entry["role"] == "assistant" for entry in messages)]

    trajectory = await play(make, ScriptedModel(answer))
    assert tuple(sent) == trajectory.messages[: len(sent)]
    assert len(sent) == len(trajectory.messages) - 2  # all but finish and its answer


@both
async def test_usage_is_recorded(make: Make) -> None:
    reply = Completion(message=GOLD[-1], usage=Usage(prompt_tokens=5, completion_tokens=2))
    assert (await play(make, ScriptedModel([reply]))).usage.prompt_tokens == 5


@both
@pytest.mark.parametrize(("own", "theirs"), [(2, 24), (None, 2), (9, 2)])
async def test_turn_limits(make: Make, own: int | None, theirs: int) -> None:
    search = assistant(None, tool_call("a", "find_members", "{}"))
    model = ScriptedModel(lambda messages, tools: search)
    trajectory = await play(make, model, Limits(turns=theirs), max_turns=own)
    assert trajectory.end == "turn_limit"
    assert len(trajectory.traces) == 2


@both
async def test_a_long_episode_is_not_cut_short(make: Make) -> None:
    search = assistant(None, tool_call("a", "find_members", "{}"))
    model = ScriptedModel(lambda messages, tools: search)
    trajectory = await play(make, model, Limits(turns=60, calls=100))
    assert len(trajectory.traces) == 60


@both
async def test_a_full_context_ends_the_episode(make: Make) -> None:
    full = assistant("") | {"refusal": CONTEXT_LIMIT}
    trajectory = await play(make, ScriptedModel([GOLD[0], full]))
    assert (trajectory.end, len(trajectory.traces)) == ("context_limit", 1)


@both
async def test_malformed_calls_come_back_and_change_nothing(make: Make) -> None:
    broken = assistant(None, tool_call("a", "lend", '{"member_id": "m2", '))
    trajectory = await play(make, ScriptedModel([broken, GOLD[-1]]))
    assert trajectory.messages[2] == broken
    assert json.loads(trajectory.messages[3]["content"])["error"]
    assert not trajectory.writes


@both
async def test_an_endpoint_that_fails_is_no_result(make: Make) -> None:
    retry = Retry(attempts=2, wait_initial=0.01, jitter=0.0)
    async with Endpoint(lambda _: refuse(500)) as endpoint:
        with pytest.raises(NoResult) as caught:
            await play(make, OpenAIModel("m", endpoint.url, retry=retry))
    assert caught.value.blame == "endpoint"


@both
async def test_episodes_through_an_endpoint_side_by_side(make: Make) -> None:
    """One agent, one client, many conversations at once: none sees another's."""

    def answer(request: Request) -> Raw:
        reply = GOLD[sum(entry["role"] == "assistant" for entry in request.body["messages"])]
        return say(reply) if isinstance(reply, str) else message(reply)

    async with Endpoint(answer) as endpoint:
        model = OpenAIModel("m", endpoint.url)
        trajectories = await asyncio.gather(*(play(make, model) for _ in range(8)))
        await model.aclose()
    assert [trajectory.grade and trajectory.grade.success for trajectory in trajectories] == [True] * 8
    assert trajectories[0].usage.completion_tokens == 2 * 3  # two replies said what they cost


def test_a_scripted_model_that_runs_out_says_so() -> None:
    with pytest.raises(NoResult, match="no reply is left after 1"):
        asyncio.run(play(ModelAgent, ScriptedModel([GOLD[0]])))


def test_checkpoints_would_be_read_strictly() -> None:
    assert CompiledStateGraph is not None
    assert os.environ["LANGGRAPH_STRICT_MSGPACK"] == "true"
