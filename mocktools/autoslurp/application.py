"""The ASGI application behind `server`: whose episode it is, and HTTP to `wire.handle` and back.

An episode is named by the header `X-Episode` or by `/e/{episode}/...` before the path; who names none shares
the episode `default`. The control plane (`/control/reset`, `/control/state`) needs the control token and is
closed without one. What is not answered raises `Refusal` inside and is a JSON body with code FAIL outside; a
bug of ours answers 500 and is logged.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from mocktrial.mocktools.autoslurp.wire import Body, failure, handle, is_service
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.gate import Gate, Receive, Refusal, Scope, Send, episode_name, read_body
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.observing.measured import TEMPLATE, Measured
from mocktrial.mocktools.world import World

_REMEMBERED = 10_000  # names of dropped episodes, so that none comes back empty unnoticed
_encode = json.JSONEncoder(ensure_ascii=False).encode  # made once: json.dumps makes one a call
_log = logging.getLogger(__name__)


class Episodes:
    """Open worlds by episode name. Over the cap the one unused longest is dropped, `default` excepted."""

    def __init__(self, image: WorldImage, most: int) -> None:
        self._image = image
        self._most = most
        self._open: OrderedDict[str, World] = OrderedDict()
        self._dropped: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def world(self, name: str) -> World:
        """The episode's world, opened at its first use with seed 0."""
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        if name in self._dropped:
            raise Refusal(410, f"episode {name} was dropped: more than {self._most} were open; reset it")
        return self.reset(name, 0)

    def reset(self, name: str, seed: int) -> World:
        """The episode from its start."""
        old = self._open.pop(name, None)
        if old:
            old.close()
        self._dropped.pop(name, None)
        world = self._open[name] = World.open(self._image, seed)
        if len(self._open) > self._most:
            oldest = next(other for other in self._open if other not in ("default", name))
            self._open.pop(oldest).close()
            self._dropped[oldest] = None
            if len(self._dropped) > _REMEMBERED:
                self._dropped.popitem(last=False)
        return world


class Application:
    """The ASGI application."""

    def __init__(self, episodes: Episodes, gate: Gate) -> None:
        self._episodes = episodes
        self._gate = gate

    def measured(self) -> Measured:
        return Measured(self, self._gate, lambda: len(self._episodes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            status, body = await self._answer(scope, receive)
        except Refusal as refusal:
            status, body = refusal.status, failure(str(refusal))
        except NoResult:
            _log.exception("%s %s failed", scope["method"], scope["path"])
            status, body = 500, failure("internal error")
        data = _encode(body).encode("utf-8", "replace")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Body]:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self._gate.check_sender(headers)
        method, path = scope["method"], scope["path"]
        if method not in ("GET", "POST"):
            raise Refusal(405, f"method {method} is not known here: use GET or POST")
        params = await _read_object(receive) if method == "POST" else _read_query(scope["query_string"])
        if path.startswith("/control/"):
            self._gate.check_control(headers)
            answer = self._control(method, path, params)
            scope[TEMPLATE] = path
            return answer
        self._gate.check_agent(headers)
        name = headers.get(b"x-episode", b"default").decode("latin-1")
        if path.startswith("/e/"):
            _, _, name, rest = path.split("/", 3) if path.count("/") > 2 else ("", "", path[3:], "")
            path = f"/{rest}"
        if is_service(path):
            scope[TEMPLATE] = path
        return handle(self._episodes.world(episode_name(name)), path, method, params)

    def _control(self, method: str, path: str, params: Mapping[str, Any]) -> tuple[int, Body]:
        name = episode_name(params.get("episode", "default"))
        if (method, path) == ("POST", "/control/reset"):
            seed = params.get("seed", 0)
            if isinstance(seed, bool) or not isinstance(seed, int):
                raise Refusal(400, "seed must be a whole number")
            self._episodes.reset(name, seed)
            return 200, {"episode": name, "seed": seed}
        if (method, path) == ("GET", "/control/state"):
            world = self._episodes.world(name)
            changes = [change.model_dump(mode="json") for change in world.write_set()]
            return 200, {"episode": name, "digest": world.digest(), "write_set": changes}
        raise Refusal(404, "the control plane has POST /control/reset and GET /control/state")


def _read_query(text: bytes) -> dict[str, Any]:
    try:
        found = parse_qs(text.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise Refusal(400, "the query string cannot be read") from error
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


async def _read_object(receive: Receive) -> dict[str, Any]:
    """The posted JSON object; an empty body is an empty one."""
    body = await read_body(receive)
    try:
        value = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is not JSON") from error
    if not isinstance(value, dict):
        raise Refusal(400, "the body must be a JSON object")
    return value
