"""Several goals in one request: the names of the later ones are made their own, then all parts are joined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

from mocktrial.synth.compose.scene import GoalData, wording

_SQL_KEYS = ("sql", "alternatives", "compute")
_NAME_KEYS = ("id", "fact", "bound", "step", "each", "name", "subgoal")
_MAPS = ("where", "at_most", "at_least")
_COLUMN = re.compile(r"\bAS (\w+)")
MAX_CALLS = 12


def renamed(goal: GoalData, suffix: str) -> GoalData:
    """`goal` with every name of its own followed by `suffix`."""
    names = set(_names(goal))
    sql = re.compile(r"(:|\bAS )(" + "|".join(sorted(names, key=len, reverse=True)) + r")\b")
    text = re.compile(r"\{(" + "|".join(sorted(names, key=len, reverse=True)) + r")(?=[.:}])")

    def walk(key: str, node: Any) -> Any:
        if isinstance(node, list | tuple):
            return [walk(key, item) for item in node]
        if isinstance(node, dict):
            if key in _MAPS:
                return {column: f"{name}{suffix}" for column, name in node.items()}
            if key == "of":
                return {f"{name}{suffix}": walk("", item) for name, item in node.items()}
            if key in ("arguments", "spoken_as", "values"):
                return {name: walk("", item) for name, item in node.items()}
            return {name: walk(name, item) for name, item in node.items()}
        if not isinstance(node, str):
            return node
        if key in _SQL_KEYS:
            return sql.sub(rf"\1\2{suffix}", node)
        if key in _NAME_KEYS:
            return f"{node}{suffix}" if node in names else node
        return text.sub(rf"{{\1{suffix}", node)

    return {key: item if key == "id" else walk(key, item) for key, item in goal.items()}


def _names(goal: GoalData) -> Iterator[str]:
    for source in goal["bind"]:
        yield from _COLUMN.findall(source["sql"]) if "sql" in source else (source["name"],)
    for fact in goal["facts"]:
        yield fact["id"]
    for call in goal["plan"]:
        yield call["id"]
        yield from (name for argument in call["arguments"].values() if "compute" in argument for name in argument["of"])
        if call.get("subgoal"):
            yield call["subgoal"]
    for criterion in goal.get("subgoals", ()):
        yield criterion["id"]


def joined(*goals: GoalData) -> GoalData | None:
    """One goal with the wishes of two or three; None where that would be too long."""
    if sum(len(goal["plan"]) for goal in goals) > MAX_CALLS:
        return None
    first, *others = goals
    parts = [first, *(renamed(goal, f"_{number}") for number, goal in enumerate(others, 2))]
    frames = wording()["join" if len(parts) == 2 else "join_three"]["frames"]
    texts = zip(*(part["instructions"] for part in parts), strict=False)
    start = crc32(first["wish"].encode())  # not the same few frames in every goal
    return {
        "id": "both" if len(parts) == 2 else "three",
        "tags": list(dict.fromkeys(["multi", *(tag for part in parts for tag in part.get("tags", ()))])),
        "family": "policy" if any(part.get("family") == "policy" for part in parts) else "tool_use",
        "wish": " ".join(part["wish"] for part in parts),
        "instructions": [_joined(frames[number % len(frames)], each) for number, each in enumerate(texts, start)],
        "bind": [source for part in parts for source in part["bind"]],
        "facts": [fact for part in parts for fact in part["facts"]],
        "plan": [call for part in parts for call in part["plan"]],
        "finish": " ".join(part["finish"] for part in parts),
        "subgoals": [criterion for part in parts for criterion in part.get("subgoals", ())],
    }  # fmt: skip


def _joined(frame: str, texts: Sequence[str]) -> str:
    for slot, text in zip(("{first}", "{second}", "{third}"), texts, strict=False):
        frame = frame.replace(slot, text)
    return frame
