"""Spans of real episodes: who holds whom, what they tell, and that nothing said is in them unless asked for."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.agents.test_react import GOLD
from tests.support.command import runner
from tests.support.desk import desk_image, desk_task

from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.play import run_agent
from mocktrial.agents.testing import ScriptedModel
from mocktrial.agents.tracing import CONVENTIONS, Tracing, tracing_from_environment
from mocktrial.mocktools.errors import NoResult


class Broken(ScriptedModel):
    def start(self, *_: Any, **__: Any) -> Any:
        raise NoResult("nobody there: SECRET", blame="endpoint", kind="TIMEOUT")


def play(folder: Path, *, content: bool = False, broken: bool = False) -> list[ReadableSpan]:
    """The spans of one episode, in the order of their beginnings."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = Tracing(provider, content=content)
    agent = ModelAgent(tracing.model(Broken(GOLD) if broken else ScriptedModel(GOLD)))
    images = {"desk": desk_image()}
    asyncio.run(run_agent(agent, [desk_task()], images, folder, config={}, tracing=tracing))
    return sorted(kept.get_finished_spans(), key=lambda span: span.start_time or 0)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_an_episode_holds_its_model_calls_and_tool_calls(tmp_path: Path) -> None:
    spans = play(tmp_path)
    assert [span.name for span in spans] == [
        "invoke_agent scripted",
        "chat scripted", "execute_tool find_members", "chat scripted", "chat scripted",
        "chat scripted", "execute_tool lend", "chat scripted",
    ]  # fmt: skip
    episode, rest = spans[0], spans[1:]
    assert episode.context is not None
    assert {span.parent.span_id for span in rest if span.parent} == {episode.context.span_id}
    told = attributes(episode)
    assert (told["gen_ai.operation.name"], told["gen_ai.agent.name"]) == ("invoke_agent", "scripted")
    assert (told["mocktrial.task.id"], told["mocktrial.outcome"], told["mocktrial.reward"]) == ("desk-1", "scored", 1.0)
    conversations = {attributes(span).get("gen_ai.conversation.id") for span in spans if span.name.startswith("chat")}
    assert conversations == {told["gen_ai.conversation.id"]}


def test_one_version_of_the_conventions_is_stamped(tmp_path: Path) -> None:
    scopes = {span.instrumentation_scope.schema_url for span in play(tmp_path) if span.instrumentation_scope}
    assert scopes == {f"https://opentelemetry.io/schemas/{CONVENTIONS}"}


def test_what_was_said_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    silent = json.dumps([span.to_json() for span in play(tmp_path / "silent")])
    assert not [word for word in ("Alan", "tripod", "m2", "loan") if word in silent]
    spans = play(tmp_path / "telling", content=True)
    lend = attributes(next(span for span in spans if span.name == "execute_tool lend"))
    assert json.loads(lend["gen_ai.tool.call.arguments"])["item"] == "tripod"
    (said,) = json.loads(attributes(spans[1])["gen_ai.output.messages"])
    assert (said["role"], said["parts"][0]["type"], said["parts"][0]["name"]) == (
        "assistant",
        "tool_call",
        "find_members",
    )


def test_a_failure_is_told_by_its_kind(tmp_path: Path) -> None:
    (episode,) = play(tmp_path, broken=True)
    assert (attributes(episode)["mocktrial.outcome"], attributes(episode)["error.type"]) == ("no_result", "endpoint")
    assert (episode.status.is_ok, "SECRET" in episode.to_json()) == (False, False)


def test_spans_change_nothing_that_is_recorded(tmp_path: Path) -> None:
    play(tmp_path / "traced")
    agent = ModelAgent(ScriptedModel(GOLD))
    asyncio.run(run_agent(agent, [desk_task()], {"desk": desk_image()}, tmp_path / "plain", config={}))
    assert exported(tmp_path / "traced") == exported(tmp_path / "plain")


def exported(folder: Path) -> bytes:
    from mocktrial.envs.report import read_run

    with read_run(folder) as ledger:
        ledger.export_jsonl(folder / "export.jsonl")
    return (folder / "export.jsonl").read_bytes()


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A server that takes OTLP: its address, and what came."""
    came: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            came.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", came
        server.shutdown()
        thread.join()


def test_a_run_exports_its_spans_where_the_environment_says(
    collector: tuple[str, list[ExportTraceServiceRequest]],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector[0])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    run = runner(monkeypatch, capsys)
    run("synth", "small", "--tasks", "3", "--domains", "clinic", "--seed", "3")
    assert run("run", "datasets/small", "--agent", "expert")[0] == 0
    spans = [
        span.name for request in collector[1] for resource in request.resource_spans
        for scope in resource.scope_spans for span in scope.spans
    ]  # fmt: skip
    assert spans.count("invoke_agent expert") == 3
    assert sum(name.startswith("execute_tool") for name in spans) >= 3


def test_without_the_extra_a_run_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with tracing_from_environment() as tracing:
        assert tracing is None
    assert "pip install 'mocktrial[otel]'" in caplog.text


@pytest.mark.parametrize("settings", [{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_without_an_endpoint_there_are_no_spans(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with tracing_from_environment() as tracing:
        assert tracing is None
