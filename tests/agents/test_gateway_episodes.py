"""Agents in other programs play a dataset through the gateway: what they reach, and what the ledger gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.support.desk import desk_image, desk_task
from tests.support.desk_agents import STEPS, Desk, expert, langgraph_react, plain_loop
from tests.support.endpoint import Endpoint, Raw, Request, refuse

from mocktrial.agents.endpoint import EndpointClient
from mocktrial.agents.gateway.app import running
from mocktrial.agents.gateway.proxy import Proxy
from mocktrial.agents.gateway.recorder import Recorder
from mocktrial.agents.gateway.sittings import MAX_OPEN, Sittings
from mocktrial.agents.prices import Price
from mocktrial.agents.retry import Retry
from mocktrial.envs.failures import read_reason
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.scripted import ScriptedUser

CONTROL = {"Authorization": "Bearer control"}
FAST = Retry(attempts=2, deadline=5.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)
KEY = "sk-canary-agent"
Answers = Callable[[Request], Raw] | Sequence[Raw]


class Hall:
    """A gateway with the desk's episodes, its upstream, and its control plane."""

    def __init__(
        self, url: str, control: httpx.AsyncClient, agents: httpx.AsyncClient, model: openai.AsyncOpenAI
    ) -> None:
        self.url, self.control, self._agents, self._model = url, control, agents, model

    async def open(self, **start: Any) -> dict[str, Any]:
        answer = await self.control.post("/episodes", json=start)
        assert answer.status_code == 201, answer.text
        opened: dict[str, Any] = answer.json()
        return opened

    async def sit(self, agent: Callable[[Desk], Awaitable[None]], **start: Any) -> str:
        """Let `agent` play an episode; its key."""
        opened = await self.open(**start)
        await agent(Desk(opened, self._agents, self._model))
        return str(opened["episode"])

    async def close(self, key: str) -> dict[str, Any]:
        closed: dict[str, Any] = (await self.control.delete(f"/episodes/{key}")).raise_for_status().json()
        return closed


@asynccontextmanager
async def hall(folder: Path, answers: Answers = expert, **options: Any) -> AsyncIterator[Hall]:
    recorder = Recorder({"m": Price(prompt=1.0, completion=2.0)})
    with Ledger.open(folder / "ledger.sqlite", {}) as ledger:
        options = {"trials": 2, "agent": "theirs"} | options
        sittings = Sittings([desk_task()], {"desk": desk_image()}, ledger, recorder, **options)
        async with Endpoint(answers) as endpoint:
            proxy = Proxy(EndpointClient(endpoint.url, retry=FAST), recorder)
            with running(proxy, sittings, control_token="control") as (port,):
                url = f"http://127.0.0.1:{port}"
                async with (
                    httpx.AsyncClient(base_url=url, headers=CONTROL) as control,
                    httpx.AsyncClient(base_url=url, timeout=60) as agents,
                    openai.AsyncOpenAI(base_url=url, api_key=KEY, timeout=60) as model,
                ):
                    yield Hall(url, control, agents, model)


def trajectories(folder: Path) -> list[Trajectory]:
    with Ledger.read(folder / "ledger.sqlite") as ledger:
        return list(ledger.trajectories())


@pytest.mark.parametrize("agent", [plain_loop, langgraph_react])
async def test_a_foreign_agents_episode_is_graded_with_its_calls(
    tmp_path: Path, agent: Callable[[Desk], Awaitable[None]]
) -> None:
    async with hall(tmp_path) as one:
        key = await one.sit(agent)
        closed = await one.close(key)
    assert (closed["outcome"], closed["end"], closed["success"]) == ("scored", "finished", True)
    (played,) = trajectories(tmp_path)
    assert (played.agent, played.trial, played.grade and played.grade.reward) == ("theirs", 0, 1.0)
    assert [call.reply for call in played.calls] == list(STEPS)
    assert [call.continues for call in played.calls] == [None, 0, 1, 2, 3]
    assert played.calls[0].tools == played.tools
    assert (played.usage.prompt_tokens, played.usage.completion_tokens) == (45, 20)
    assert played.usage.cost == pytest.approx(85e-6)
    assert "canary" not in played.model_dump_json()


