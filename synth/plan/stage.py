"""A stage plays calls in one world and remembers each: the same call after the same writes is played once.

A state is a number: 0 is the world as it was opened, and each write that succeeds leads to another. Reads and
calls that fail lead nowhere. `make_task` plays a plan a dozen times with one value changed; here that costs
only the calls that differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import apsw

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.world import World
from mocktrial.mocktools.writeset import Change

START = 0


@dataclass(frozen=True)
class Outcome:
    """What one call gave, and the state after it."""

    ok: bool
    code: str
    value: Any
    state: int


class Stage:
    """Close it, or use `with`. `image` and `seed` are what each world of it is opened with."""

    def __init__(self, image: WorldImage, seed: int) -> None:
        self.image, self.seed = image, seed
        self._world = World.open(image, seed)
        self._here = START
        self._paths: list[tuple[tuple[str, Mapping[str, Any]], ...]] = [()]  # by state, the writes that led there
        self._changes: dict[int, tuple[Change, ...]] = {START: ()}
        self._played: dict[tuple[int, str, str], Outcome] = {}

    def call(self, state: int, tool: str, arguments: Mapping[str, Any]) -> Outcome:
        """Make one call in a state."""
        key = state, tool, repr(arguments)
        found = self._played.get(key)
        if found is None:
            found = self._played[key] = self._play(state, tool, arguments)
        return found

    def _play(self, state: int, tool: str, arguments: Mapping[str, Any]) -> Outcome:
        world = self._at(state)
        result = world.call_parsed(tool, arguments)
        if result.ok and self.image.tools[tool].spec.effect == "write":
            self._paths.append((*self._paths[state], (tool, arguments)))
            self._here = state = len(self._paths) - 1
        return Outcome(result.ok, result.code, result.value, state)

    def changes(self, state: int) -> tuple[Change, ...]:
        """Net changes of a state since the world was opened."""
        if state not in self._changes:
            self._changes[state] = self._at(state).write_set()
        return self._changes[state]

    def query(self, state: int, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of a query in a state. Raises `SpecError` for a query that the world refuses."""
        try:
            return self._at(state).records(sql, values)
        except apsw.Error as error:
            raise SpecError(f"world {self.image.spec.name}: {sql!r}: {error}") from error

    def _at(self, state: int) -> World:
        """The world in that state, played again from the start where it has moved elsewhere."""
        if state != self._here:
            here, wanted = self._paths[self._here], self._paths[state]
            if here != wanted[: len(here)]:
                self._world.close()
                self._world = World.open(self.image, self.seed)
                here = ()
            for tool, arguments in wanted[len(here) :]:
                self._world.call_parsed(tool, arguments)
            self._here = state
        return self._world

    def close(self) -> None:
        self._world.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
