"""What the user does with its own tools before it answers: deeds it was asked for, values it must look up.

Dual control: the calls run on the episode's own world, and the episode records them. A call that fails is
said in the tool's words; a value that was not found is not told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mocktrial.envs.task import Deed, Fact, Via
from mocktrial.envs.users.base import Hand
from mocktrial.envs.users.decision import Decision
from mocktrial.envs.users.templates import Report
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.values import part_at, same
from mocktrial.mocktools.world import ToolResult

_SLOT = re.compile(r"\{([\w.-]+)\}")


def carry_out(
    decision: Decision, facts: Sequence[Fact], deeds: Sequence[Deed], hand: Hand | None
) -> tuple[Decision, tuple[Fact, ...], tuple[Report, ...]]:
    """The decision as it turned out, the told facts with the values that were found, and what came of each call.

    Deeds come first: "restart it and tell me the light" is about the light afterwards.
    """
    reports = [_do(deed, hand) for deed in deeds if deed.id in decision.does]
    told: list[Fact] = []
    for fact in facts:
        if fact.id not in decision.tells:
            continue
        found, report = _look_up(fact, fact.via, hand) if fact.via else (fact, None)
        told += [found] if found else []
        reports += [report] if report else []
    if len(told) < len(decision.tells):
        held = [fact.id for fact in told]
        kept = {name: tuple(i for i in getattr(decision, name) if i in held) for name in ("tells", "released")}
        decision = decision.model_copy(update=kept)
    return decision, tuple(told), tuple(reports)


def _do(deed: Deed, hand: Hand | None) -> Report:
    result = _called(deed.id, deed.tool, deed.arguments, hand)
    if not result.ok:
        return Report(deed.label, ok=False, words=_message(result))
    words = _SLOT.sub(lambda match: str(part_at(result.value, match[1])), deed.done)
    return Report(deed.label, ok=True, words=words)


def _look_up(fact: Fact, via: Via, hand: Hand | None) -> tuple[Fact | None, Report | None]:
    """The fact with the value that the world has for it now, or what to say where it has none."""
    result = _called(fact.id, via.tool, via.arguments, hand)
    value = part_at(result.value, via.path) if result.ok else None
    if value is None:
        return None, Report(fact.label, ok=False, words=_message(result), looked=True)
    if same(fact.value, value):
        return fact, None
    return fact.model_copy(update={"value": value, "spoken": str(value)}), None


def _called(what: str, tool: str, arguments: dict[str, object], hand: Hand | None) -> ToolResult:
    if hand is None:
        raise NoResult(f"{what} needs tool {tool}, and the user was given no world", blame="user")
    return hand(tool, arguments)


def _message(result: ToolResult) -> str:
    error = part_at(result.value, "error.message")
    return str(error) if error else "there is nothing."