async def test_a_shell_script_plays_too(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "support" / "desk_agent.sh"
    async with hall(tmp_path) as one:
        command = ["sh", str(script), one.url, "control"]
        shell = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await shell.communicate()
    assert shell.returncode == 0
    assert b"7 days" in said
    (played,) = trajectories(tmp_path)
    assert (played.outcome, played.end, len(played.calls)) == ("scored", "finished", 1)
    assert played.messages[-2]["tool_calls"][0]["function"]["name"] == "finish"


async def test_what_is_owed_is_given_out_once_and_gone_on_with(tmp_path: Path) -> None:
    async with hall(tmp_path) as one:
        first, second = await one.open(), await one.open()
        assert [(opened["task"], opened["trial"]) for opened in (first, second)] == [("desk-1", 0), ("desk-1", 1)]
        assert (await one.control.post("/episodes", json={})).status_code == 410
        assert (await one.control.get("/episodes")).json()["open"] == [first["episode"], second["episode"]]
        await one.close(second["episode"])
    async with hall(tmp_path) as one:  # the first was never over: it is owed
        assert (await one.control.post("/episodes", json={"task": "desk-1", "trial": 1})).status_code == 410
        assert (await one.open(task="desk-1"))["trial"] == 0
        assert (await one.control.post("/episodes", json={"task": "no"})).status_code == 404


async def test_an_agent_sees_what_the_episode_says(tmp_path: Path) -> None:
    async with hall(tmp_path) as one:
        opened = await one.open()
        path = f"/e/{opened['episode']}"
        assert opened["messages"][1]["content"] == desk_task().instruction
        assert (await one.control.get(f"{path}/tools")).json() == opened["tools"]
        wrong = (await one.control.post(f"{path}/tools/lend", content=b'{"member_id": "\xff"}')).json()
        assert (wrong["ok"], wrong["done"], set(wrong["result"])) == (False, False, {"error"})
        told = (await one.control.post(f"{path}/user", json={"message": "For how many days?"})).json()
        assert "7 days" in told["message"]


async def test_agents_elsewhere_meet_the_user_that_was_asked_for(tmp_path: Path) -> None:
    class Curt(ScriptedUser):
        async def reply(self, *given: Any, **more: Any) -> Any:
            reply, understood = await super().reply(*given, **more)
            return reply.model_copy(update={"text": f"Hm. {reply.text}"}), understood

    async with hall(tmp_path, user=Curt()) as one:
        await one.close(await one.sit(plain_loop))
    (played,) = trajectories(tmp_path)
    said = [str(message["content"]) for message in played.messages if message["role"] == "user"][1:]
    assert said
    assert all(text.startswith("Hm. ") for text in said)


async def test_an_episode_that_is_over_takes_no_more_but_calls_to_the_model(tmp_path: Path) -> None:
    async with hall(tmp_path) as one:
        key = await one.sit(plain_loop)
        for path, body in (("tools/find_members", {"name": "A"}), ("user", {"message": "hi"})):
            assert (await one.control.post(f"/e/{key}/{path}", json=body)).status_code == 409
        request = {"model": "m", "messages": [{"role": "user", "content": "bye"}]}
        assert (await one.control.post(f"/e/{key}/v1/chat/completions", json=request)).status_code == 200
        assert (await one.control.post(f"/e/{key}/finish", json={})).json() == {"ended": key}
        assert (await one.control.post("/e/nobody/v1/chat/completions", json=request)).status_code == 404
    assert len(trajectories(tmp_path)[0].calls) == len(STEPS)


async def test_an_agent_does_not_reach_the_control_plane(tmp_path: Path) -> None:
    async with hall(tmp_path) as one, httpx.AsyncClient(base_url=one.url) as agent:
        opened = await one.open()
        for method, path in (("GET", "/episodes"), ("POST", "/episodes"), ("DELETE", f"/episodes/{opened['episode']}")):
            assert (await agent.request(method, path)).status_code == 401
        answer = await agent.post(f"/e/{opened['episode']}/finish", json={})
        assert answer.json() == {"ended": opened["episode"]}  # and not its grade


async def test_an_episode_whose_endpoint_failed_has_no_result(tmp_path: Path) -> None:
    def late(request: Request) -> Raw:
        return expert(request) if len(request.body["messages"]) < 5 else refuse(503)

    async with hall(tmp_path, late) as one:
        with pytest.raises(openai.InternalServerError):
            await one.sit(plain_loop)
        (key,) = (await one.control.get("/episodes")).json()["open"]
        assert (await one.close(key))["outcome"] == "no_result"
    (played,) = trajectories(tmp_path)
    assert read_reason(played.reason)[:2] == ("endpoint", "SERVER_ERROR")
    assert (played.grade, len(played.calls)) == (None, 2)


async def test_a_failure_that_the_agent_got_over_does_not_count(tmp_path: Path) -> None:
    fail = iter([refuse(500)] * FAST.attempts)

    async def stubborn(desk: Desk) -> None:
        with pytest.raises(openai.InternalServerError):
            await desk.think()
        await plain_loop(desk)

    async with hall(tmp_path, lambda request: next(fail, None) or expert(request)) as one:
        assert (await one.close(await one.sit(stubborn)))["success"] is True


async def test_an_agent_that_has_gone_has_no_result(tmp_path: Path) -> None:
    async with hall(tmp_path, deadline=0.05) as one:
        await one.open()
        await asyncio.sleep(0.1)
        await one.open()
    (gone,) = trajectories(tmp_path)
    assert gone.reason == "agent: DEADLINE: the episode was not over after 0.05 s"


async def test_a_dead_endpoint_stops_the_gateway_and_resume_finishes(tmp_path: Path) -> None:
    async def once(desk: Desk) -> None:
        with pytest.raises(openai.InternalServerError):
            await desk.think()

    async with hall(tmp_path, lambda _: refuse(500), trials=8, breaker=5) as one:
        for _ in range(5):
            await one.close(await one.sit(once))
        refused = await one.control.post("/episodes", json={})
        assert refused.status_code == 503
        assert "5 failures in a row: endpoint: SERVER_ERROR" in refused.json()["error"]
    async with hall(tmp_path, trials=8) as one:
        await asyncio.gather(*(one.sit(plain_loop) for _ in range(8)))
        assert (await one.control.get("/episodes")).json()["owed"] == 0
    assert [played.outcome for played in trajectories(tmp_path)] == ["scored"] * 8


async def test_the_house_is_full_at_some_point(tmp_path: Path) -> None:
    async with hall(tmp_path, trials=MAX_OPEN + 1) as one:
        for _ in range(MAX_OPEN):
            await one.open()
        assert (await one.control.post("/episodes", json={})).status_code == 429
