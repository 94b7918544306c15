"""Whole episodes over HTTP. Who may ask is `mocktools.gate`'s, what is open `sessions`', what a call does `seat`'s.

Agents' plane, `/e/{episode}`: what is before the agent, its tools, a call, an OpenAPI document, `/mcp`. Control plane
under `/episodes` and `/tasks`, with its own token: open, reset, step, say, state, snapshot, verify, close. What is not
answered is `{"error": ...}`, as in `mocktools.http`, whose routes for tools and states are these too.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Annotated, Any

from fastapi import Body, FastAPI, Response
from starlette.routing import Route

from mocktrial.envs.chat import Message, assistant
from mocktrial.envs.serving.openapi import openapi_of
from mocktrial.envs.serving.sessions import Seen, Sessions, Start, Verdict, View, verdict_of
from mocktrial.mocktools import listening
from mocktrial.mocktools.gate import MAX_BODY_BYTES, Gate, Refusal
from mocktrial.mocktools.http import Gatekeeper, Repeat, add_agent_plane, add_control_plane, add_errors

_JSON = "application/json"


def dataset_app(sessions: Sessions, gate: Gate) -> FastAPI:
    """The ASGI application."""
    # No pages of documentation: they load scripts from elsewhere (FAULTS 23).
    app = FastAPI(title="episodes", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Gatekeeper, gate=gate, most=4 * MAX_BODY_BYTES)
    add_agent_plane(app, sessions)
    add_control_plane(app, sessions)
    _add_agents_views(app, sessions)
    _add_opening(app, sessions)
    _add_playing(app, sessions)
    _add_mcp(app, sessions)
    add_errors(app)
    return app


def _add_agents_views(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/e/{episode}")
    async def view(episode: str) -> View:
        """What is before the agent: the messages so far, its tools, whether the episode has ended."""
        return await sessions.view(episode)

    @app.get("/e/{episode}/openapi.json")
    async def document(episode: str) -> dict[str, Any]:
        """An OpenAPI document of this episode's tools."""
        return openapi_of(episode, await sessions.tools(episode))


def _add_mcp(app: FastAPI, sessions: Sessions) -> None:
    path = "/e/{episode}/mcp"
    if find_spec("mcp"):
        from mocktrial.envs.serving.mcp import McpDoor  # it takes a second, and is an extra

        app.routes.append(Route(path, McpDoor(sessions, path), methods=["POST"], include_in_schema=False))
        return

    @app.post(path, include_in_schema=False)
    async def missing(episode: str) -> None:
        raise Refusal(501, "MCP is not installed here: pip install 'mocktrial[mcp]'")


def _add_opening(app: FastAPI, sessions: Sessions) -> None:
    @app.get("/tasks")
    async def tasks() -> dict[str, list[str]]:
        """The ids of the tasks."""
        return {"tasks": list(sessions.tasks)}

    @app.post("/episodes", status_code=201)
    async def start(start: Start, key: Repeat = None) -> Response:
        """Open a trial of a task, or branch off a snapshot."""
        return Response(await sessions.open(start, key), status_code=201, media_type=_JSON)

    @app.post("/episodes/{episode}/reset")
    async def reset(episode: str) -> View:
        """The episode from its first state again."""
        return await sessions.reset(episode)

    @app.post("/episodes/{episode}/verify")
    async def verify(episode: str) -> Verdict:
        """The grade. An episode that was still open has ended by this."""
        return verdict_of(episode, await sessions.verify(episode))

    @app.get("/episodes/{episode}/trajectory", response_model=None)
    async def trajectory(episode: str) -> Response:
        """The whole graded record, as a run's ledger keeps it; ends the episode like verify."""
        return Response((await sessions.verify(episode)).model_dump_json(), media_type=_JSON)


def _add_playing(app: FastAPI, sessions: Sessions) -> None:
    @app.post("/episodes/{episode}/step", response_model=Seen)
    async def step(episode: str, message: Annotated[Message, Body(embed=True)], key: Repeat = None) -> Response:
        """Take a whole assistant message, with its tool calls or text. Answers with what came back."""
        return Response(await sessions.step(episode, message, key), media_type=_JSON)

    @app.post("/episodes/{episode}/say", response_model=Seen)
    async def say(episode: str, text: Annotated[str, Body(embed=True)], key: Repeat = None) -> Response:
        """The user's turn: answers what the assistant said."""
        return Response(await sessions.step(episode, assistant(text), key), media_type=_JSON)


def running(
    sessions: Sessions, *, token: str | None = None, control_token: str | None = None
) -> AbstractContextManager[tuple[int, ...]]:
    """A server on loopback in a thread of this process: gives its one port."""
    return listening.running(dataset_app(sessions, Gate.at("127.0.0.1", token, control_token)))
