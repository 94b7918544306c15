"""A real server on loopback, asked by clients like those of the original."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.server import application, original_ports, running, serve
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.listening import bind
from tests.support.foreign import FOREIGN

SERVICES = [service for service in catalog().services.values() if service.port]


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, ...]]:
    with running(ports=[0] * len(SERVICES), control_token="control") as opened:
        yield opened


def ask(
    port: int, path: str, body: str | None = None, headers: Mapping[str, str] | None = None, method: str = ""
) -> tuple[int, Any]:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request(method or ("GET" if body is None else "POST"), path, body, dict(headers or {}))
        answer = link.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        link.close()


def found(answer: tuple[int, Any]) -> str:
    assert answer[0] == 200
    return str(answer[1]["data"]["response"])


def test_the_original_ports_are_those_of_the_services() -> None:
    assert original_ports()[0] == 3000
    assert original_ports()[-1] == 3020
    assert len(set(original_ports())) == 18


def test_each_port_answers_for_its_service(ports: tuple[int, ...]) -> None:
    for port, service in zip(ports, SERVICES, strict=True):
        status, body = ask(port, f"{service.path}?intent=nothing")
        assert (status, body["code"]) == (200, "SUCCESS")


def test_set_then_query_and_a_second_episode_sees_nothing(ports: tuple[int, ...]) -> None:
    ask(ports[0], "/alarm?intent=alarm_set&time=05:45&event_name=gone+fishing")
    query = "/alarm?intent=alarm_query&event_name=gone%20fishing"
    assert "05:45" in found(ask(ports[0], query))
    assert found(ask(ports[0], f"/e/other{query}")) == "find 0 results."
    assert found(ask(ports[0], query, headers={"X-Episode": "other"})) == "find 0 results."
    assert "05:45" in found(ask(ports[5], f"/e/default{query}"))


def test_path_and_header_name_the_same_episode(ports: tuple[int, ...]) -> None:
    ask(ports[0], "/e/same/lists", '{"intent": "lists_createoradd", "list_name": "camping"}')
    shown = ask(ports[1], "/lists?intent=lists_query&list_name=camping", headers={"X-Episode": "same"})
    assert "camping" in found(shown)


def test_a_repeated_parameter_keeps_both_values(ports: tuple[int, ...]) -> None:
    _, body = ask(ports[0], "/datetime?intent=datetime_convert&time=10:00&time_zone=eastern&time_zone=pacific")
    assert body["data"]["query"]["slots"]["time_zone"] == ["eastern", "pacific"]
    assert "to_time: 07:00" in body["data"]["response"]


@pytest.mark.parametrize(
    ("body", "status"),
    [("", 200), ("{}", 200), ('{"time": "07:00"}', 200), ("[1]", 400), ("{", 400), ('"' + "x" * 70_000, 413)],
    ids=["empty", "no keys", "no intent", "a list", "torn", "too long"],
)
def test_a_post_that_is_no_request_fails(ports: tuple[int, ...], body: str, status: int) -> None:
    answer = ask(ports[0], "/alarm", body)
    assert (answer[0], answer[1]["code"]) == (status, "FAIL")


def test_other_methods_and_names_are_refused(ports: tuple[int, ...]) -> None:
    assert ask(ports[0], "/alarm", method="DELETE")[0] == 405
    assert ask(ports[0], "/alarm", headers={"X-Episode": "../etc"})[0] == 400
    assert ask(ports[0], "/e/")[0] == 400
    assert ask(ports[0], "/e/fresh")[0] == 404


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("path", ["/alarm?intent=alarm_query", "/v1/latest", "/control/state"])
def test_a_foreign_host_or_origin_is_refused(ports: tuple[int, ...], path: str, headers: dict[str, str]) -> None:
    status, body = ask(ports[0], path, headers={"Authorization": "Bearer control"} | headers)
    assert (status, body["code"]) == (403, "FAIL")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:3000", "[::1]:3000"])
def test_a_local_host_and_origin_are_served(ports: tuple[int, ...], host: str) -> None:
    status, _ = ask(ports[0], "/alarm?intent=alarm_query", headers={"Host": host, "Origin": f"http://{host}"})
    assert status == 200


def test_the_control_plane_resets_an_episode(ports: tuple[int, ...]) -> None:
    control = {"Authorization": "Bearer control"}
    first = ask(ports[0], "/control/state?episode=reset-me", headers=control)[1]
    ask(ports[0], "/e/reset-me/alarm?intent=alarm_set&time=05:45")
    changed = ask(ports[0], "/control/state?episode=reset-me", headers=control)[1]
    assert [change["table"] for change in changed["write_set"]] == ["alarms"]
    assert changed["digest"] != first["digest"]
    assert ask(ports[0], "/control/reset", '{"episode": "reset-me", "seed": 3}', control)[0] == 200
    assert ask(ports[0], "/control/state?episode=reset-me", headers=control)[1] == first


def test_the_control_plane_needs_its_token(ports: tuple[int, ...]) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}):
        assert ask(ports[0], "/control/reset", "{}", headers)[0] == 401
    with running() as (port,):
        assert ask(port, "/control/reset", "{}", {"Authorization": "Bearer "})[0] == 401


def test_over_the_cap_the_oldest_episode_is_dropped_and_says_so() -> None:
    with running(max_episodes=3, control_token="control") as (port,):
        for name in ("default", "one", "two", "three"):
            assert ask(port, f"/e/{name}/alarm?intent=alarm_query")[0] == 200
        assert ask(port, "/alarm?intent=alarm_query")[0] == 200
        assert ask(port, "/e/one/alarm?intent=alarm_query")[0] == 410
        ask(port, "/control/reset", '{"episode": "one"}', {"Authorization": "Bearer control"})
        assert ask(port, "/e/one/alarm?intent=alarm_query")[0] == 200


def test_a_token_is_asked_for_where_one_is_set() -> None:
    with running(token="secret") as (port,):
        assert ask(port, "/alarm?intent=alarm_query")[0] == 401
        assert ask(port, "/alarm?intent=alarm_query", headers={"Authorization": "Bearer secret"})[0] == 200


def test_no_door_beyond_loopback_without_a_token() -> None:
    with pytest.raises(UsageError, match="no token"):
        application("0.0.0.0")


def test_the_command_says_when_it_is_ready_and_ends_on_a_signal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    code = f"from mocktrial.mocktools.autoslurp.server import serve; serve(port={port})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"autoslurp ready on 127.0.0.1, port {port}\n"
        assert ask(port, "/alarm?intent=alarm_query")[0] == 200
        process.terminate()
        assert process.wait(10) == 0
        assert process.stdout.read() == "autoslurp is ending; requests under way: 0, episodes open: 1\n"


def test_a_port_that_is_taken_is_named_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {taken}") as caught:
            bind("127.0.0.1", [free, taken])
        assert "--port" in caught.value.hint
        with socket.create_server(("127.0.0.1", free)):
            pass
        with pytest.raises(UsageError, match=f"port {taken}"):
            serve(port=taken)


def test_a_port_that_cannot_be_is_named() -> None:
    with pytest.raises(UsageError, match="port 70000"):
        serve(port=70_000)
