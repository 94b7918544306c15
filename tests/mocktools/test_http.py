"""A real server on loopback, asked by httpx: two planes, one episode a key, and the same answers as in process."""

from __future__ import annotations

import asyncio
import itertools
import json
import runpy
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.cli import main
from mocktrial.mocktools import http, listening
from mocktrial.mocktools.autoslurp import server
from mocktrial.mocktools.errors import MissingExtra, UsageError
from mocktrial.mocktools.gate import Gate, Refusal, read_body
from mocktrial.mocktools.http import running
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.keeper import MAX_ANSWERS
from mocktrial.mocktools.spec import Give, Toolkit, ToolSpec
from mocktrial.mocktools.world import World
from tests.support.desk import DATA, desk_spec
from tests.support.foreign import FOREIGN
from tests.support.modules import forget

CONTROL = {"Authorization": "Bearer control"}
LEND = {"member_id": "m1", "item": "lens"}
ECHO = ToolSpec(
    name="echo",
    description="Give back what was given.",
    parameters={"count": {"type": "integer"}, "share": {"type": "number"}, "any": {}},
    effect="read",
    steps=(Give(give="SELECT :count AS count, :share * 10 AS share, :any AS any"),),
)
PARSE = ToolSpec(
    name="parse",
    description="A tool whose spec is at fault.",
    parameters={"text": {"type": "string"}},
    effect="read",
    steps=(Give(give="SELECT json_extract(:text, '$') AS value"),),
)


def image() -> WorldImage:
    """The desk, with a tool that takes all there is, and one that breaks."""
    spec = desk_spec()
    return compile_world(
        spec.model_copy(update={"toolkits": (*spec.toolkits, Toolkit(name="odd", tools=(ECHO, PARSE)))})
    )


@contextmanager
def opened(**options: Any) -> Iterator[httpx.Client]:
    with running(image(), **options) as (port,), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture(scope="module")
def door() -> Iterator[httpx.Client]:
    with opened(control_token="control") as client:
        yield client


@pytest.fixture
def episode(door: httpx.Client) -> Iterator[str]:
    key = mint(door, seed=1)
    yield key
    door.delete(f"/episodes/{key}", headers=CONTROL)


def mint(door: httpx.Client, **start: Any) -> str:
    answer = door.post("/episodes", json=start, headers=CONTROL)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["episode"])


def state(door: httpx.Client, episode: str) -> Any:
    return door.get(f"/episodes/{episode}/state", headers=CONTROL).raise_for_status().json()


def test_tools_are_listed_and_called(door: httpx.Client, episode: str) -> None:
    with World.open(image(), 1) as world:
        assert door.get(f"/e/{episode}/tools").json() == world.tools()
        answer = door.post(f"/e/{episode}/tools/lend", json=LEND)
        assert answer.json() == {"ok": True, "result": world.call("lend", LEND).value}
        found = state(door, episode)
        assert found["digest"] == world.digest()
        assert found["write_set"] == [change.model_dump(mode="json") for change in world.write_set()]


def test_a_failure_of_a_tool_is_an_answer(door: httpx.Client, episode: str) -> None:
    answer = door.post(f"/e/{episode}/tools/lend", json=LEND | {"member_id": "m9"})
    assert answer.status_code == 200
    assert answer.json()["ok"] is False
    assert answer.json()["result"]["error"]["code"] == "not_active"


def test_an_empty_body_is_a_call_without_arguments(door: httpx.Client, episode: str) -> None:
    assert door.post(f"/e/{episode}/tools/echo").json()["ok"] is True


def test_episodes_do_not_see_each_other(door: httpx.Client, episode: str) -> None:
    other = mint(door, seed=1, name="other")
    assert other == "other"
    before = state(door, other)["digest"]
    door.post(f"/e/{episode}/tools/lend", json=LEND)
    assert state(door, other)["digest"] == before != state(door, episode)["digest"]
    assert door.post("/episodes", json={"seed": 1, "name": "other"}, headers=CONTROL).status_code == 409
    assert door.get("/episodes", headers=CONTROL).json()["episodes"] == [episode, "other"]
    door.delete("/episodes/other", headers=CONTROL).raise_for_status()
    assert door.get("/e/other/tools").status_code == 404


