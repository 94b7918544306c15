"""MCP as its official client and fastmcp's speak it, over HTTP on loopback and over stdio."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastmcp
import httpx
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.exceptions import MCPError

from mocktrial.envs.serving.sessions import Sessions
from mocktrial.envs.store import Ledger
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.faults import Fault
from tests.support.desk import desk_image, desk_task
from tests.support.doors import Hosted, desk_sessions, fifty, hosted, images_of, own_rewards, play

LEND = {"member_id": "m2", "item": "tripod", "days": 7}


@pytest.fixture(scope="module")
def desk() -> Iterator[Hosted]:
    with hosted() as one:
        yield one


def at(one: Hosted, key: str) -> str:
    return f"{one.url}/e/{key}/mcp"


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # the revision without a handshake, and those before it
async def test_the_official_client_lists_and_calls(desk: Hosted, mode: Any) -> None:
    key = desk.key()
    async with Client(at(desk, key), mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        lent = await client.call_tool("lend", LEND)
        assert client.instructions is not None
        assert client.instructions.endswith(desk_task().instruction)
    schemas = {schema["function"]["name"]: schema["function"] for schema in desk_image().schemas}
    assert list(tools) == [*schemas, "ask_user", "finish"]
    assert all(tools[name].input_schema == schema["parameters"] for name, schema in schemas.items())
    assert json.loads(lent.content[0].text)["item"] == "tripod"
    assert (lent.is_error, lent.meta["done"]) == (False, False)
    assert len(desk.of(key, "state", "GET")["write_set"]) == 1


async def test_what_a_tool_does_is_hinted(desk: Hosted) -> None:
    async with Client(at(desk, desk.key())) as client:
        hints = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
    writes = {
        "lend": True,
        "end_loan": True,
        "find_members": False,
        "list_loans": False,
        "ask_user": False,
        "finish": False,
    }
    assert {name: hint.destructive_hint for name, hint in hints.items()} == writes
    assert [name for name, hint in hints.items() if hint.read_only_hint] == ["find_members", "list_loans"]


async def test_fastmcps_client_lists_and_calls(desk: Hosted) -> None:
    key = desk.key()
    async with fastmcp.Client(at(desk, key)) as client:
        assert len(await client.list_tools()) == 6
        found = await client.call_tool("find_members", {"name": "Alan"})
        failed = await client.call_tool("find_members", {"name": 3}, raise_on_error=False)
    assert json.loads(found.content[0].text)[0]["id"] == "m2"
    assert failed.is_error
    assert "is not of type" in failed.content[0].text


async def test_an_episode_is_played_to_its_end(desk: Hosted) -> None:
    key = desk.key()
    async with Client(at(desk, key)) as client:

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await client.call_tool(name, arguments)).content[0].text)

        await play(desk_task(), call)
        late = await client.call_tool("lend", LEND)
        assert (late.is_error, late.meta["done"]) == (True, True)
    assert desk.of(key, "verify")["success"] is True


async def test_there_is_no_session_to_steal(desk: Hosted) -> None:
    """Nothing but the path says which episode is meant."""
    one, other = desk.key(), desk.key()
    async with Client(at(desk, one)) as client:
        await client.call_tool("lend", LEND)
    async with httpx.AsyncClient() as client:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        answer = await client.post(at(desk, other), json=body, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert "mcp-session-id" not in answer.headers
    assert desk.of(other, "state", "GET")["write_set"] == []


@pytest.mark.parametrize(
    ("kind", "tool", "arguments", "is_error"),
    [
        ("timeout", "lend", LEND, True),
        ("lost_reply", "lend", LEND, True),
        ("stale", "find_members", {"name": "Alan"}, False),
        ("partial", "find_members", {"name": "Alan"}, False),
    ],
)
async def test_an_error_tells_nothing_that_the_text_does_not(
    kind: str, tool: str, arguments: dict[str, Any], is_error: bool
) -> None:
    fault = Fault.model_validate({"tool": tool, "kind": kind})
    task = desk_task().model_copy(update={"faults": (fault,)})
    with hosted(Sessions([task], {"desk": desk_image()})) as one:
        async with Client(at(one, one.key())) as client:
            assert (await client.call_tool(tool, arguments)).is_error == is_error


async def test_a_fault_of_the_world_is_an_error_of_the_protocol() -> None:
    class Broken(ScriptedUser):
        async def reply(self, *given: Any, **more: Any) -> Any:
            raise NoResult("it lost its thread", blame="user")

    with hosted(desk_sessions(user=Broken())) as one:
        key = one.key()
        async with Client(at(one, key)) as client:
            with pytest.raises(MCPError, match="says nothing about the agent: it lost its thread"):
                await client.call_tool("ask_user", {"message": "Hello?"})
        assert one.of(key, "verify")["outcome"] == "no_result"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"3", b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', b"\xff"]
)
def test_a_broken_request_is_refused(desk: Hosted, body: bytes) -> None:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    answer = desk.agent.post(f"/e/{desk.key()}/mcp", content=body, headers=headers)
    assert answer.status_code < 500
    assert "error" in answer.json()


async def test_rewards_are_our_own() -> None:
    """10 tasks here; all 50 with the adapters."""
    dataset = fifty()
    tasks, images = dataset.tasks[:10], images_of(dataset)
    rewards = []
    with hosted(Sessions(dataset.tasks, images)) as one:
        for task in tasks:
            key = one.key(task=task.id)
            async with Client(at(one, key)) as client:

                async def call(name: str, arguments: dict[str, Any], client: Client = client) -> str:
                    return str((await client.call_tool(name, arguments)).content[0].text)

                await play(task, call)
            rewards.append(one.of(key, "verify")["reward"])
    assert rewards == await own_rewards(tasks, images)


async def test_stdio_plays_one_episode(tmp_path: Path) -> None:
    fifty().save(tmp_path / "tasks")
    task = fifty().tasks[0]
    record = tmp_path / "record.json"
    start = "from mocktrial.cli import main; main()"
    command = ["-c", start, "serve", "mcp", str(tmp_path / "tasks"), "--task", task.id, "--out", str(record)]
    command += ["--run", "theirs", "--agent", "theirs"]
    program = StdioServerParameters(command=sys.executable, args=command, cwd=tmp_path)
    async with Client(stdio_client(program)) as client:

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await client.call_tool(name, arguments)).content[0].text)

        await play(task, call)
    assert json.loads(record.read_text(encoding="utf-8"))["grade"]["success"] is True
    with Ledger.read(tmp_path / "runs/theirs/ledger.sqlite") as ledger:
        assert [(one.agent, one.task_id, one.success) for one in ledger.episodes()] == [("theirs", task.id, True)]
    again = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert f"{task.id}, trial 0 has its result in the run" in again.stderr
