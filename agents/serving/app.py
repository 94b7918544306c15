"""The door: `/v1/chat/completions`, `/v1/models`, `/health`. Who may ask is `mocktools.gate`'s.

Requests that arrive together are decoded together, which the policy does. A client that goes away takes its request
with it. Wrong requests are 4xx, a policy that cannot decode is 500, both in OpenAI's form; a conversation that does
not fit the model is 400 with the code `context_length_exceeded`, on the same terms as in `agents.local.policy`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from mocktrial.agents.local.policy import LocalPolicy
from mocktrial.agents.serving.asked import Asked
from mocktrial.agents.serving.bodies import Body, failure, models
from mocktrial.agents.serving.conversations import Conversations
from mocktrial.agents.serving.requests import Refused, read_request
from mocktrial.mocktools import listening
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.gate import Gate
from mocktrial.mocktools.http import Gatekeeper
from mocktrial.mocktools.observing.measured import Measured

MAX_REQUEST_BYTES = 1 << 24  # a long history, in full with every request
T = TypeVar("T")


def model_app(policy: LocalPolicy, gate: Gate) -> FastAPI:
    """The ASGI application that answers with `policy`."""
    # No pages of documentation: they load scripts from elsewhere (FAULTS 23).
    app = FastAPI(title=f"model {policy.name}", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Gatekeeper, gate=gate, most=MAX_REQUEST_BYTES, refuse=_refused)
    conversations, numbers = Conversations(policy.renderer), itertools.count(1)

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        """A chat completion; streamed where the request asks for it."""
        asked = read_request(_json(await request.body()))
        if asked.model != policy.name:
            known = f"there is no model {asked.model!r} here, only {policy.name!r}"
            raise Refused(known, param="model", code="model_not_found", status=404)
        answering = Asked(asked, policy, conversations, next(numbers))
        if asked.stream:
            return StreamingResponse(answering.streamed(), media_type="text/event-stream")
        return JSONResponse(await _unless_gone(request, answering.whole()))

    @app.get("/v1/models")
    async def served() -> Body:
        """The one model."""
        return models(policy.name, policy.max_context)

    @app.get("/health")
    async def health() -> Body:
        return {"status": "ok"}

    _add_errors(app)
    return app


def serve(policy: LocalPolicy, gate: Gate, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Answer until interrupted; `gate` is that of `host`. Prints one line when ready."""
    listening.listen(Measured(model_app(policy, gate), gate), host, (port,), f"model {policy.name}")


def running(policy: LocalPolicy, *, token: str | None = None) -> AbstractContextManager[tuple[int, ...]]:
    """A server on loopback in a thread of this process: gives its one port."""
    return listening.running(model_app(policy, Gate.at("127.0.0.1", token)))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is given up when the client goes away."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(request.receive())  # the body has been read: nothing but the end can come
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        raise Refused("the client went away", status=499)
    finally:
        working.cancel()
        gone.cancel()


def _refused(status: int, message: str) -> Response:
    code = "invalid_api_key" if status == 401 else ""
    return JSONResponse(failure(Refused(message, code=code, status=status)), status_code=status)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return JSONResponse(failure(error), status_code=error.status)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        return _refused(error.status_code, f"{request.method} {request.url.path}: {error.detail}")

    @app.exception_handler(UsageError)
    async def unable(request: Request, error: UsageError) -> Response:
        """What this policy cannot do on its device."""
        return _refused(400, str(error))

    @app.exception_handler(NoResult)
    async def broken(request: Request, error: NoResult) -> Response:
        return _refused(500, str(error))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return _refused(500, "internal error")  # Starlette raises it again, so that it is logged
