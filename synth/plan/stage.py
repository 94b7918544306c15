"""A stage plays calls in one `RecalledWorld`: the same call after the same writes is played once.

A state is a number: 0 is the world as it was opened, and each write that succeeds leads to another. Reads and
calls that fail lead nowhere. `make_task` plays a plan a dozen times with one value changed; here that costs
only the calls that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, NamedTuple

import apsw

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.recalled import RecalledWorld
from mocktrial.mocktools.writeset import Change

START = 0
LATER = timedelta(minutes=11)  # by which the clock is on when a plan is carried out a second time, to see what varies


def varies(image: WorldImage, tools: Iterable[str]) -> bool:
    """Whether what these tools write may depend on the episode's seed or on when they are called."""
    known = [image.tools[name] for name in tools if name in image.tools]
    return any(tool.makes_ids or (tool.reads_clock and tool.spec.effect == "write") for tool in known)


class Outcome(NamedTuple):
    """What one call gave, and the state after it."""

    ok: bool
    code: str
    value: Any
    state: int


class Stage:
    """Close it, or use `with`. `image` and `seed` are what its world is opened with, `later` what its clock is on."""

    def __init__(self, image: WorldImage, seed: int, later: timedelta = timedelta()) -> None:
        self.image, self.seed = image, seed
        self._world = RecalledWorld.open(image, seed)
        self._world.advance(self._world.now + later)
        self._places = [self._world.mark()]  # by state
        self._numbers: dict[object, int] = {}

    def call(self, state: int, tool: str, arguments: Mapping[str, Any]) -> Outcome:
        """Make one call in a state."""
        result = self._at(state).call_parsed(tool, arguments)
        if result.ok and self.image.tools[tool].spec.effect == "write":
            state = self._numbers.setdefault(self._world.state, len(self._places))
            if state == len(self._places):
                self._places.append(self._world.mark())
        return Outcome(result.ok, result.code, result.value, state)

    def changes(self, state: int) -> tuple[Change, ...]:
        """Net changes of a state since the world was opened."""
        return self._at(state).write_set()

    def query(self, state: int, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows of a query in a state. Raises `SpecError` for a query that the world refuses."""
        try:
            return self._at(state).records(sql, values)
        except apsw.Error as error:
            raise SpecError(f"world {self.image.spec.name}: {sql!r}: {error}") from error

    def _at(self, state: int) -> RecalledWorld:
        self._world.rewind(self._places[state])
        return self._world

    def close(self) -> None:
        self._world.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
