"""A door over HTTP to any compiled world. In-process `World.call` is the main path; nothing is decided here.

Two planes. An agent holds an episode's key and reaches its tools: `GET /e/{episode}/tools`,
`POST /e/{episode}/tools/{name}`. What mints, reads, freezes and ends episodes is under `/episodes` and needs
the control token. A world is not thread safe: every handler is a coroutine, and an episode serves one at a time.

A tool's failure is an answer (200, `ok` false). What is not answered is `{"error": ...}`: 4xx for the caller's
fault, 502 for a fault of the world's spec (`NoResult`). Without fastapi this module raises `MissingExtra`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any

from mocktrial.mocktools import listening
from mocktrial.mocktools.episodes import Episodes, Minted, Served, Start
from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError
from mocktrial.mocktools.gate import ASGI, MAX_BODY_BYTES, Gate, Receive, Refusal, Scope, Send, read_body
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.observing.measured import Measured

try:
    from fastapi import FastAPI, Header, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from fastapi.routing import APIRoute
    from starlette.exceptions import HTTPException
    from starlette.routing import request_response
except ModuleNotFoundError as error:
    raise MissingExtra("the package fastapi is not installed", hint="pip install 'mocktrial[serve]'") from error

MAX_EPISODES = 64  # open at a time, each at most about 1 MiB
MAX_REPEAT = 200  # characters of an idempotency key
_TEXT = {"schema": {"type": "string"}}
_REPEAT = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": MAX_REPEAT}}
_PATH = [{"name": name, "in": "path", "required": True, **_TEXT} for name in ("episode", "name")]
_CALL = {
    "parameters": [*_PATH, _REPEAT],
    "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
}
_log = logging.getLogger(__name__)

Repeat = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=MAX_REPEAT)]


class PlainRoute(APIRoute):
    """Documented by FastAPI and served without it: the endpoint takes the request and gives the response.

    FastAPI's way to an endpoint takes longer than a tool call.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = request_response(endpoint)


class Gatekeeper:
    """Checks the sender, token and size of every request, whether or not there is anything at its path.

    refuse: makes the answer to a request that is refused, of status and message; None: as everywhere here.
    control: how the paths begin that need the control token.
    """

    def __init__(
        self, app: ASGI, gate: Gate, most: int = MAX_BODY_BYTES, refuse: Callable[[int, str], Response] | None = None,
        control: tuple[str, ...] = ("/episodes", "/tasks"),
    ) -> None:  # fmt: skip
        self._app = app
        self._gate = gate
        self._most = most  # bytes of a body
        self._refuse = refuse or _error
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)  # nothing is served there
        headers = dict(scope["headers"])
        try:
            self._gate.check_sender(headers)
            if scope["path"].startswith(self._control):
                self._gate.check_control(headers)
            else:
                self._gate.check_agent(headers)
            body = await read_body(receive, self._most)
        except Refusal as refusal:
            return await self._refuse(refusal.status, str(refusal))(scope, receive, send)
        read: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> MutableMapping[str, Any]:
            return read.pop() if read else await receive()

        await self._app(scope, again, send)


def world_app(image: WorldImage, gate: Gate, *, max_episodes: int = MAX_EPISODES) -> FastAPI:
    """The ASGI application for one world. Raises `UsageError` where no episode may be open."""
    return _app(_episodes(image, max_episodes), gate)


def _episodes(image: WorldImage, most: int) -> Episodes:
    if most < 1:
        raise UsageError("at least 1 episode must be allowed", hint="raise max_episodes")
    return Episodes(image, most)


def _app(episodes: Episodes, gate: Gate) -> FastAPI:
    # No pages of documentation: they load scripts from elsewhere (FAULTS 23).
    app = FastAPI(title=f"world {episodes.world}", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Gatekeeper, gate=gate)
    add_agent_plane(app, episodes)
    add_control_plane(app, episodes)
    add_errors(app)

    @app.post("/episodes", status_code=201)
    async def mint(start: Start) -> Minted:
        """Open an episode from a seed, or branch one off a snapshot."""
        return episodes.mint(start)

    return app


def add_agent_plane(app: FastAPI, episodes: Served) -> None:
    @app.get("/e/{episode}/tools")
    async def tools(episode: str) -> list[dict[str, Any]]:
        """The tools, as the chat completions API takes them."""
        return await episodes.tools(episode)

    async def call(request: Request) -> Response:
        """Call a tool; the body is the object of its arguments. Answers {"ok": bool, "result": ...}."""
        repeat, place = request.headers.get("idempotency-key"), request.path_params
        if repeat is not None and not 0 < len(repeat) <= MAX_REPEAT:
            raise Refusal(422, f"Idempotency-Key has 1 to {MAX_REPEAT} characters")
        answer = await episodes.call(place["episode"], place["name"], await request.body(), repeat)
        return Response(answer, media_type="application/json")

    path = "/e/{episode}/tools/{name:path}"
    app.router.add_api_route(path, call, methods=["POST"], openapi_extra=_CALL, route_class_override=PlainRoute)


def add_control_plane(app: FastAPI, episodes: Served) -> None:
    """All but the opening of episodes, which differs."""

    @app.get("/episodes")
    async def names() -> dict[str, list[str]]:
        """The keys of the open episodes."""
        return {"episodes": episodes.keys()}

    @app.get("/episodes/{episode}/state", response_model=None)
    async def state(episode: str) -> Response:
        """Digest of all rows, and the net changes since the start, a snapshot's included."""
        return Response((await episodes.state(episode)).model_dump_json(), media_type="application/json")

    @app.post("/episodes/{episode}/snapshot", status_code=201)
    async def snapshot(episode: str) -> dict[str, str]:
        """Freeze the present state; the episode goes on."""
        return {"snapshot": await episodes.snapshot(episode)}

    @app.delete("/episodes/{episode}")
    async def end(episode: str) -> dict[str, str]:
        """End an episode. Its snapshots stay."""
        await episodes.end(episode)
        return {"ended": episode}


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)


def add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        return _error(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return _error(422, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, f"{request.method} {request.url.path}: {error.detail}")

    @app.exception_handler(NoResult)
    async def broken(request: Request, error: NoResult) -> JSONResponse:
        _log.exception("%s %s failed", request.method, request.scope["route"].path)  # the key in the path is secret
        return _error(502, f"the world failed, which says nothing about the agent: {error}")

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        return _error(500, "internal error")  # Starlette raises it again, so that it is logged


def serve(
    image: WorldImage,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    token: str | None = None,
    control_token: str | None = None,
    max_episodes: int = MAX_EPISODES,
    allowed_hosts: Sequence[str] = (),
) -> None:
    """Answer until interrupted. Prints one line when ready."""
    gate, episodes = Gate.at(host, token, control_token, allowed_hosts), _episodes(image, max_episodes)
    app = Measured(_app(episodes, gate), gate, lambda: len(episodes.keys()))
    listening.listen(app, host, (port,), f"world {image.spec.name}")


def running(
    image: WorldImage, *, token: str | None = None, control_token: str | None = None, max_episodes: int = MAX_EPISODES
) -> AbstractContextManager[tuple[int, ...]]:
    """A server on loopback in a thread of this process, for tests: gives its one port."""
    gate = Gate.at("127.0.0.1", token, control_token)
    return listening.running(world_app(image, gate, max_episodes=max_episodes))