def test_a_snapshot_is_branched(door: httpx.Client, episode: str) -> None:
    door.post(f"/e/{episode}/tools/lend", json=LEND)
    frozen = state(door, episode)
    key = door.post(f"/episodes/{episode}/snapshot", headers=CONTROL).json()["snapshot"]
    door.post(f"/e/{episode}/tools/lend", json=LEND)
    branch = mint(door, snapshot=key)
    assert state(door, branch) == frozen | {"episode": branch}
    again = [door.post(f"/e/{branch}/tools/lend", json=LEND).text, state(door, branch)["digest"]]
    assert again[1] == state(door, episode)["digest"]
    door.delete(f"/episodes/{branch}", headers=CONTROL)


def test_a_repeated_call_is_not_made_again(door: httpx.Client, episode: str) -> None:
    def lend(key: str, **changed: str) -> httpx.Response:
        return door.post(f"/e/{episode}/tools/lend", json=LEND | changed, headers={"Idempotency-Key": key})

    first = lend("k1")
    after = state(door, episode)
    assert lend("k1").text == first.text
    assert state(door, episode) == after
    assert lend("k1", item="stand").status_code == 422
    assert lend("k2").text != first.text
    assert lend("k" * 201).status_code == 422
    for number in range(MAX_ANSWERS):
        lend(f"more{number}", item="")
    assert lend("k1").text != first.text  # forgotten, as all that grows must be


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/e/nobody/tools", None, 404),
        ("POST", "/e/nobody/tools/lend", {}, 404),
        ("GET", "/episodes/nobody/state", None, 404),
        ("POST", "/episodes/nobody/snapshot", None, 404),
        ("DELETE", "/episodes/nobody", None, 404),
        ("POST", "/episodes", {"snapshot": "s999"}, 404),
        ("GET", "/nowhere", None, 404),
        ("GET", "/docs", None, 404),
        ("PUT", "/episodes", {}, 405),
        ("POST", "/episodes", {"seed": 1, "name": "../etc"}, 400),
        ("POST", "/episodes", {"seed": 1, "snapshot": "s1"}, 422),
        ("POST", "/episodes", {}, 422),
        ("POST", "/episodes", {"seed": "1"}, 422),
        ("POST", "/episodes", {"seed": True}, 422),
        ("POST", "/episodes", {"seed": 2**63}, 422),
        ("POST", "/episodes", {"sed": 1}, 422),
        ("POST", "/episodes", [1], 422),
        ("POST", "/episodes", None, 422),
        ("POST", "/e/nobody/tools/lend", {"x": "x" * 70_000}, 413),
    ],
)
def test_what_is_not_answered_says_why(door: httpx.Client, method: str, path: str, body: Any, status: int) -> None:
    answer = door.request(method, path, json=body, headers=CONTROL)
    assert answer.status_code == status
    assert len(answer.json()["error"]) > 10


def test_a_fault_of_the_world_is_nobodys_in_the_episode(door: httpx.Client, episode: str) -> None:
    answer = door.post(f"/e/{episode}/tools/parse", json={"text": "{"})
    assert answer.status_code == 502
    assert "tool parse failed inside" in answer.json()["error"]
    assert door.post(f"/e/{episode}/tools/parse", json={"text": "3"}).json() == {"ok": True, "result": {"value": 3}}


CONTROLS = [
    ("GET", "/episodes"),
    ("POST", "/episodes"),
    ("GET", "/episodes/any/state"),
    ("POST", "/episodes/any/snapshot"),
    ("DELETE", "/episodes/any"),
]


