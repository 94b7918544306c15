"""NeMo Gym's wire, by the requests that its simple agent makes: each sends the cookies of the last answer alone."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.support.desk import desk_image, desk_task
from tests.support.doors import desk_sessions, fifty, images_of, own_rewards, play

from mocktrial.envs.adapters.nemo_gym import nemo_app, rows
from mocktrial.envs.serving.sessions import Sessions
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.gate import Gate
from mocktrial.mocktools.keeper import Quota

DESK = rows([desk_task()], {"desk": desk_image()})[0]


class Agent:
    """What NeMo Gym's agent keeps of a session."""

    def __init__(self, sessions: Sessions) -> None:
        app = nemo_app(sessions, Gate.at("127.0.0.1"))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
        self._cookies: dict[str, str] = {}

    async def post(self, path: str, body: Any) -> httpx.Response:
        self._client.cookies.clear()
        self._client.cookies.update(self._cookies)
        answer = await self._client.post(path, json=body)
        self._cookies = dict(answer.cookies)
        return answer

    async def seed(self, row: dict[str, Any]) -> None:
        assert (await self.post("/seed_session", row)).status_code == 200

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        answer = (await self.post(f"/{name}", arguments)).json()
        return json.dumps(answer["result"])

    async def verify(self, row: dict[str, Any], *output: dict[str, Any]) -> Any:
        return (await self.post("/verify", {**row, "response": {"output": list(output)}})).json()


@pytest.fixture
def agent() -> Agent:
    return Agent(desk_sessions())


@pytest.mark.parametrize("asks", [True, False])
async def test_rewards_are_our_own_on_fifty_tasks(asks: bool) -> None:
    dataset = fifty()
    images = images_of(dataset)
    sessions, rewards = Sessions(dataset.tasks, images), []
    agent = Agent(sessions)
    for task, row in zip(dataset.tasks, rows(dataset.tasks, images), strict=True):
        await agent.seed(row)
        await play(task, agent.call, asks=asks)
        verified = await agent.verify(row)
        assert {name: verified[name] for name in row} == row
        rewards.append(verified["reward"])
    assert rewards == await own_rewards(dataset.tasks, images, asks=asks)
    assert (set(rewards) == {1.0}) is asks
    assert sessions.keys() == []  # verified is closed


def test_a_row_has_prompt_and_tools_as_the_responses_api_takes_them() -> None:
    given = DESK["responses_create_params"]
    assert [message["role"] for message in given["input"]] == ["system", "user"]
    assert [tool["name"] for tool in given["tools"]][-2:] == ["ask_user", "finish"]
    assert {tool["type"] for tool in given["tools"]} == {"function"}


async def test_last_words_without_a_call_reach_the_user(agent: Agent) -> None:
    await agent.seed(DESK)
    await play(desk_task().model_copy(update={"gold": desk_task().gold[:-1]}), agent.call)
    words = "Done: the tripod is due on 2026-05-18."
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}]}
    assert (await agent.verify(DESK, {"type": "reasoning"}, said))["reward"] == 1.0


async def test_asked_again_the_verdict_is_the_same(agent: Agent) -> None:
    await agent.seed(DESK)
    await play(desk_task(), agent.call)
    assert await agent.verify(DESK) == await agent.verify(DESK)


async def test_an_episode_without_a_result_is_masked() -> None:
    class Broken(ScriptedUser):
        async def reply(self, *given: Any, **more: Any) -> Any:
            raise NoResult("it lost its thread", blame="user")

    agent = Agent(desk_sessions(user=Broken()))
    await agent.seed(DESK)
    assert (await agent.post("/ask_user", {"message": "Hello?"})).status_code == 502
    verified = await agent.verify(DESK)
    assert (verified["reward"], verified["mask_sample"]) == (0.0, True)
    assert verified["failure_reason"] == "user: it lost its thread"


async def test_an_episode_that_used_up_its_calls_is_graded_all_the_same() -> None:
    agent = Agent(desk_sessions(quota=Quota(calls=1)))
    await agent.seed(DESK)
    await agent.call("find_members", {"name": "Alan"})
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]}
    assert (await agent.verify(DESK, said))["reward"] == 0.0


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/lend", {}, 400),
        ("/verify", {}, 400),
        ("/seed_session", {"task": "no"}, 404),
        ("/seed_session", {"task": 3}, 422),
        ("/seed_session", [], 422),
    ],
)
async def test_what_is_not_answered_says_why(agent: Agent, path: str, body: Any, status: int) -> None:
    answer = await agent.post(path, body)
    assert answer.status_code == status
    assert len(answer.json()["error"]) > 5


async def test_a_foreign_host_is_refused() -> None:
    app = nemo_app(desk_sessions(), Gate.at("127.0.0.1"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://evil.example") as client:
        assert (await client.post("/seed_session", json=DESK)).status_code == 403
