"""Injected faults: a tool that is down, too slow, loses its reply, or answers with old or cut data.

A `Fault` names a tool and which of its calls go wrong. `apply` carries out one call under the faults of a
task; what it must remember is a frozen `FaultState`, so that an episode's snapshot and branch stay exact.
Nothing here is random: equal faults, state, world and call give equal results.

The agent meets a fault as a tool result (docs/worlds.md, "Faults"). A call that fails by itself gives its
own error and is not counted: the fault is still owed at the tool's next call. `check_faults` raises
`SpecError` for faults that the world cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from mocktrial.mocktools.errors import SpecError, ToolFailure
from mocktrial.mocktools.given import parse_arguments
from mocktrial.mocktools.spec import Frozen, Name, ToolSpec, WorldSpec
from mocktrial.mocktools.values import dumps
from mocktrial.mocktools.world import MAX_RESULT_BYTES, ToolResult, World, failed

FaultKind = Literal["unavailable", "timeout", "lost_reply", "stale", "partial"]
_OF_READS: tuple[FaultKind, ...] = ("unavailable", "timeout", "stale", "partial")
_OF_WRITES: tuple[FaultKind, ...] = ("unavailable", "timeout", "lost_reply")
_AGAIN = "Call it again."
_LOOK = "It may or may not have been carried out: look before you call it again."
_MARKS = {
    "stale": f"This is an old result, from before the last changes. {_AGAIN}",
    "partial": f"Only part of the result arrived. {_AGAIN}",
}


class Fault(Frozen):
    """`kind` befalls these calls of `tool`, counted from 1 over those that do not fail by themselves."""

    tool: Name
    kind: FaultKind
    calls: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1,), min_length=1)


@dataclass(frozen=True)
class FaultState:
    """How often each faulty tool was called so far. A tool that was not called yet has no entry."""

    calls: tuple[tuple[str, int], ...] = ()

    def count(self, tool: str) -> int:
        return dict(self.calls).get(tool, 0)

    def counted(self, tool: str) -> FaultState:
        """The state after one more call of `tool`."""
        return FaultState(tuple(sorted({**dict(self.calls), tool: self.count(tool) + 1}.items())))


def apply(
    faults: Sequence[Fault], state: FaultState, world: World, name: str, arguments: str | Mapping[str, Any]
) -> tuple[ToolResult, FaultState]:
    """Call tool `name` of `world` under `faults`: what the agent sees, and the state after it.

    A lost reply has `ok` true and the code "timeout": `ok` says what was done, code and text what is seen.
    """
    if all(fault.tool != name for fault in faults) or not _is_taken(world, name, arguments):
        return world.call(name, arguments), state
    number = state.count(name) + 1
    kind = next((fault.kind for fault in faults if fault.tool == name and number in fault.calls), "")
    after = state.counted(name)
    if kind in ("unavailable", "timeout"):  # such a tool has not looked at the call: nothing is carried out
        return _refused(kind, world, name), after
    result = world.call(name, arguments)
    if not result.ok:
        return result, state
    if kind == "lost_reply":  # `ok`, since it was carried out: what grading must know and the agent must not
        return _refused("timeout", world, name)._replace(ok=True), after
    if not kind:
        return result, after
    spoiled = _spoiled(kind, result, world, name, arguments)
    return (spoiled, after) if spoiled else (result, state)


def check_faults(faults: Sequence[Fault], spec: WorldSpec) -> None:
    """Raise `SpecError` for an unknown tool, a kind that its effect rules out, or two faults at one call."""
    tools = {tool.name: tool for tool in spec.tools_of("agent")}
    seen: set[tuple[str, int]] = set()
    for fault in faults:
        where = f"fault {fault.kind} of tool {fault.tool}"
        if fault.tool not in tools:
            raise SpecError(f"{where}: world {spec.name} has no such tool")
        if fault.kind not in _kinds(tools[fault.tool]):
            raise SpecError(f"{where}: not for a tool that {tools[fault.tool].effect}s, since it is to be called again")
        for number in fault.calls:
            if (fault.tool, number) in seen:
                raise SpecError(f"{where}: call {number} already has a fault")
            seen.add((fault.tool, number))


def _kinds(tool: ToolSpec) -> tuple[FaultKind, ...]:
    return _OF_READS if tool.effect == "read" else _OF_WRITES


def _is_taken(world: World, name: str, arguments: str | Mapping[str, Any]) -> bool:
    """Whether the tool exists and its schema takes the arguments."""
    tool = world.image.tools.get(name)
    try:
        return tool is not None and bool(tool.validator.is_valid(parse_arguments(arguments)))
    except (ToolFailure, ValueError, OverflowError):
        return False


def _refused(code: str, world: World, name: str) -> ToolResult:
    if code == "unavailable":
        return failed(ToolFailure("unavailable", f"{name} is unavailable at the moment.", hint=_AGAIN))
    hint = _LOOK if world.image.tools[name].spec.effect == "write" else _AGAIN
    return failed(ToolFailure("timeout", f"{name} did not answer in time.", hint=hint))


def _spoiled(
    kind: str, result: ToolResult, world: World, name: str, arguments: str | Mapping[str, Any]
) -> ToolResult | None:
    """The old or cut result with its mark; None where there is none, or no room for the mark."""
    if kind == "stale":
        with World.open(world.image, seed=0) as opening:
            opening.advance(world.now)
            result = opening.call(name, arguments)
        if not result.ok:
            return None
        value = result.value
    else:
        value = _half(result.value)
    marked = {"result": value, kind: True, "hint": _MARKS[kind]}
    text = dumps(marked)
    return ToolResult(ok=True, value=marked, text=text) if len(text.encode()) <= MAX_RESULT_BYTES else None


def _half(value: Any) -> Any:
    """The first half of a list, of the `rows` of a page, or of an object's keys; of anything else nothing."""
    if isinstance(value, list):
        return value[: len(value) // 2]
    if isinstance(value, Mapping):
        if isinstance(value.get("rows"), list):
            return {**value, "rows": _half(value["rows"])}
        return dict(list(value.items())[: len(value) // 2])
    return None
