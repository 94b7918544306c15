"""NeMo Gym: a resources server by its wire, `/seed_session`, `POST /{tool}` and `/verify`, and the rows that it is fed.

Written against the requests of NeMo Gym's own `simple_agent` (the package needs Python 3.12 and is not imported). The
session is a cookie, which every answer sets again, a refusal too, for the agent keeps only those of the last one. The
trainer's agent makes all requests and the model none, so there is one plane here; the token guards it. With
`use_done_flag` the agent stops when an answer has `done`. Words that the model ends with, without a tool call, reach
the user as its last message. An episode without a result is masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Body, Cookie, FastAPI, Request, Response
from pydantic import ConfigDict
from starlette.middleware.base import RequestResponseEndpoint

from mocktrial.envs.adapters.opening import opening, response_tool
from mocktrial.envs.messages import finish_tool
from mocktrial.envs.serving.seat import ask_user_tool
from mocktrial.envs.serving.sessions import Sessions, Start
from mocktrial.envs.task import Task
from mocktrial.mocktools.gate import Gate, Refusal
from mocktrial.mocktools.http import Gatekeeper, add_errors
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.keeper import Answers
from mocktrial.mocktools.values import dumps

MAX_REQUEST_BYTES = 1 << 24  # verify is sent the whole response
_COOKIE = "mocktrial_episode"
_JSON = "application/json"
Key = Annotated[str | None, Cookie(alias=_COOKIE)]
Given = Annotated[dict[str, Any], Body()]


class Row(Start):
    """What `/seed_session` reads of a row."""

    model_config = ConfigDict(extra="ignore")


def rows(tasks: Sequence[Task], images: Mapping[str, WorldImage], *, trial: int = 0) -> list[dict[str, Any]]:
    """The rows of a NeMo Gym dataset, a task each; as JSON lines they are its file."""
    return [
        {
            "responses_create_params": {
                "input": opening(task, images[task.world]),
                "tools": [
                    response_tool(tool) for tool in (*images[task.world].schemas, ask_user_tool(), finish_tool())
                ],
                "parallel_tool_calls": False,
            },
            "task": task.id,
            "trial": trial,
        }
        for task in tasks
    ]


def nemo_app(sessions: Sessions, gate: Gate) -> FastAPI:
    """The ASGI application."""
    app = FastAPI(title="resources server", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(Gatekeeper, gate=gate, most=MAX_REQUEST_BYTES, control=())
    verdicts = Answers()

    @app.post("/seed_session")
    async def seed_session(row: Row) -> Response:
        """Open the episode that the row names."""
        response = Response(b"{}", media_type=_JSON)
        _remember(response, json.loads(await sessions.open(row))["episode"])
        return response

    @app.post("/verify")
    async def verify(row: Given, key: Key = None) -> Response:
        """The request with the reward. The episode is closed by it; asked again, the answer is the same."""
        key = _known(key)
        answer = await verdicts.once(key, b"", lambda: _verified(sessions, key, row))
        return Response(answer, media_type=_JSON)

    @app.post("/{tool}")
    async def call(tool: str, request: Request, key: Key = None) -> Response:
        """Call a tool of the episode. Answers {"ok", "result", "done"}."""
        return Response(await sessions.call(_known(key), tool, await request.body()), media_type=_JSON)

    @app.middleware("http")
    async def remember(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        if _COOKIE in request.cookies and "set-cookie" not in response.headers:
            _remember(response, request.cookies[_COOKIE])
        return response

    add_errors(app)
    return app


def _known(key: str | None) -> str:
    if key is None:
        raise Refusal(400, "there is no session: POST /seed_session first, and send its cookie")
    return key


def _remember(response: Response, key: str) -> None:
    response.set_cookie(_COOKIE, key, httponly=True, samesite="strict")


async def _verified(sessions: Sessions, key: str, row: Mapping[str, Any]) -> bytes:
    last_words = _last_words(row.get("response"))
    if last_words:
        with suppress(Refusal):  # over its quota: what became of it is still told
            await sessions.call(key, "finish", dumps({"message": last_words}).encode())
    record = await sessions.verify(key)
    await sessions.end(key)
    reward = record.grade.reward if record.grade else 0.0
    told = {"reward": reward, "mask_sample": record.grade is None, "failure_reason": record.reason or None}
    return dumps({**row, **told}).encode()


def _last_words(response: Any) -> str:
    """The text of the last output, where that is a message and no tool call."""
    output = response.get("output") if isinstance(response, dict) else None
    last = output[-1] if isinstance(output, list) and output else None
    if not isinstance(last, dict) or last.get("type") != "message" or not isinstance(last.get("content"), list):
        return ""
    return "".join(str(part.get("text", "")) for part in last["content"] if isinstance(part, dict))