@pytest.mark.parametrize(("method", "path"), CONTROLS)
@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer wrong", "Basic control"])
def test_the_control_plane_needs_its_token(door: httpx.Client, method: str, path: str, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    assert door.request(method, path, json={"seed": 1}, headers=headers).status_code == 401


@pytest.mark.parametrize("control_token", [None, ""])
def test_without_a_control_token_the_control_plane_is_closed(control_token: str | None) -> None:
    with opened(token="agents", control_token=control_token) as door:
        for headers in ({}, {"Authorization": "Bearer agents"}, {"Authorization": "Bearer None"}):
            assert door.get("/episodes", headers=headers).status_code == 401


def test_agents_need_their_token_where_there_is_one() -> None:
    with opened(token="agents", control_token="control") as door:
        path = f"/e/{mint(door, seed=1)}/tools"
        assert door.get(path).status_code == 401
        assert door.get(path, headers=CONTROL).status_code == 401
        assert door.get("/openapi.json").status_code == 401
        assert door.get(path, headers={"Authorization": "Bearer agents"}).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("path", ["/e/any/tools", "/episodes", "/openapi.json", "/nowhere"])
def test_a_foreign_host_or_origin_is_refused(door: httpx.Client, path: str, headers: dict[str, str]) -> None:
    assert door.get(path, headers=CONTROL | headers).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:3000", "[::1]:3000"])
def test_a_local_host_and_origin_are_served(door: httpx.Client, host: str) -> None:
    headers = CONTROL | {"Host": host, "Origin": f"http://{host}"}
    assert door.get("/episodes", headers=headers).status_code == 200


def test_no_door_beyond_loopback_without_a_token() -> None:
    with pytest.raises(UsageError, match="no token"):
        http.serve(image(), "0.0.0.0")
    assert Gate.at("0.0.0.0", "secret").hosts == frozenset()


def test_a_full_house_mints_no_more() -> None:
    with opened(control_token="control", max_episodes=2) as door:
        first = mint(door, seed=1)
        mint(door, seed=1)
        answer = door.post("/episodes", json={"seed": 1}, headers=CONTROL)
        assert answer.status_code == 429
        assert "2 episodes are open" in answer.json()["error"]
        door.delete(f"/episodes/{first}", headers=CONTROL)
        mint(door, seed=1)


def test_a_torn_body_is_no_call(door: httpx.Client, episode: str) -> None:
    """Half a request, then silence: the beginning of a body must not be answered as if it were the whole."""

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal, match="went away"):
        asyncio.run(read_body(gone))
    before = state(door, episode)
    with socket.create_connection(("127.0.0.1", door.base_url.port or 0)) as link:
        head = f"POST /e/{episode}/tools/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        link.sendall(head.encode() + b"{}")
    assert state(door, episode) == before


def test_calls_at_the_same_time_are_serialised(door: httpx.Client, episode: str) -> None:
    """Forty at once give the state of forty in a row."""

    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=door.base_url) as client:
            return await asyncio.gather(
                *(client.post(f"/e/{episode}/tools/lend", json=LEND, timeout=30) for _ in range(40))
            )

    answers = asyncio.run(all_at_once())
    assert len({answer.json()["result"]["id"] for answer in answers}) == 40
    with World.open(image(), 1) as world:
        for _ in range(40):
            world.call("lend", LEND)
        assert state(door, episode)["digest"] == world.digest()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"count": 9223372036854775808}', "too_large"),
        ('{"share": 1e308}', "too_large"),
        ('{"share": NaN}', "bad_arguments"),
        ('{"any": [1e400]}', "bad_arguments"),
        ('{"any": "\\ud800"}', "bad_arguments"),
        ('{"any": ' + "[" * 100 + "]" * 100 + "}", "bad_arguments"),
        ('{"any": ' + "[" * 30_000 + "]" * 30_000 + "}", "bad_arguments"),
        (b'{"any": "\xff"}', "bad_arguments"),
        ("{", "bad_json"),
        ("[]", "bad_arguments"),
    ],
    ids=range(10),
)
def test_what_no_database_holds_is_refused(door: httpx.Client, episode: str, body: str | bytes, code: str) -> None:
    answer = door.post(f"/e/{episode}/tools/echo", content=body)
    assert (answer.status_code, answer.json()["result"]["error"]["code"]) == (200, code)


# Any tool name, any body.

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**30, 1e308, 1e400])
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(["m1", "m3", "loan-1", "lens", "\ud800", "2026-02-30", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["name", "member_id", "item", "days", "page", "loan_id", "count", "share", "any", "odd"])
LIKELY = st.fixed_dictionaries(
    {"member_id": st.sampled_from(["m1", "m2", "m3", 1]), "item": st.sampled_from(["lens", "", "x" * 81, None])},
    optional={"days": st.sampled_from([1, 60, 61, 0, 2.0, 2.5, "3", True, 10**20])},
)
BODIES = (
    LIKELY.map(lambda value: json.dumps(value).encode())
    | (st.dictionaries(KEYS, VALUES, max_size=4) | VALUES).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60)
    | st.integers(1, 3000).map(lambda depth: b'{"any": ' + b"[" * depth + b"]" * depth + b"}")
)
NAMES = st.sampled_from(["lend", "echo", "list_loans", "find_members", "end_loan", "Lend"]) | st.text(
    st.characters(exclude_characters="\n"), max_size=80
)  # in a path, Starlette drops a line's end


