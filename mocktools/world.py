"""`World`: one private, running copy of a world. A tool call is a transaction on it.

Three planes. The agent's: `tools()` and `call()`. The user's: `call_as_user()`. The control plane: `query`,
`snapshot`, `write_set`, `digest`. A failure that the model can act on comes back as a `ToolResult`; a broken
spec raises `NoResult` (DESIGN, invariant 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import apsw
from rapidfuzz import process

from mocktrial.mocktools.engine import READING
from mocktrial.mocktools.errors import NoResult, ToolFailure
from mocktrial.mocktools.given import check_arguments, parse_arguments
from mocktrial.mocktools.image import CompiledTool, WorldImage, encode
from mocktrial.mocktools.spec import Table
from mocktrial.mocktools.steps import run_steps
from mocktrial.mocktools.values import dumps, encoder
from mocktrial.mocktools.writeset import Change, read_changeset

MAX_RESULT_BYTES = 8192
_REMEMBERED, _REMEMBERED_BYTES = 2000, 4000  # results of reads an image remembers; bytes of one
_strict = encoder(allow_nan=False)


class ToolResult(NamedTuple):
    """What a call gave. `text` is the JSON that the model sees, at most 8 KB."""

    ok: bool
    value: Any
    text: str
    code: str = ""  # of the failure, else empty


@dataclass(frozen=True)
class Snapshot:
    """A world frozen between two calls. Only the image it came from can take it back."""

    image_hash: str
    data: bytes
    changeset: bytes
    seed: int
    ids: int
    now: datetime


@dataclass(frozen=True)
class Mark:
    """A point of a running world to which it can be taken back. It lasts until the world is frozen or closed."""

    depth: int
    done: int
    written: bool
    ids: int
    now: datetime


class _Done(NamedTuple):
    """A write that succeeded, with what it ran on."""

    tool: CompiledTool
    values: dict[str, Any]
    now: datetime
    ids: int


class World:
    """Open with `World.open(image, seed)`; close it (or use `with`) to give its connection back."""

    def __init__(self, image: WorldImage, start: Snapshot) -> None:
        if start.image_hash != image.hash:
            raise ValueError(f"snapshot of world {start.image_hash} offered to {image.hash}")
        self.image = image
        self._earlier = start.changeset
        self._engine = image.engine()
        self._engine.start(start.data)
        self._done: list[_Done] = []
        self._marks: list[Mark] = []
        self._written = bool(start.changeset)
        self._fresh = start.data is image.data
        runtime = self._engine.runtime
        runtime.seed, runtime.ids, runtime.now = start.seed, start.ids, start.now
        self._open = True
        self._session: apsw.Session | None = None
        self._watch()

    @classmethod
    def open(cls, image: WorldImage, seed: int) -> Self:
        return cls(image, Snapshot(image.hash, image.data, b"", seed, 0, image.now))

    def _watch(self) -> None:
        """Record changes from here on."""
        self._session = apsw.Session(self._engine.connection, "main")
        self._session.attach()

    def _unwatch(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def close(self) -> None:
        if self._open:
            self._open = False
            self._unwatch()
            self.image.pool.append(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The agent's plane.

    def tools(self) -> list[dict[str, Any]]:
        """The agent's tools in OpenAI's form."""
        return list(self.image.schemas)

    def call(self, name: str, arguments: str | Mapping[str, Any]) -> ToolResult:
        """Run one tool. `arguments` is the model's JSON text or an object."""
        try:
            tool = self._tool(name, "agent")
            return self._transact(tool, parse_arguments(arguments))
        except ToolFailure as failure:
            return failed(failure)

    def call_parsed(self, name: str, given: Mapping[str, Any]) -> ToolResult:
        """Like `call`, with arguments that `parse_arguments` gave.

        What reads of an untouched world give is remembered by its image: most of what agents do there is to look
        the same things up. The result is shared: not to be written to.
        """
        tool = self.image.tools.get(name)
        if tool is None or self._written or not self._fresh or not tool.timeless or tool.spec.by != "agent":
            return self._call(name, given, "agent")
        key = name + dumps(given)
        known: ToolResult | None = self.image.reads.get(key)
        if known is None:
            known = self._call(name, given, "agent")
            if len(key) + len(known.text) < _REMEMBERED_BYTES:
                if len(self.image.reads) >= _REMEMBERED:
                    self.image.reads.clear()
                self.image.reads[key] = known
        return known

    def call_as_user(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Run a tool that the user has at hand (`ToolSpec.by`); the agent's are unknown here, as these are to it."""
        return self._call(name, arguments, "user")

    def _call(self, name: str, given: Mapping[str, Any], by: Literal["agent", "user"]) -> ToolResult:
        try:
            return self._transact(self._tool(name, by), given)
        except ToolFailure as failure:
            return failed(failure)

    def _tool(self, name: str, by: Literal["agent", "user"]) -> CompiledTool:
        tool = self.image.tools.get(name)
        if tool is None or tool.spec.by != by:
            raise _unknown_tool(name, [known.name for known in self.image.spec.tools_of(by)])
        return tool

    def _transact(self, tool: CompiledTool, given: Mapping[str, Any]) -> ToolResult:
        check_arguments(tool, given)
        values = tool.defaults | encode(dict(given))
        runtime = self._engine.runtime
        ids = runtime.ids
        connection = self._engine.connection
        writes = tool.spec.effect == "write"
        try:
            if not writes:
                with self._engine.guarded():
                    return _result(run_steps(connection, tool, values))
            done = _Done(tool, dict(values), runtime.now, ids)
            connection.execute("SAVEPOINT call")
            with self._engine.guarded(recording=True):
                result = _result(run_steps(connection, tool, values))
            if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
                raise ToolFailure("constraint", "The change breaks a rule of the world: a row refers to no other.")
            connection.execute("RELEASE call")
        except BaseException as error:
            if not connection.in_transaction:
                self._redo()
            elif writes:
                connection.execute("ROLLBACK TO call")
                connection.execute("RELEASE call")
            runtime.ids = ids
            raise _translate(error, tool) from error
        self._done.append(done)
        self._written = True
        return result

    def _redo(self) -> None:
        """Do the writes again: SQLite rolls back the whole transaction when it interrupts one of them."""
        connection, runtime = self._engine.connection, self._engine.runtime
        now = runtime.now
        connection.execute("BEGIN")
        for number, done in enumerate((*self._done, None)):
            for mark in self._marks:
                if mark.done == number:
                    connection.execute(f"SAVEPOINT mark{mark.depth}")
            if done:
                runtime.now, runtime.ids = done.now, done.ids
                with self._engine.guarded(recording=True):
                    run_steps(connection, done.tool, dict(done.values))
        runtime.now = now

    # The control plane.

    @property
    def now(self) -> datetime:
        return self._engine.runtime.now

    def advance(self, moment: datetime) -> None:
        """Move the virtual clock forward to `moment`."""
        self._engine.runtime.now = max(moment, self._engine.runtime.now)

    def query(self, sql: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a read-only query on the present state."""
        with self._engine.guarded(reading=True) as connection:
            return connection.execute(sql, encode(dict(values or {})), prepare_flags=READING).fetchall()

    def records(self, sql: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Like `query`, each row by column name."""
        with self._engine.guarded(reading=True) as connection:
            cursor = connection.execute(sql, encode(dict(values or {})), prepare_flags=READING)
            names: list[str] = []
            found = []
            for row in cursor:
                names = names or [column[0] for column in cursor.get_description()]
                found.append(dict(zip(names, row, strict=True)))
            return found

    def write_set(self) -> tuple[Change, ...]:
        """Net changes since the world was opened."""
        if not self._written:
            return ()
        return read_changeset(self._changeset(), self.image.tables)

    def _changeset(self) -> bytes:
        assert self._session is not None, "the world is closed"
        if not self._earlier:
            return self._session.changeset()
        builder = apsw.ChangesetBuilder()  # type: ignore[no-untyped-call] # apsw's stub lacks it
        for part in (self._earlier, self._session.changeset()):
            if part:
                builder.add(part)
        return builder.output()

    def snapshot(self) -> Snapshot:
        runtime = self._engine.runtime
        data = self._engine.freeze()
        if self._engine.commits:
            self._done.clear()
        self._marks.clear()
        return Snapshot(self.image.hash, data, self._changeset(), runtime.seed, runtime.ids, runtime.now)

    def mark(self) -> Mark:
        """Where the world stands now, for `rewind`. Cheaper than a snapshot, and only for this world."""
        runtime = self._engine.runtime
        mark = Mark(len(self._marks), len(self._done), self._written, runtime.ids, runtime.now)
        self._engine.connection.execute(f"SAVEPOINT mark{mark.depth}")
        self._marks.append(mark)
        return mark

    def rewind(self, mark: Mark) -> None:
        """Take the world back to `mark`; later marks are gone. Raises `ValueError` for one that is."""
        if not any(known is mark for known in self._marks):
            raise ValueError("the world cannot be taken back to this mark any more")
        self._engine.connection.execute(f"ROLLBACK TO mark{mark.depth}")
        del self._marks[mark.depth + 1 :], self._done[mark.done :]
        runtime = self._engine.runtime
        self._written, runtime.ids, runtime.now = mark.written, mark.ids, mark.now

    def release(self, mark: Mark) -> None:
        """Forget `mark` and later ones; the world stays as it is."""
        if any(known is mark for known in self._marks):
            self._engine.connection.execute(f"RELEASE mark{mark.depth}")
            del self._marks[mark.depth :]

    def touched(self) -> int:
        """Rows that were written so far, also where that was undone: while it stays, the state stays."""
        return self._engine.connection.total_changes()

    def digest(self) -> str:
        """SHA-256 over every row in key order: equal digests, equal states."""
        seen = hashlib.sha256()
        for table in self.image.tables:
            rows = self.query(f'SELECT * FROM "{table.name}" ORDER BY {_keys(table)}')
            seen.update(repr((table.name, rows)).encode())
        return seen.hexdigest()


def _keys(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.primary_key)


def failed(failure: ToolFailure) -> ToolResult:
    """A `ToolFailure` as the result that the model sees."""
    value = {"code": failure.code, "message": str(failure)[:600]}
    if failure.hint:
        value["hint"] = failure.hint[:600]
    return ToolResult(ok=False, value={"error": value}, text=dumps({"error": value}), code=failure.code)


def _unknown_tool(name: str, names: Sequence[str]) -> ToolFailure:
    near = [match[0] for match in process.extract(name[:64], names, limit=3, score_cutoff=50)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Tools are: {', '.join(names[:12])}."
    return ToolFailure("unknown_tool", f"There is no tool {name[:64]!r}.", hint=hint)


def _result(value: Any) -> ToolResult:
    try:
        text = _strict(value)
        size = len(text.encode())
    except UnicodeEncodeError as error:  # JSON in a table may hold half of a surrogate pair
        raise ToolFailure("constraint", "The tool made a character that is no text.") from error
    except TypeError as error:
        raise ToolFailure("constraint", "The tool made bytes, which are no text.") from error
    except RecursionError as error:
        raise ToolFailure("too_large", "The result is nested too deep.") from error
    except ValueError as error:
        raise ToolFailure("too_large", "A number of the result is too large.") from error
    if size > MAX_RESULT_BYTES:
        value = _shorten(value)
        text = dumps(value)
    return ToolResult(ok=True, value=value, text=text)


def _shorten(value: Any) -> Any:
    """As many leading rows as fit; anything else that is too long is a failure that says so."""
    if not isinstance(value, list):
        raise ToolFailure("too_long", "The result is longer than 8 KB.", hint="Ask for less: narrow the arguments.")
    shown: list[Any] = []
    room = MAX_RESULT_BYTES - 300
    for row in value:
        room -= len(dumps(row).encode()) + 2
        if room < 0:
            break
        shown.append(row)
    note = f"Only the first {len(shown)} of {len(value)} rows are shown. Narrow the arguments to see the others."
    return {"rows": shown, "total": len(value), "note": note}


def _translate(error: BaseException, tool: CompiledTool) -> BaseException:
    if isinstance(error, apsw.ConstraintError):
        return ToolFailure("constraint", f"The change breaks a rule of the world: {error}.")
    if isinstance(error, apsw.InterruptError):
        return ToolFailure("too_much_work", "The tool gave up: too much work.", hint="Narrow the arguments.")
    if isinstance(error, apsw.TooBigError):
        return ToolFailure("too_large", "A value is too large.")
    if isinstance(error, OverflowError):
        return ToolFailure("too_large", "A number is too large: integers have 64 bits.")
    if isinstance(error, UnicodeDecodeError):  # SQL made half of a surrogate pair
        return ToolFailure("constraint", "The tool made a character that is no text.")
    if isinstance(error, apsw.Error):
        return NoResult(f"tool {tool.spec.name} failed inside: {error}", blame="tools")
    return error
