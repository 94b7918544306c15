"""A wish: one way of asking for a catalogue tool, with arguments that work, and how its rows are found. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mocktrial.mocktools.systoolkit import CatalogTool, catalog
from mocktrial.mocktools.systoolkit.entries import ToolUse


@dataclass(frozen=True)
class Option:
    """A value of a parameter: the argument, what the user calls it, and that in words."""

    value: Any
    named: Any
    words: str


@dataclass(frozen=True)
class Lookup:
    """The read by whose rows an argument is found, and the column that people know."""

    step: str  # its id in a plan
    use: ToolUse
    key: str
    column: str


@dataclass(frozen=True)
class Wish:
    """One way of asking for a tool, with arguments that work. `missing`: required, and not in the words."""

    tool: CatalogTool
    ask: str
    chosen: Mapping[str, Option]  # by parameter, those that the user says
    implied: Mapping[str, Any]  # those that the words say by themselves
    missing: tuple[str, ...]
    lookups: Mapping[str, Lookup]  # by parameter
    others: Mapping[str, tuple[Option, ...]]  # by parameter, values that work in its place
    unseen: tuple[str, ...]  # those whose value does not show in what the call changes for good
    result: Any = field(compare=False)
    later: Any = field(compare=False)  # the result some minutes on


def lookup_of(tool: CatalogTool, name: str) -> Lookup | None:
    """How the row is found that a parameter names; None where the user's own word is the argument."""
    read = tool.takes[name]
    if not read.row_of:
        return None
    table, key = read.row_of.split(".")
    entry = catalog().table(table)
    if not entry.says or key == entry.says:
        return None
    own = tool.found.get(name)
    return Lookup(f"find_{name}" if own else entry.listed_by, own or ToolUse(tool=entry.listed_by), key, entry.says)


def lookups_of(tool: CatalogTool) -> tuple[ToolUse, ...]:
    """The reads by which the rows are found that the tool's parameters name."""
    found = {lookup.step: lookup.use for name in tool.takes if (lookup := lookup_of(tool, name))}
    return tuple(found.values())
