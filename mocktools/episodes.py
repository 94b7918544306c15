"""The open episodes of one world by their keys: minted, called, frozen, branched, ended.

What a door to a world keeps between requests, whatever it speaks; `keeper` bounds it. What cannot be done raises
`Refusal`; `NoResult` of a world passes through.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Annotated, Any, Generic, Protocol, TypeVar

from pydantic import Field, StrictInt

from mocktrial.mocktools.gate import Refusal, episode_name
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.keeper import Keeper, Quota
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.world import Snapshot, World
from mocktrial.mocktools.writeset import Change

MAX_SNAPSHOTS = 256  # the oldest is forgotten
T = TypeVar("T")


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


class Served(Protocol):
    """The episodes behind a door, each under its key; what `http` needs of them."""

    def keys(self) -> list[str]: ...

    async def tools(self, key: str) -> list[dict[str, Any]]: ...

    async def call(self, key: str, tool: str, body: bytes, repeat: str | None) -> bytes: ...

    async def state(self, key: str) -> State: ...

    async def snapshot(self, key: str) -> str: ...

    async def end(self, key: str) -> None: ...


class Snapshots(Generic[T]):
    """The last snapshots by their names."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._made = 0

    def add(self, snapshot: T) -> str:
        self._made += 1
        key = f"s{self._made}"
        self._kept[key] = snapshot
        if len(self._kept) > MAX_SNAPSHOTS:
            self._kept.popitem(last=False)
        return key

    def find(self, key: str) -> T:
        if key not in self._kept:
            raise Refusal(404, f"there is no such snapshot among the last {MAX_SNAPSHOTS}")
        return self._kept[key]


class Episodes:
    """The open episodes of one world, and its snapshots."""

    def __init__(self, image: WorldImage, most: int, quota: Quota | None = None) -> None:
        self._image, self.world = image, image.spec.name
        self._kept: Keeper[World] = Keeper(most, World.close, quota=quota)
        self._snapshots: Snapshots[Snapshot] = Snapshots()
        self.keys = self._kept.keys
        self.end = self._kept.end

    def mint(self, start: Start) -> Minted:
        if (start.seed is None) == (start.snapshot is None):
            raise Refusal(422, "give a seed or a snapshot, one of the two")
        name = None if start.name is None else episode_name(start.name)
        frozen = None if start.snapshot is None else self._snapshots.find(start.snapshot)

        def opened() -> World:
            return World(self._image, frozen) if frozen else World.open(self._image, start.seed or 0)

        return Minted(episode=self._kept.add(opened, name), world=self._image.hash)

    async def tools(self, key: str) -> list[dict[str, Any]]:
        async with self._kept.using(key, 0) as kept:
            return kept.episode.tools()

    async def state(self, key: str) -> State:
        async with self._kept.using(key) as kept:
            world = kept.episode
            return State(episode=key, digest=world.digest(), write_set=world.write_set())

    async def call(self, key: str, tool: str, body: bytes, repeat: str | None) -> bytes:
        """`{"ok": bool, "result": ...}` for a tool call; `body` is the JSON of its arguments, or empty for none.

        A `repeat` that was seen gives the same answer, and the tool does not run again.
        """
        async with self._kept.using(key, len(body)) as kept:

            async def answer() -> bytes:
                result = kept.episode.call(tool, as_text(body))
                return f'{{"ok": {json.dumps(result.ok)}, "result": {result.text}}}'.encode()

            return await kept.answers.once(repeat, b"%s\0%s" % (tool.encode(), body), answer)

    async def snapshot(self, key: str) -> str:
        async with self._kept.using(key) as kept:
            return self._snapshots.add(kept.episode.snapshot())


def as_text(body: bytes) -> str:
    """Arguments in JSON. Bytes that are no UTF-8 become lone surrogates, which tools refuse: nothing is mended here."""
    return body.decode("utf-8", "surrogateescape") or "{}"