def compare(door: httpx.Client, episode: str, world: World, name: str, body: bytes) -> None:
    """Send a call and make it in process: both say the same."""
    path = quote(name.encode("utf-8", "replace").decode(), safe="").replace(".", "%2E")
    answer = door.post(f"/e/{episode}/tools/{path}", content=body)
    assert answer.status_code == 200, answer.text
    got = json.loads(answer.content, parse_constant=pytest.fail)
    try:
        text = body.decode() or "{}"
    except UnicodeDecodeError:
        assert got["ok"] is False
        return
    result = world.call(name.encode("utf-8", "replace").decode(), text)
    assert got == {"ok": result.ok, "result": json.loads(result.text)}


CALLS = 4000  # of one episode: fewer than its quota


def disagreements(door: httpx.Client, count: int) -> None:
    pairs: list[tuple[str, World]] = []
    calls = itertools.count()

    @settings(max_examples=count, deadline=None, database=None, derandomize=True)
    @given(NAMES, BODIES)
    def agree(name: str, body: bytes) -> None:
        if next(calls) % CALLS == 0:
            pairs.append((mint(door, seed=5), World.open(image(), 5)))
        episode, world = pairs[-1]
        compare(door, episode, world, name, body)

    agree()
    for episode, world in pairs:
        assert state(door, episode)["digest"] == world.digest()
        assert world.write_set()
        world.close()
        door.delete(f"/episodes/{episode}", headers=CONTROL)


def test_server_and_world_agree_on_anything(door: httpx.Client) -> None:
    disagreements(door, 500)


@pytest.mark.soak
def test_server_and_world_agree_on_anything_soak(door: httpx.Client) -> None:
    disagreements(door, 10_000)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    st.lists(st.sampled_from(["e", "episodes", "one", "tools", "state", "snapshot", "", "lend"]) | st.text(max_size=8)),
    st.dictionaries(st.sampled_from(["seed", "snapshot", "name", "other"]), VALUES).map(json.dumps) | st.text(),
)
def test_no_request_is_too_much(door: httpx.Client, method: str, parts: list[str], body: str) -> None:
    path = "/".join(quote(part.encode("utf-8", "replace"), safe="") for part in parts)
    headers = CONTROL | {"Content-Type": "application/json"}
    answer = door.request(method, f"{door.base_url}/{path}", content=body.encode("utf-8", "replace"), headers=headers)
    assert answer.status_code < 500
    if answer.content:
        assert "error" in answer.json() or answer.is_success


@pytest.mark.parametrize(("package", "module"), [("fastapi", http), ("uvicorn", listening), ("uvicorn", server)])
def test_a_missing_package_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, package: str, module: Any
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    forget(monkeypatch, listening.__name__)
    with pytest.raises(MissingExtra, match=f"{package} is not installed") as caught:
        runpy.run_path(module.__file__)
    assert caught.value.hint == "pip install 'mocktrial[serve]'"


def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that `mocktrial serve world ARGUMENTS` says as it ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["mocktrial", "serve", "world", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    return err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "world.json: No such file"),
        ("{", "world.json: Invalid JSON"),
        ("\udcff", "world.json: not UTF-8"),
        ('{"name": "x", "toolkits": []}', "world.json: now: Field required"),
        ('{"name": "x", "now": "2026-05-11T09:00:00", "toolkits": [], "tols": 1}', "world.json: tols: unknown key"),
        ('{"name": "x", "now": "today", "toolkits": []}', "world x: now is 'today'"),
    ],
)
def test_a_broken_world_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | None, says: str
) -> None:
    file = tmp_path / "world.json"
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert says in run_command(monkeypatch, capsys, str(file))


def test_the_command_names_a_taken_port(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = run_command(monkeypatch, capsys, str(DATA / "desk.json"), "--port", port)
    assert f"port {port}" in said
