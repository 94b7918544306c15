"""`RecalledWorld`: a world that is played many times over, and runs each call once a state.

A world is deterministic: the same call after the same writes gives the same. What calls, queries and write sets
gave is kept by its image, and given again without running them; the database follows only when something new is
asked of it. For planning and proofs, which play one task a score of times with little changed. Errors are those of
`World`. What is given is shared: not to be written to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import apsw

from mocktrial.mocktools.errors import ToolFailure
from mocktrial.mocktools.given import parse_arguments
from mocktrial.mocktools.image import CompiledTool, WorldImage
from mocktrial.mocktools.rowwrites import Net, RowWrite, unwatch, watch
from mocktrial.mocktools.values import dumps
from mocktrial.mocktools.world import Mark, Snapshot, ToolResult, World, failed
from mocktrial.mocktools.writeset import Change

_REMEMBERED, _REMEMBERED_BYTES = 2000, 4000  # calls and queries an image remembers; bytes of one
Statement = tuple[str, Mapping[str, Any]]  # SQL with the values that it names
_MOMENT = re.compile(r"\b(?:now|today|new_id)\b", re.IGNORECASE)


class _State:
    """The world after some writes. Two that are equal are one object, while the image remembers it."""

    __slots__ = ("before", "changes", "net", "writes")

    def __init__(self, before: _State | None, writes: list[RowWrite]) -> None:
        self.before: _State | None = before
        self.writes = writes  # of rows, since the state before
        self.net: Net | None = None  # once somebody asked
        self.changes: tuple[Change, ...] | None = None  # likewise


class _Known(NamedTuple):
    result: ToolResult
    after: _State | None  # of a write that succeeded
    ids: int


class _Write(NamedTuple):
    """A write that succeeded, with what it ran on."""

    name: str
    given: Mapping[str, Any]
    by: Literal["agent", "user"]
    now: datetime
    ids: int
    after: _State

    def on(self, world: World) -> None:
        """Do it (again) on a world that stands where it was done."""
        runtime = world._engine.runtime
        runtime.now, runtime.ids = self.now, self.ids
        world._call(self.name, self.given, self.by)


class _Alteration(NamedTuple):
    """Rows that were changed behind the tools."""

    statements: Sequence[Statement]
    after: _State

    def on(self, world: World) -> None:
        _alter(world, self.statements)


def _alter(world: World, statements: Sequence[Statement]) -> None:
    for sql, values in statements:
        world._engine.connection.execute(sql, values)
    world._written = True


@dataclass(frozen=True)
class Place(Mark):
    """A mark that lasts as long as its world."""

    path: tuple[_Write | _Alteration, ...] = ()


class RecalledWorld(World):
    """Open with `RecalledWorld.open(image, seed)`. It starts untouched."""

    def __init__(self, image: WorldImage, start: Snapshot) -> None:
        if start.data is not image.data:
            raise ValueError("a recalled world starts from its image")
        self._log: list[RowWrite] = []
        super().__init__(image, start)
        self._path: list[_Write | _Alteration] = []  # where the world stands
        self._there: list[_State] = []  # where its database stands
        self._known = image.recalled
        super().mark()

    def _watch(self) -> None:
        watch(self._engine.connection, self._log)

    def _unwatch(self) -> None:
        unwatch(self._engine.connection)

    def call(self, name: str, arguments: str | Mapping[str, Any]) -> ToolResult:
        try:
            return self.call_parsed(name, parse_arguments(arguments))
        except ToolFailure as failure:
            return failed(failure)

    def call_parsed(self, name: str, given: Mapping[str, Any]) -> ToolResult:
        tool = self.image.tools.get(name)
        if self._path or tool is None or not tool.timeless:
            return self._recall(name, given, "agent")
        known: ToolResult | None = self.image.reads.get(name + dumps(given))
        if known is None:
            self._reach()
            known = super().call_parsed(name, given)
        return known

    def call_as_user(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        return self._recall(name, arguments, "user")

    def _recall(self, name: str, given: Mapping[str, Any], by: Literal["agent", "user"]) -> ToolResult:
        tool = self.image.tools.get(name)
        if tool is None:
            return self._call(name, given, by)
        runtime = self._engine.runtime
        now, ids = runtime.now, runtime.ids
        key = (
            self.state, name, by, dumps(given),
            now if tool.reads_clock else None, (runtime.seed, ids) if tool.makes_ids else None,
        )  # fmt: skip
        known: _Known | None = self._known.get(key)
        if known is None:
            known = self._run(tool, given, by)
            self._keep(key, known, len(known.result.text))
        if known.after is not None:
            self._path.append(_Write(name, given, by, now, ids, known.after))
        if tool.makes_ids:
            runtime.ids = known.ids
        return known.result

    def _run(self, tool: CompiledTool, given: Mapping[str, Any], by: Literal["agent", "user"]) -> _Known:
        self._reach()
        self._log.clear()
        result = self._call(tool.spec.name, given, by)
        if not result.ok or tool.spec.effect == "read":
            return _Known(result, None, self._engine.runtime.ids)
        return _Known(result, self._arrived(self._new_state()), self._engine.runtime.ids)

    def _new_state(self) -> _State:
        return _State(self.state, self._log.copy())

    def _arrived(self, state: _State) -> _State:
        """The database got there by one more write."""
        self._there.append(state)
        super().mark()
        return state

    def _reach(self) -> None:
        """Bring the database to where the world stands."""
        common = 0
        for state, write in zip(self._there, self._path, strict=False):
            if state is not write.after:
                break
            common += 1
        if common == len(self._there) == len(self._path):
            return
        runtime = self._engine.runtime
        now, ids = runtime.now, runtime.ids
        if common < len(self._there):
            super().rewind(self._marks[common])
            del self._there[common:]
        for write in self._path[common:]:
            write.on(self)
            self._arrived(write.after)
        runtime.now, runtime.ids = now, ids

    def _redo(self) -> None:
        """Begin again at the image: alterations are no writes of tools, so it is `_reach` that does the path again."""
        self._engine.connection.execute("BEGIN")
        for done in (self._there, self._marks, self._done):
            done.clear()
        self._written = False
        super().mark()

    @property
    def state(self) -> _State | None:
        """Stands for what was written so far: the same object after the same writes, while the image remembers them."""
        return self._path[-1].after if self._path else None

    def _keep(self, key: Any, found: Any, size: int) -> None:
        if size < _REMEMBERED_BYTES:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found

    # The control plane.

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        key = self._query_key("rows", sql, values)
        found: list[tuple[Any, ...]] | None = self._known.get(key)
        if found is None:
            self._reach()
            found = super().query(sql, values)
            self._keep(key, found, 20 * len(found))
        return found

    def records(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        key = self._query_key("records", sql, values)
        found: list[dict[str, Any]] | None = self._known.get(key)
        if found is None:
            self._reach()
            found = super().records(sql, values)
            self._keep(key, found, 20 * len(found))
        return found

    def _query_key(self, kind: str, sql: str, values: Mapping[str, Any] | None) -> tuple[Any, ...]:
        runtime = self._engine.runtime
        moment = (runtime.now, runtime.seed, runtime.ids) if _names_moment(sql) else None
        return self.state, kind, sql, repr(values), moment

    def write_set(self) -> tuple[Change, ...]:
        state = self.state
        if state is None:
            return ()
        if state.changes is None:
            state.changes = self.image.netting.changes(self._net(state))
        return state.changes

    def _net(self, state: _State | None) -> Net:
        if state is None:
            return {}
        if state.net is None:
            state.net = self.image.netting.added(self._net(state.before), state.writes)
        return state.net

    def alter(self, statements: Sequence[Statement]) -> bool:
        """Change rows behind the tools, for proofs; whether the rules of the tables allow it. Else all stays."""
        self._reach()
        self._log.clear()
        try:
            _alter(self, statements)
        except apsw.ConstraintError:
            super().rewind(self._marks[-1])
            return False
        self._path.append(_Alteration(statements, self._arrived(self._new_state())))
        return True

    def snapshot(self) -> Snapshot:
        """A snapshot for a plain `World`; this one stays as it is."""
        runtime = self._engine.runtime
        with World.open(self.image, runtime.seed) as copy:
            for write in self._path:
                write.on(copy)
            copy._engine.runtime.now, copy._engine.runtime.ids = runtime.now, runtime.ids
            return copy.snapshot()

    def mark(self) -> Place:
        runtime = self._engine.runtime
        return Place(len(self._path), len(self._path), bool(self._path), runtime.ids, runtime.now, tuple(self._path))

    def rewind(self, mark: Mark) -> None:
        if not isinstance(mark, Place):
            raise ValueError("a recalled world is taken back to its own marks only")
        self._path[:] = mark.path
        runtime = self._engine.runtime
        runtime.ids, runtime.now = mark.ids, mark.now

    def release(self, mark: Mark) -> None:
        """Nothing: its marks cost nothing."""

    def touched(self) -> int:
        self._reach()
        return super().touched()


@lru_cache(maxsize=1024)
def _names_moment(sql: str) -> bool:
    return _MOMENT.search(sql) is not None
