"""An episode's tools over the Model Context Protocol: streamable HTTP without sessions, and stdio.

A server is made for each request, from the episode that the path names: nothing of MCP's is kept between requests,
and there is no MCP session (the revision of 2026-07-28 has none). Tools are listed as their specs say, with the hints
`readOnlyHint` and `destructiveHint`; what the agent starts from is the server's `instructions`. A tool's failure is a
result with `isError`; with `_meta.done` the episode has ended. Who may ask is checked before (`mocktools.gate`).
Raises `MissingExtra` where the package mcp is not installed.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from mocktrial.envs.chat import ToolSchema
from mocktrial.envs.serving.seat import Seat
from mocktrial.envs.serving.sessions import Sessions
from mocktrial.mocktools.errors import MissingExtra, NoResult
from mocktrial.mocktools.gate import Receive, Scope, Send
from mocktrial.mocktools.observing.measured import TEMPLATE
from mocktrial.mocktools.values import dumps

try:
    from mcp.server.lowlevel import Server
    from mcp.server.stdio import stdio_server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.shared.exceptions import MCPError
    from mcp_types import (
        INTERNAL_ERROR,
        CallToolRequestParams,
        CallToolResult,
        ListToolsResult,
        TextContent,
        Tool,
        ToolAnnotations,
    )
except ModuleNotFoundError as error:
    raise MissingExtra("the package mcp is not installed", hint="pip install 'mocktrial[mcp]'") from error


def server_of(seat: Seat) -> Server[dict[str, Any]]:
    """An MCP server for one episode, as it stands."""

    async def list_tools(context: object, params: object) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(schema, seat) for schema in seat.tools])

    async def call_tool(context: object, params: CallToolRequestParams) -> CallToolResult:
        try:
            answer = await seat.call(params.name, dumps(params.arguments or {}))
        except NoResult as failure:
            said = f"the world failed, which says nothing about the agent: {failure}"
            raise MCPError(INTERNAL_ERROR, said) from failure
        text = TextContent(type="text", text=answer.text)
        return CallToolResult(content=[text], is_error=not answer.ok, _meta={"done": answer.done})

    return Server(
        "mocktrial", version=version("mocktrial"), instructions=seat.prompt,
        on_list_tools=list_tools, on_call_tool=call_tool,
    )  # fmt: skip


def _tool(schema: ToolSchema, seat: Seat) -> Tool:
    function = schema["function"]
    known = seat.episode.image.tools.get(function["name"])
    writes = known is not None and known.spec.effect == "write"
    hints = ToolAnnotations(read_only_hint=known is not None and not writes, destructive_hint=writes)
    return Tool(
        name=function["name"], description=function["description"], input_schema=function["parameters"],
        annotations=hints,
    )  # fmt: skip


class McpDoor:
    """An ASGI endpoint at a path that holds the episode's key. One request, one answer in JSON."""

    def __init__(self, sessions: Sessions, template: str) -> None:
        self._sessions, self._template = sessions, template

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[TEMPLATE] = self._template
        size = int(dict(scope["headers"]).get(b"content-length", b"0"))
        async with self._sessions.sit(scope["path_params"]["episode"], size) as seat:
            manager = StreamableHTTPSessionManager(server_of(seat), json_response=True, stateless=True)
            async with manager.run():
                await manager.handle_request(scope, receive, send)


async def serve_stdio(seat: Seat) -> None:
    """Answer on standard input and output until the client hangs up. The episode must have been reset."""
    server = server_of(seat)
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())
