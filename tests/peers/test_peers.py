"""Real other packages, each in its own environment, play 50 tasks: the rewards are our own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.doors import calls_of, fifty, hosted, images_of, own, own_rewards
from tests.support.endpoint import Endpoint, Raw, Request, message
from tests.support.peers import beside

from mocktrial.envs.adapters.nemo_gym import nemo_app, rows
from mocktrial.envs.serving.sessions import Sessions
from mocktrial.mocktools.gate import Gate
from mocktrial.mocktools.listening import running

ASKS = pytest.mark.parametrize("asks", [True, False])


async def plans(asks: bool) -> tuple[list[list[tuple[str, dict[str, Any]]]], list[float]]:
    """The calls for each of the 50 tasks, and what they are worth on our own path."""
    dataset = fifty()
    images = images_of(dataset)
    worth = await own_rewards(dataset.tasks, images, asks=asks)
    assert (set(worth) == {1.0}) is asks
    return [await calls_of(task, images, asks=asks) for task in dataset.tasks], worth


@pytest.mark.peers("openai-agents")
@ASKS
async def test_openai_agents_through_mcp(asks: bool) -> None:
    calls, worth = await plans(asks)
    dataset = fifty()
    with hosted(Sessions(dataset.tasks, images_of(dataset))) as one:
        keys = [one.key(task=task.id) for task in dataset.tasks]
        given = [{"url": f"{one.url}/e/{key}/mcp", "calls": part} for key, part in zip(keys, calls, strict=True)]
        kinds = beside("openai-agents", "openai_agents_side.py", given)
        assert [sum(kind == "tool_call_output_item" for kind in part) for part in kinds] == list(map(len, calls))
        assert [one.of(key, "verify")["reward"] for key in keys] == worth


@pytest.mark.peers("nemo-gym")
@ASKS
async def test_nemo_gyms_agent_runs_its_rows(asks: bool) -> None:
    calls, worth = await plans(asks)
    dataset = fifty()
    images = images_of(dataset)
    sessions = Sessions(dataset.tasks, images)
    with running(nemo_app(sessions, Gate.at("127.0.0.1"))) as (port,):
        given = {"port": port, "rows": rows(dataset.tasks, images), "calls": calls}
        answers = beside("nemo-gym", "nemo_gym_side.py", given)
    assert [one["reward"] for one in answers] == worth
    assert [one["kinds"].count("function_call_output") for one in answers] == list(map(len, calls))
    assert sessions.keys() == []


@pytest.mark.peers("trl")
@pytest.mark.model
@ASKS
async def test_trl_plays_environment_classes(asks: bool) -> None:
    calls, worth = await plans(asks)
    seen = beside("trl", "trl_side.py", calls)
    assert seen["rewards"] == [[reward, reward] for reward in worth]
    for world, image in images_of(fifty()).items():
        shown = {tool["function"]["name"]: tool["function"] for tool in seen["tools"][world]}
        assert set(shown) == {*image.tools, "ask_user", "finish"}
        for schema in image.schemas:
            own = schema["function"]
            theirs = shown[own["name"]]
            assert theirs["description"] == own["description"]
            assert set(theirs["parameters"]["properties"]) == set(own["parameters"]["properties"])
            assert theirs["parameters"].get("required", []) == own["parameters"]["required"]


async def in_a_chat(peer: str, script: str, asks: bool) -> list[float]:
    """The rewards that a peer's own loop gets from an endpoint that says what the expert says in its chat."""
    dataset = fifty()
    images = images_of(dataset)
    lines = {task.instruction: (await own(task, images, asks=asks))[1] for task in dataset.tasks}
    assert len(lines) == 50

    def answer(request: Request) -> Raw:
        said = request.body["messages"]
        turn = sum(entry["role"] == "assistant" for entry in said)
        words = lines[_text(next(entry for entry in said if entry["role"] == "user"))][turn]
        return message(words, prompt_tokens=1, completion_tokens=1, total_tokens=2)

    async with Endpoint(answer) as endpoint:
        rewards: list[float] = await asyncio.to_thread(beside, peer, script, {"url": endpoint.url})
    return rewards


def _text(entry: dict[str, Any]) -> str:
    """The words of a message, which may come in parts."""
    content = entry["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize(
    ("peer", "script"),
    [
        pytest.param("verifiers", "verifiers_side.py", marks=pytest.mark.peers("verifiers")),
        pytest.param("inspect-ai", "inspect_side.py", marks=pytest.mark.peers("inspect-ai")),
    ],
)
@ASKS
async def test_a_package_with_a_chat_of_its_own(peer: str, script: str, asks: bool) -> None:
    _, worth = await plans(asks)
    assert await in_a_chat(peer, script, asks) == worth


@pytest.mark.peers("openenv-core")
@ASKS
async def test_openenvs_client_resets_and_steps(asks: bool) -> None:
    calls, worth = await plans(asks)
    seen = beside("openenv-core", "openenv_side.py", calls)
    assert seen["rewards"] == worth
    assert seen["steps"] == list(map(len, calls))
