"""What operators see: figures without ids, lines without secrets, an end in order. Real servers on loopback."""

from __future__ import annotations

import io
import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mocktrial.mocktools.autoslurp.server import application
from mocktrial.mocktools.episodes import Episodes
from mocktrial.mocktools.gate import ASGI, Gate
from mocktrial.mocktools.http import world_app
from mocktrial.mocktools.listening import running
from mocktrial.mocktools.observing.logs import log_json
from mocktrial.mocktools.observing.measured import Measured
from mocktrial.mocktools.observing.redaction import REDACTED, Redaction
from tests.mocktools.test_http import image

ROOT = Path(__file__).parents[2]
AGENT, CONTROL = {"Authorization": "Bearer agent"}, {"Authorization": "Bearer control"}
RUNS = "postgresql+psycopg://me:planted-in-address@host/ledgers?sslpassword=planted-in-query"
Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextmanager
def asked(app: ASGI) -> Iterator[httpx.Client]:
    with running(app) as (port,), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def door() -> Iterator[httpx.Client]:
    gate = Gate.at("127.0.0.1", "agent", "control")
    with asked(Measured(world_app(image(), gate), gate, lambda: 7)) as client:
        yield client


def figures(client: httpx.Client, **headers: str) -> Figures:
    answer = client.get("/metrics", headers=AGENT | headers)
    assert answer.status_code == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(route: str, method: str, status: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    return "mocktrial_http_requests_total", (("method", method), ("route", route), ("status", str(status)))


def test_requests_are_counted_by_route_and_no_key_is_told(door: httpx.Client) -> None:
    keys = [door.post("/episodes", json={"seed": seed}, headers=CONTROL).json()["episode"] for seed in range(3)]
    for key in keys:
        door.get(f"/e/{key}/tools", headers=AGENT)
        door.post(f"/e/{key}/tools/parse", json={"text": "no JSON"}, headers=AGENT)
    seen = figures(door)
    assert seen[of("/episodes", "POST", 201)] == 3
    assert seen[of("/e/{episode}/tools", "GET", 200)] == 3
    assert seen[of("/e/{episode}/tools/{name:path}", "POST", 502)] == 3
    assert seen["mocktrial_faults_total", (("kind", "no_result"),)] == 3
    assert seen["mocktrial_episodes_live", ()] == 7
    assert seen["mocktrial_http_request_seconds_count", (("route", "/e/{episode}/tools"),)] == 3
    assert not [key for key in keys if key in repr(seen)]


def test_what_strangers_send_makes_no_more_series(door: httpx.Client) -> None:
    door.get("/x", headers=AGENT)
    door.request("BREW", "/x", headers=AGENT)
    before = figures(door)
    for number in range(50):
        door.get(f"/{number}/{number}", headers=AGENT)
        door.request(f"BREW{number}", "/", headers=AGENT)
    assert figures(door).keys() == before.keys()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (CONTROL, 401),
        (AGENT | {"Host": "evil.example"}, 403),
        (AGENT | {"Origin": "http://evil.example"}, 403),
    ],
)
def test_figures_are_behind_the_gate(door: httpx.Client, headers: dict[str, str], status: int) -> None:
    answer = door.get("/metrics", headers=headers)
    assert (answer.status_code, "mocktrial_" in answer.text) == (status, False)


def test_auto_slurps_paths_are_its_services_whoever_asks() -> None:
    with asked(application("127.0.0.1").measured()) as client:
        client.get("/e/secret-episode/alarm?intent=alarm_query")
        client.get("/no-such-service")
        text = client.get("/metrics").text
    assert 'route="/alarm"' in text
    assert "mocktrial_episodes_live 2.0" in text
    assert not {name for name in ("secret-episode", "no-such-service") if name in text}


def test_a_bug_is_counted_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate.at("127.0.0.1", "agent", "control")
    with asked(Measured(world_app(image(), gate), gate)) as client:
        monkeypatch.setattr(Episodes, "tools", None)
        assert client.get("/e/one/tools", headers=AGENT | {"Connection": "close"}).status_code == 500
        assert figures(client)["mocktrial_faults_total", (("kind", "bug"),)] == 1


def test_a_server_that_is_told_to_end_answers_first_and_says_what_is_open() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.support.slow_server", str(port)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server,
        ThreadPoolExecutor(1) as thread,
    ):
        assert server.stdout is not None
        assert server.stderr is not None
        assert "ready" in server.stdout.readline()
        answer = thread.submit(httpx.get, f"http://127.0.0.1:{port}/slow", timeout=30)
        assert server.stdout.readline() == "asked\n"
        server.send_signal(signal.SIGTERM)
        assert answer.result().text == "in the end"
        assert server.wait(30) == 0
        assert "is ending; requests under way: 1, episodes open: 3" in server.stdout.read()
        lines = [json.loads(line) for line in server.stderr.read().splitlines()]
    assert [line["event"] for line in lines] == ["server", "server", "request"]
    assert (lines[2]["route"], lines[2]["status"], lines[0]["server"]) == ("none", 200, f"slow {REDACTED}")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What modules log, with four planted secrets; the logger is as it was afterwards."""
    logger, out = logging.getLogger("mocktrial"), io.StringIO()
    before = logger.handlers, logger.propagate, logger.level
    monkeypatch.setenv("SOME_API_KEY", "planted-in-environment")
    monkeypatch.setattr(sys, "argv", ["mocktrial", "view", "--token", "planted-on-command-line", "--runs", RUNS])
    log_json(out)
    yield out
    logger.handlers, logger.propagate = before[0], before[1]
    logger.setLevel(before[2])


def test_secrets_go_by_value_and_by_name(lines: io.StringIO) -> None:
    """FAULTS 22: in the message, a field, a nested field, a traceback; and a field that is named like one."""
    logger = logging.getLogger("mocktrial.somewhere")
    logger.info("with planted-in-environment", extra={"where": "http://me:planted-on-command-line@host"})
    logger.info("deep", extra={"deep": {"list": ["planted-in-environment"], "password": "unknown"}, "token": "unknown"})
    logger.info("%s of planted-in-query", "planted-in-address")
    logger.info("counts", extra={"tokens": 12, "ok": True})
    try:
        raise ValueError("planted-on-command-line")
    except ValueError:
        logger.exception("failed")
    text = lines.getvalue()
    assert "planted" not in text
    assert "unknown" not in text
    events = [json.loads(line) for line in text.splitlines()]
    assert [event["level"] for event in events] == ["info"] * 4 + ["error"]
    assert (events[2]["event"], events[3]["tokens"], events[3]["ok"]) == (f"{REDACTED} of {REDACTED}", 12, True)
    assert "Traceback" in events[4]["exception"]


@given(st.text("ABC\\.+", min_size=6), st.text("ABC\\.+"), st.text("ABC\\.+"))
def test_no_text_holds_a_known_value(secret: str, before: str, after: str) -> None:
    assert secret not in Redaction([secret]).text(before + secret + after)
