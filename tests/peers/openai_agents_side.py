"""Runs where openai-agents is: plays given calls in given episodes, over MCP. Knows nothing of mocktrial."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage  # noqa: TID251  the package of that name
from agents.mcp import MCPServerStreamableHttp  # noqa: TID251
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


class Scripted(Model):
    """A model of the SDK that makes given calls, one a response, and then says that it is done."""

    def __init__(self, calls: list[tuple[str, dict[str, Any]]]) -> None:
        self._calls = list(enumerate(calls))

    async def get_response(self, *given: Any, **more: Any) -> ModelResponse:
        output: Any
        if self._calls:
            number, (name, arguments) = self._calls.pop(0)
            text, call_id = json.dumps(arguments), f"c{number}"
            output = ResponseFunctionToolCall(arguments=text, call_id=call_id, name=name, type="function_call")
        else:
            text_part = ResponseOutputText(annotations=[], text="Done.", type="output_text")
            output = ResponseOutputMessage(
                id="m", content=[text_part], role="assistant", status="completed", type="message"
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *given: Any, **more: Any) -> Any:
        raise AssertionError("the runner asks for whole responses")


async def play(url: str, calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
    async with MCPServerStreamableHttp({"url": url}, client_session_timeout_seconds=60) as server:
        agent = Agent(name="scripted", model=Scripted(calls), mcp_servers=[server])
        done = await Runner.run(agent, "Go.", max_turns=100, run_config=RunConfig(tracing_disabled=True))
    return [item.type for item in done.new_items]


async def main() -> None:
    print(json.dumps([await play(one["url"], one["calls"]) for one in json.load(sys.stdin)]))


asyncio.run(main())
