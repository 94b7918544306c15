"""The open episodes of one world by their keys: minted, called, frozen, branched, ended.

What a door to a world keeps between requests, whatever it speaks. Memory is bounded: a full house refuses to
mint, old snapshots and old answers are forgotten. What cannot be done raises `Refusal`; `NoResult` of a world
passes through.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, StrictInt

from mocktrial.mocktools.gate import Refusal, episode_name
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.world import Snapshot, World
from mocktrial.mocktools.writeset import Change

MAX_SNAPSHOTS = 256  # the oldest is forgotten
MAX_ANSWERS = 256  # kept an episode for repeated calls, each at most 8 KB; the oldest is forgotten


class Start(Frozen):
    """What an episode starts from: a seed or a snapshot. `name` is its key; else one nobody can guess."""

    seed: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = None
    snapshot: str | None = None
    name: str | None = None


class Minted(Frozen):
    episode: str
    world: str  # content hash of the world


class State(Frozen):
    episode: str
    digest: str
    write_set: tuple[Change, ...]


@dataclass
class _Open:
    """A running episode, and its answers by idempotency key, each with a hash of the call it answered."""

    world: World
    answers: OrderedDict[str, tuple[bytes, bytes]] = field(default_factory=OrderedDict)


class Episodes:
    """The open episodes of one world, and its snapshots."""

    def __init__(self, image: WorldImage, most: int) -> None:
        self._image = image
        self._most = most
        self._open: dict[str, _Open] = {}
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()
        self._frozen = 0

    def names(self) -> list[str]:
        return list(self._open)

    def mint(self, start: Start) -> Minted:
        if (start.seed is None) == (start.snapshot is None):
            raise Refusal(422, "give a seed or a snapshot, one of the two")
        name = secrets.token_hex(16) if start.name is None else episode_name(start.name)
        if name in self._open:
            raise Refusal(409, f"episode {name} is open already")
        if len(self._open) >= self._most:
            raise Refusal(429, f"{self._most} episodes are open: DELETE one first (GET /episodes names them)")
        if start.snapshot is None:
            world = World.open(self._image, start.seed or 0)
        elif start.snapshot in self._snapshots:
            world = World(self._image, self._snapshots[start.snapshot])
        else:
            raise Refusal(404, f"there is no such snapshot among the last {MAX_SNAPSHOTS}")
        self._open[name] = _Open(world)
        return Minted(episode=name, world=self._image.hash)

    def _find(self, name: str) -> _Open:
        if name not in self._open:
            raise Refusal(404, "there is no such episode: it was never minted, or has ended")
        return self._open[name]

    def tools(self, name: str) -> list[dict[str, Any]]:
        return self._find(name).world.tools()

    def state(self, name: str) -> State:
        world = self._find(name).world
        return State(episode=name, digest=world.digest(), write_set=world.write_set())

    def call(self, name: str, tool: str, body: bytes, key: str | None) -> bytes:
        """`{"ok": bool, "result": ...}` for a tool call; `body` is the JSON of its arguments, or empty for none.

        A `key` that was seen repeats its answer, and the tool does not run again.
        """
        episode = self._find(name)
        call = hashlib.sha256(b"%s\0%s" % (tool.encode(), body)).digest()
        known = episode.answers.get(key or "")
        if known:
            if known[0] != call:
                raise Refusal(422, "this Idempotency-Key was given to another call")
            return known[1]
        # Bytes that are no UTF-8 become lone surrogates, which `World.call` refuses: nothing is mended here.
        result = episode.world.call(tool, body.decode("utf-8", "surrogateescape") or "{}")
        answer = f'{{"ok": {json.dumps(result.ok)}, "result": {result.text}}}'.encode()
        if key:
            episode.answers[key] = (call, answer)
            if len(episode.answers) > MAX_ANSWERS:
                episode.answers.popitem(last=False)
        return answer

    def snapshot(self, name: str) -> str:
        self._frozen += 1
        key = f"s{self._frozen}"
        self._snapshots[key] = self._find(name).world.snapshot()
        if len(self._snapshots) > MAX_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return key

    def end(self, name: str) -> None:
        self._find(name).world.close()
        del self._open[name]
