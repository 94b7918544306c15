"""Whole episodes over HTTP: a real server on loopback, and the same as in process."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from mocktrial.envs.chat import assistant, tool_call
from mocktrial.envs.serving import app
from mocktrial.envs.serving.sessions import Sessions, Start
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.faults import Fault
from mocktrial.mocktools.gate import Gate
from mocktrial.mocktools.keeper import Quota
from tests.support.desk import desk_image, desk_task
from tests.support.doors import Hosted, desk_sessions, hosted, own

LEND = {"member_id": "m2", "item": "tripod", "days": 7}


@pytest.fixture(scope="module")
def desk() -> Iterator[Hosted]:
    with hosted() as one:
        yield one


def gold(one: Hosted, key: str) -> None:
    one.call(key, "find_members", name="Alan")
    one.call(key, "ask_user", message="For how many days is the loan?")
    one.call(key, "ask_user", message="Shall I lend the tripod to Alan Mathison for 7 days?")
    one.call(key, "lend", **LEND)
    one.call(key, "finish", message="Done: the tripod is due on 2026-05-18.")


async def test_an_agent_without_a_chat_does_everything(desk: Hosted) -> None:
    key = desk.key()
    gold(desk, key)
    verdict = desk.of(key, "verify")
    assert (verdict["outcome"], verdict["end"], verdict["success"]) == ("scored", "finished", True)
    assert verdict["reward"] == (await own(desk_task(), {"desk": desk_image()}))[0]
    record = Trajectory.model_validate(desk.of(key, "trajectory", "GET"))
    assert [event.name for event in record.events if event.kind == "call"] == ["find_members", "lend"]


def test_what_an_agent_sees(desk: Hosted) -> None:
    opened = desk.open()
    view = desk.agent.get(f"/e/{opened['episode']}").json()
    assert view == {name: opened[name] for name in ("episode", "messages", "tools", "done")}
    assert [message["role"] for message in view["messages"]] == ["system", "user"]
    names = [tool["function"]["name"] for tool in desk.agent.get(f"/e/{opened['episode']}/tools").json()]
    assert names == ["find_members", "list_loans", "lend", "end_loan", "ask_user", "finish"]


def test_the_user_answers_as_in_a_chat(desk: Hosted) -> None:
    key = desk.key()
    said = desk.call(key, "ask_user", message="For how many days is the loan?")
    assert (said["ok"], said["done"]) == (True, False)
    assert "7 days" in said["result"]["message"]
    chat = desk.key()
    seen = desk.control.post(f"/episodes/{chat}/say", json={"text": "For how many days is the loan?"}).json()
    assert seen["messages"] == [{"role": "user", "content": said["result"]["message"]}]
    assert desk.of(chat, "state", "GET")["released"] == ["days"] == desk.of(key, "state", "GET")["released"]


def test_a_whole_message_is_one_turn(desk: Hosted) -> None:
    key = desk.key()
    calls = [tool_call(f"c{n}", "find_members", f'{{"name": "{name}"}}') for n, name in enumerate(("Alan", "Ada"))]
    seen = desk.control.post(f"/episodes/{key}/step", json={"message": assistant(None, *calls)}).json()
    assert [message["tool_call_id"] for message in seen["messages"]] == ["c0", "c1"]
    assert desk.of(key, "state", "GET")["turns"] == 1


@pytest.mark.parametrize(
    "arguments", ['{"message": 3}', "{}", '{"message": "a", "to": "b"}', "[", '{"message": "\xff"}']
)
def test_a_wrong_question_reaches_nobody(desk: Hosted, arguments: str) -> None:
    key = desk.key()
    answer = desk.agent.post(f"/e/{key}/tools/ask_user", content=arguments.encode("latin-1")).json()
    assert (answer["ok"], set(answer["result"])) == (False, {"error"})
    assert desk.of(key, "state", "GET")["turns"] == 0


def test_after_the_end_nothing_happens(desk: Hosted) -> None:
    key = desk.key()
    assert desk.call(key, "finish", message="Bye.")["done"] is True
    before = desk.of(key, "state", "GET")
    for name in ("lend", "ask_user", "finish"):
        late = desk.call(key, name, **(LEND if name == "lend" else {"message": "Hello?"}))
        assert (late["ok"], late["done"], late["result"]["error"]["code"]) == (False, True, "episode_over")
    assert desk.control.post(f"/episodes/{key}/say", json={"text": "Hello?"}).json() == {"messages": [], "done": True}
    assert desk.of(key, "state", "GET") == before


def test_seeds_choose_the_episode(desk: Hosted) -> None:
    def words(**start: Any) -> str:
        return str(desk.call(desk.key(**start), "ask_user", message="Can you tell me the length?")["result"])

    assert words() == words(user_seed=0)
    assert len({words(user_seed=seed) for seed in range(8)}) > 1
    keys = [desk.key(trial=trial) for trial in (0, 0, 1)]
    seeds = [desk.of(key, "trajectory", "GET")["seed"] for key in keys]
    assert seeds[0] == seeds[1] != seeds[2]


def test_reset_begins_again(desk: Hosted) -> None:
    key = desk.key()
    before = desk.of(key, "state", "GET")
    gold(desk, key)
    assert desk.of(key, "verify")["success"] is True
    assert desk.of(key, "reset")["done"] is False
    assert desk.of(key, "state", "GET") == before
    assert desk.of(key, "verify")["success"] is False


def test_after_a_reset_a_request_is_new(desk: Hosted) -> None:
    key, once = desk.key(), {"Idempotency-Key": "1"}

    def lend() -> dict[str, Any]:
        answer: dict[str, Any] = desk.agent.post(f"/e/{key}/tools/lend", json=LEND, headers=once).json()
        return answer

    lent = lend()
    assert lend() == lent
    desk.of(key, "reset")
    assert lend() == lent
    assert len(desk.of(key, "state", "GET")["write_set"]) == 1


@pytest.mark.parametrize("kind", ["timeout", "lost_reply"])
def test_an_agent_is_not_told_that_a_lost_call_was_done(kind: str) -> None:
    fault = Fault.model_validate({"tool": "lend", "kind": kind})
    task = desk_task().model_copy(update={"faults": (fault,)})
    with hosted(Sessions([task], {"desk": desk_image()})) as one:
        answer = one.call(one.key(), "lend", **LEND)
    assert (answer["ok"], answer["result"]["error"]["code"]) == (False, "timeout")


@pytest.mark.parametrize("kind", ["stale", "partial"])
def test_an_agent_is_not_told_that_a_result_is_spoiled_but_by_the_result(kind: str) -> None:
    fault = Fault.model_validate({"tool": "find_members", "kind": kind})
    task = desk_task().model_copy(update={"faults": (fault,)})
    with hosted(Sessions([task], {"desk": desk_image()})) as one:
        answer = one.call(one.key(), "find_members", name="Alan")
    assert (answer["ok"], answer["result"][kind]) == (True, True)


def test_a_branch_goes_on_from_its_snapshot(desk: Hosted) -> None:
    key = desk.key()
    desk.call(key, "ask_user", message="For how many days is the loan?")
    frozen = desk.of(key, "state", "GET")
    snapshot = desk.of(key, "snapshot")["snapshot"]
    desk.call(key, "lend", **LEND)
    branch = desk.open(task=None, snapshot=snapshot)
    assert branch["messages"][-1]["role"] == "user"
    assert desk.of(branch["episode"], "state", "GET") == frozen | {"episode": branch["episode"]}


def test_a_repeated_request_is_not_made_again(desk: Hosted) -> None:
    repeat = {"Idempotency-Key": "once"}
    first, again = (desk.control.post("/episodes", json={"task": "desk-1"}, headers=repeat).json() for _ in range(2))
    assert first == again
    key = first["episode"]
    lent = [desk.agent.post(f"/e/{key}/tools/lend", json=LEND, headers=repeat).json() for _ in range(2)]
    assert lent[0] == lent[1]
    said = [
        desk.control.post(f"/episodes/{key}/say", json={"text": "Hi"}, headers={"Idempotency-Key": "s"}) for _ in "ab"
    ]
    assert said[0].text == said[1].text
    assert desk.of(key, "state", "GET")["turns"] == 2
    assert desk.agent.post(f"/e/{key}/tools/lend", json={}, headers=repeat).status_code == 422


def test_the_document_describes_this_episodes_tools(desk: Hosted) -> None:
    key = desk.key()
    document = desk.agent.get(f"/e/{key}/openapi.json").json()
    assert list(document["paths"]) == [
        f"/e/{key}/tools/{tool['function']['name']}" for tool in desk.agent.get(f"/e/{key}/tools").json()
    ]
    lend = document["paths"][f"/e/{key}/tools/lend"]["post"]
    assert lend["operationId"] == "lend"
    schema = lend["requestBody"]["content"]["application/json"]["schema"]
    assert jsonschema_rs.is_valid(schema, LEND)
    assert not jsonschema_rs.is_valid(schema, LEND | {"more": 1})
    answer = document["components"]["schemas"]["Answer"]
    assert jsonschema_rs.is_valid(answer, desk.call(key, "lend", **LEND))


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/e/nobody", None, 404),
        ("GET", "/e/nobody/openapi.json", None, 404),
        ("POST", "/e/nobody/mcp", {}, 404),
        ("GET", "/e/nobody/mcp", None, 405),
        ("POST", "/e/nobody/tools/lend", {}, 404),
        ("POST", "/episodes", {"task": "no"}, 404),
        ("POST", "/episodes", {}, 422),
        ("POST", "/episodes", {"task": "desk-1", "snapshot": "s1"}, 422),
        ("POST", "/episodes", {"snapshot": "s999"}, 404),
        ("POST", "/episodes", {"task": "desk-1", "trial": -1}, 422),
        ("POST", "/episodes", {"task": "desk-1", "seed": 1}, 422),
        ("POST", "/episodes/nobody/verify", None, 404),
        ("POST", "/episodes/nobody/step", {"message": {}}, 404),
        ("POST", "/episodes/nobody/say", {"text": 3}, 422),
        ("DELETE", "/episodes/nobody", None, 404),
    ],
)
def test_what_is_not_answered_says_why(desk: Hosted, method: str, path: str, body: Any, status: int) -> None:
    answer = desk.control.request(method, path, json=body)
    assert answer.status_code == status
    assert len(answer.json()["error"]) > 10


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tasks"),
        ("GET", "/episodes"),
        ("POST", "/episodes"),
        *(("POST", f"/episodes/any/{what}") for what in ("reset", "step", "say", "verify", "snapshot")),
        *(("GET", f"/episodes/any/{what}") for what in ("state", "trajectory")),
        ("DELETE", "/episodes/any"),
    ],
)
@pytest.mark.parametrize("token", [None, "Bearer wrong", "Bearer"])
def test_an_agent_does_not_reach_the_control_plane(desk: Hosted, method: str, path: str, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    assert desk.agent.request(method, path, json={}, headers=headers).status_code == 401


def test_what_broke_is_nobodys_reward_and_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(ScriptedUser):
        async def reply(self, *given: Any, **more: Any) -> Any:
            raise NoResult("it lost its thread", blame="user")

    with caplog.at_level(logging.DEBUG), hosted(desk_sessions(user=Broken()), token="agents-canary") as one:
        one.agent.headers["Authorization"] = "Bearer agents-canary"
        key = one.key()
        answer = one.agent.post(f"/e/{key}/tools/ask_user", json={"message": "Hello?"})
        assert (answer.status_code, "it lost its thread" in answer.json()["error"]) == (502, True)
        verdict = one.of(key, "verify")
        assert (verdict["outcome"], verdict["reward"], verdict["reason"]) == (
            "no_result",
            None,
            "user: it lost its thread",
        )
        assert one.call(key, "lend", **LEND)["done"] is True
    ours = [record.getMessage() for record in caplog.records if record.name.startswith(("mocktrial", "uvicorn", "mcp"))]
    assert ours
    assert not [line for line in ours if "canary" in line or key in line or "Bearer control" in line]


def test_time_that_was_not_enough_is_no_result() -> None:
    now = [0.0]
    with hosted(desk_sessions(clock=lambda: now[0], quota=Quota(seconds=60, idle=600))) as one:
        late, over = one.key(), one.key()
        one.call(over, "finish", message="Bye.")
        now[0] = 61
        assert one.agent.post(f"/e/{late}/tools/lend", json=LEND).status_code == 429
        assert one.of(late, "verify")["reason"] == "agent: DEADLINE: the episode was not over after 60 s"
        assert one.of(over, "verify")["outcome"] == "scored"
        now[0] = 700
        assert one.control.get("/episodes").json() == {"episodes": []}


async def test_two_thousand_episodes_are_open_at_once_and_no_more() -> None:
    sessions = desk_sessions(most=2000)
    keys = [json.loads(await sessions.open(Start(task="desk-1", trial=trial)))["episode"] for trial in range(2000)]
    with hosted(sessions) as one:
        full = one.control.post("/episodes", json={"task": "desk-1"})
        assert full.status_code == 429
        assert "2000 episodes are open: DELETE one first" in full.json()["error"]
        gold(one, keys[50])
        assert one.of(keys[50], "verify")["success"] is True
        assert one.of(keys[51], "state", "GET")["write_set"] == []
        one.control.delete(f"/episodes/{keys[0]}").raise_for_status()
        assert one.key() in one.control.get("/episodes").json()["episodes"]


def test_none_may_be_open_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="at least 1 episode"):
        desk_sessions(most=0)


async def test_without_the_package_the_door_for_mcp_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    transport = httpx.ASGITransport(app.dataset_app(desk_sessions(), Gate.at("127.0.0.1")))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/e/any/mcp", json={})
    assert (answer.status_code, "pip install 'mocktrial[mcp]'" in answer.json()["error"]) == (501, True)
