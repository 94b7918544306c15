"""The gateway over HTTP. Who may ask is `mocktools.gate`'s, what is recorded `proxy`'s, episodes are `sittings`'.

Agents' plane: `POST /e/{episode}/v1/chat/completions` (or `/v1/chat/completions` with the header
`X-Mocktrial-Episode`), `GET .../v1/models`; for episodes of a dataset also `GET /e/{episode}/tools`,
`POST /e/{episode}/tools/{name}`, `/user` and `/finish`. Control plane, with its own token: `/episodes`. Without
a dataset any name makes an episode. What is not answered is `{"error": ...}`, as in `mocktools.http`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse

from mocktrial.agents.gateway.proxy import Proxy
from mocktrial.agents.gateway.sittings import Closed, Opened, Sittings, Start
from mocktrial.mocktools import listening
from mocktrial.mocktools.gate import Gate, Refusal, episode_name
from mocktrial.mocktools.http import Gatekeeper, add_errors
from mocktrial.mocktools.observing.measured import Measured

MAX_REQUEST_BYTES = 1 << 24  # a long history, in full with every call
_HEADER = "X-Mocktrial-Episode"

Named = Annotated[str | None, Header(alias=_HEADER)]
Completions = Annotated[dict[str, Any], Body()]


def gateway_app(proxy: Proxy, gate: Gate, sittings: Sittings | None = None) -> FastAPI:
    """The ASGI application. Without `sittings` it records, and there are no episodes of its own."""
    # No pages of documentation: they load scripts from elsewhere (FAULTS 23).
    app = FastAPI(title="mocktrial gateway", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Gatekeeper, gate=gate, most=MAX_REQUEST_BYTES)
    _add_endpoint(app, proxy, sittings)
    if sittings is not None:
        _add_agent_plane(app, sittings)
        _add_control_plane(app, sittings)
    add_errors(app)

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        """In the form that clients of an endpoint read, or as everywhere here."""
        said = {"message": str(error), "type": "refused"} if "/v1/" in request.url.path else str(error)
        return JSONResponse({"error": said}, status_code=error.status)

    return app


def _add_endpoint(app: FastAPI, proxy: Proxy, sittings: Sittings | None) -> None:
    async def answer(episode: str, body: dict[str, Any], request: Request) -> Response:
        key = episode_name(episode)
        for name, given in (("messages", body.get("messages")), ("tools", body.get("tools") or [])):
            if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
                raise Refusal(400, f"{name} must be a list of objects")
        if sittings is not None:
            sittings.admits(key)
        return await proxy.complete(key, body, request.headers)

    @app.post("/e/{episode}/v1/chat/completions")
    async def of_path(episode: str, body: Completions, request: Request) -> Response:
        """A chat completion as part of an episode; streamed where the request asks for it."""
        return await answer(episode, body, request)

    @app.post("/v1/chat/completions")
    async def of_header(body: Completions, request: Request, episode: Named = None) -> Response:
        """The same, the episode named by a header."""
        if episode is None:
            raise Refusal(400, f"name the episode: /e/EPISODE/v1/chat/completions, or the header {_HEADER}")
        return await answer(episode, body, request)

    @app.get("/v1/models")
    @app.get("/e/{episode}/v1/models")
    async def models(request: Request) -> Response:
        """The upstream's models."""
        return await proxy.models(request.headers)


def _add_agent_plane(app: FastAPI, sittings: Sittings) -> None:
    @app.get("/e/{episode}/tools")
    async def tools(episode: str) -> list[dict[str, Any]]:
        """The tools, as the chat completions API takes them."""
        return list(sittings.tools(episode))

    @app.post("/e/{episode}/tools/{name:path}")
    async def call(episode: str, name: str, request: Request) -> dict[str, Any]:
        """Call a tool; the body is the object of its arguments. Answers {"ok", "result", "done"}."""
        return await sittings.call(episode, name, await request.body())

    @app.post("/e/{episode}/user")
    async def user(episode: str, message: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        """Speak to the user. Answers {"message", "done"}."""
        return await sittings.say(episode, message)

    @app.post("/e/{episode}/finish")
    async def finish(episode: str, message: Annotated[str, Body(embed=True)] = "") -> dict[str, str]:
        """The agent is done; `message` goes to the user."""
        await sittings.finish(episode, message)
        return {"ended": episode}


def _add_control_plane(app: FastAPI, sittings: Sittings) -> None:
    @app.get("/episodes")
    async def state() -> dict[str, Any]:
        """The open episodes, how many more are owed, and why no more are opened."""
        return sittings.state()

    @app.post("/episodes", status_code=201)
    async def start(start: Start) -> Opened:
        """Open an episode: the task and trial named, or the next one that is owed (410: none is)."""
        return await sittings.open(start)

    @app.delete("/episodes/{episode}")
    async def close(episode: str) -> Closed:
        """End an episode as it stands, if it is open, and say what became of it."""
        return await sittings.close(episode)


def serve(
    proxy: Proxy, sittings: Sittings | None = None, *, host: str = "127.0.0.1", port: int = 8090,
    token: str | None = None, control_token: str | None = None,
) -> None:  # fmt: skip
    """Answer until interrupted. Prints one line when ready."""
    gate = Gate.at(host, token, control_token)
    app = Measured(gateway_app(proxy, gate, sittings), gate, lambda: len(sittings.state()["open"]) if sittings else 0)
    listening.listen(app, host, (port,), f"gateway to {proxy.client.where}")


def running(
    proxy: Proxy, sittings: Sittings | None = None, *, token: str | None = None, control_token: str | None = None
) -> AbstractContextManager[tuple[int, ...]]:
    """A gateway on loopback in a thread of this process: gives its one port."""
    return listening.running(gateway_app(proxy, Gate.at("127.0.0.1", token, control_token), sittings))
