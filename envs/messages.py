"""What crosses between agent and episode: the first prompt, the tool that ends, messages as they can be kept and read.

Nothing here knows of an episode's state. What is wrong with a call is a `ToolFailure`, which the agent sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from mocktrial.envs.chat import Message, ToolSchema
from mocktrial.mocktools.errors import ToolFailure
from mocktrial.mocktools.values import dumps
from mocktrial.mocktools.world import World

MAX_TEXT = 20_000  # characters of one message that the user reads, and of the arguments that a record keeps
_PROMPTS = Path(__file__).parent / "prompts"


@lru_cache
def finish_tool() -> ToolSchema:
    """The control tool that ends an episode."""
    schema: ToolSchema = json.loads((_PROMPTS / "finish.json").read_text(encoding="utf-8"))
    return schema


@lru_cache
def _system_template() -> str:
    return (_PROMPTS / "system.txt").read_text(encoding="utf-8")


def system_prompt(world: World) -> str:
    """What the agent is told before the user speaks: its part, the virtual time, the world's rules."""
    return _prompt_at(world.now, world.image.spec.rules)


@lru_cache
def _prompt_at(now: datetime, rules: str) -> str:
    day, hour = now.strftime("%A"), now.strftime("%H:%M")
    return _system_template().format(weekday=day, date=now.date(), time=hour, rules=rules).strip()


def writable(message: Message) -> Message:
    """The message as it can be kept: halves of surrogate pairs, which no file can hold, become "?"."""
    text = dumps(message)
    if text.isascii():
        return message
    kept = text.encode("utf-8", "replace").decode()
    return message if kept == text else json.loads(kept)


def is_short(arguments: Any) -> bool:
    """Whether arguments in JSON are too short to print longer than the limit: "1e15" has 18 characters when printed."""
    return isinstance(arguments, str) and len(arguments) * 8 <= MAX_TEXT


def read_call(call: Any) -> tuple[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str) or not name:
        raise ToolFailure("bad_call", "A tool call needs function.name and function.arguments.")
    return name, function.get("arguments")
