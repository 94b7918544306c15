"""Spans of OpenTelemetry for a run: its episodes, its agent's model calls, its tool calls.

    invoke_agent AGENT > chat MODEL, execute_tool TOOL          GenAI semantic conventions, version `CONVENTIONS`

They are exported by OTLP over HTTP where OpenTelemetry's own variables say so (OTEL_EXPORTER_OTLP_ENDPOINT, or
..._TRACES_ENDPOINT; OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS as everywhere). What was said is left out unless
OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is true. Without the extra `otel` a run goes on and says that it
leaves no spans. A span changes nothing that is recorded.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mocktrial.agents.current import current_episode, key_of
from mocktrial.envs.chat import Chat, ChatModel, Completion, Message, ToolSchema
from mocktrial.envs.runner import PlayOne
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.world import ToolResult, World

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

CONVENTIONS = "1.41.0"
_SCHEMA = f"https://opentelemetry.io/schemas/{CONVENTIONS}"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_log = logging.getLogger(__name__)


@contextmanager
def tracing_from_environment() -> Iterator[Tracing | None]:
    """What the environment asks for, None where it asks for no spans; those that are left go out at the end."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(os.environ.get(name) for name in _ENDPOINTS):
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        _log.warning("an OTLP endpoint is named, and there are no spans: pip install 'mocktrial[otel]'")
        yield None
        return
    name = os.environ.get("OTEL_SERVICE_NAME") or "mocktrial"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield Tracing(provider, content=os.environ.get(_CONTENT, "").lower() == "true")
    finally:
        provider.shutdown()


class Tracing:
    """Puts spans around what a run consists of. content: whether messages, arguments and results are kept in them."""

    def __init__(self, provider: TracerProvider, *, content: bool = False) -> None:
        self._tracer: Tracer = provider.get_tracer("mocktrial", schema_url=_SCHEMA)
        self._content = content
        self.world = self._world()

    @contextmanager
    def span(self, operation: str, of: str, attributes: Mapping[str, Any], *, remote: bool = False) -> Iterator[Span]:
        """One operation on `of`. An exception is told by its class or, where it has one, its kind."""
        from opentelemetry.trace import SpanKind, StatusCode

        with self._tracer.start_as_current_span(
            f"{operation} {of}", kind=SpanKind.CLIENT if remote else SpanKind.INTERNAL,
            attributes={"gen_ai.operation.name": operation, **attributes},
            record_exception=False, set_status_on_exception=False,
        ) as span:  # fmt: skip
            try:
                yield span
            except Exception as error:
                span.set_attribute("error.type", getattr(error, "kind", "") or type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def played(self, play_one: PlayOne, agent: str) -> PlayOne:
        """`play_one` with a span an episode."""
        from opentelemetry.trace import StatusCode

        async def play(task: Task, trial: int) -> Trajectory:
            about = {"gen_ai.agent.name": agent, "gen_ai.conversation.id": key_of(task, trial)}
            known = {"mocktrial.task.id": task.id, "mocktrial.trial": trial}
            with self.span("invoke_agent", agent, about | known) as span:
                record = await play_one(task, trial)
                span.set_attributes(
                    {"mocktrial.outcome": record.outcome, "mocktrial.end": record.end, **_usage(record)}
                )
                if record.grade is not None:
                    span.set_attribute("mocktrial.reward", record.grade.reward)
                if record.outcome == "no_result":
                    span.set_attribute("error.type", record.reason.partition(":")[0])
                    span.set_status(StatusCode.ERROR)
                return record

        return play

    def model(self, model: ChatModel) -> ChatModel:
        """`model` with a span a call."""
        return _TracedModel(model, self)

    def messages(self, span: Span, direction: str, messages: Sequence[Message]) -> None:
        if self._content:
            span.set_attribute(f"gen_ai.{direction}.messages", json.dumps([_parts(message) for message in messages]))

    def _world(self) -> type[World]:
        """Worlds with a span a tool call."""
        tracing = self

        class TracedWorld(World):
            def call(self, name: str, arguments: str | Mapping[str, Any]) -> ToolResult:
                return tracing._called(name, arguments, lambda: super(TracedWorld, self).call(name, arguments))

            def call_parsed(self, name: str, given: Mapping[str, Any]) -> ToolResult:
                return tracing._called(name, given, lambda: super(TracedWorld, self).call_parsed(name, given))

        return TracedWorld

    def _called(self, name: str, arguments: str | Mapping[str, Any], call: Callable[[], ToolResult]) -> ToolResult:
        about = {"gen_ai.tool.name": name[:64], "gen_ai.tool.type": "function"}
        with self.span("execute_tool", name[:64], about) as span:
            result = call()
            if not result.ok:
                span.set_attribute("error.type", result.code)
            if self._content:
                given = arguments if isinstance(arguments, str) else json.dumps(arguments)
                span.set_attributes({"gen_ai.tool.call.arguments": given, "gen_ai.tool.call.result": result.text})
            return result


class _TracedModel:
    def __init__(self, model: ChatModel, tracing: Tracing) -> None:
        self._model, self._tracing = model, tracing

    @property
    def name(self) -> str:
        return self._model.name

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> Chat:
        return _TracedChat(self._model.start(tools, seed=seed), self._model.name, self._tracing)


class _TracedChat:
    def __init__(self, chat: Chat, model: str, tracing: Tracing) -> None:
        self._chat, self._tracing = chat, tracing
        self._provider, _, rest = model.partition(":")
        self._model = rest or model

    async def send(self, messages: Sequence[Message]) -> Completion:
        about = {
            "gen_ai.provider.name": self._provider, "gen_ai.request.model": self._model,
            "gen_ai.conversation.id": current_episode(),
        }  # fmt: skip
        with self._tracing.span("chat", self._model, about, remote=self._provider == "openai") as span:
            self._tracing.messages(span, "input", messages)
            completion = await self._chat.send(messages)
            span.set_attributes(_usage(completion))
            self._tracing.messages(span, "output", [completion.message])
            return completion


def _usage(of: Trajectory | Completion) -> dict[str, int]:
    return {
        "gen_ai.usage.input_tokens": of.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": of.usage.completion_tokens,
    }


def _parts(message: Message) -> dict[str, Any]:
    """A message in the conventions' form."""
    text, role = message.get("content"), message.get("role")
    if role == "tool":
        return {
            "role": role,
            "parts": [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": text}],
        }
    parts: list[dict[str, Any]] = [{"type": "text", "content": text}] if text else []
    for call in message.get("tool_calls") or ():
        wanted = call.get("function") or {}
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id"),
                "name": wanted.get("name"),
                "arguments": wanted.get("arguments"),
            }
        )
    return {"role": role, "parts": parts}
