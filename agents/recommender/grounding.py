"""From a tool to a suggestion that works now: arguments that the world takes, and words that name them.

A try is a real call that is rewound, so what a suggestion promises has been seen to work. Nothing here ranks.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from mocktrial.agents.recommender.base import Suggestion
from mocktrial.mocktools.systoolkit import CatalogTool, catalog
from mocktrial.mocktools.systoolkit.examples import examples
from mocktrial.mocktools.systoolkit.notation import Reading
from mocktrial.mocktools.world import World

_SLOT = re.compile(r"\{(\w+)\}")
_TRIES = 4  # argument sets tried for one way of asking


def ground(tool: CatalogTool, world: World, rng: random.Random, *, failing: Collection[str] = ()) -> Suggestion | None:
    """`tool` asked for in one of its ways, with arguments that work in `world` now; None where there are none.

    failing: conditions known not to hold; a tool that needs one is not tried.
    """
    asks = _complete(tool.spec.name)
    if not asks or any(need in failing for need in tool.needs):
        return None
    ask = rng.choice(asks)
    names = dict.fromkeys((*tool.spec.required, *_SLOT.findall(ask)))
    choices = {name: examples(tool, name, world) for name in names}
    if not all(choices.values()):
        return None
    for number in range(_TRIES):
        given = {name: found[0] if number == _TRIES - 1 else rng.choice(found) for name, found in choices.items()}
        suggestion = Suggestion(query=_filled(ask, tool, given, world), tool=tool.spec.name, arguments=given)
        if works(suggestion, world):
            return suggestion
    return None


def works(suggestion: Suggestion, world: World) -> bool:
    """Whether the suggestion is chat, or its call succeeds in `world` now. The world stays as it is."""
    if not suggestion.tool:
        return True
    mark = world.mark()
    done = world.call(suggestion.tool, suggestion.arguments).ok
    world.rewind(mark)
    world.release(mark)
    return done


@cache
def chat_bank() -> Mapping[str, tuple[str, ...]]:
    """Questions that no tool answers, by the domain that they are about."""
    text = (Path(__file__).parent / "chat.toml").read_text(encoding="utf-8")
    return {domain: tuple(asks) for domain, asks in tomllib.loads(text).items()}


@cache
def all_chats() -> tuple[str, ...]:
    return tuple(ask for asks in chat_bank().values() for ask in asks)


@cache
def _complete(name: str) -> tuple[str, ...]:
    """Ways of asking for the tool `name` that say all that it requires; often none for a switch."""
    tool = catalog().tools[name]
    return tuple(ask for ask in tool.asks if set(tool.spec.required) <= set(_SLOT.findall(ask)))


def _filled(ask: str, tool: CatalogTool, given: Mapping[str, Any], world: World) -> str:
    return _SLOT.sub(lambda slot: _said(given[slot[1]], tool.takes[slot[1]], world), ask)


def _said(value: Any, read: Reading, world: World) -> str:
    if isinstance(value, list):
        return " and ".join(_said(item, read, world) for item in value)
    if read.row_of:
        table, key = read.row_of.split(".")
        column = catalog().table(table).says
        found = (
            world.query(f'SELECT "{column}" FROM "{table}" WHERE "{key}" = :value', {"value": value}) if column else ()
        )
        return str(found[0][0]) if found else str(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if read.type == "datetime":
        moment = datetime.fromisoformat(value)
        return f"{moment.day} {moment:%B} at {moment:%H:%M}"
    if read.type == "date":
        day = datetime.fromisoformat(value)
        return f"{day.day} {day:%B}"
    return str(value)
