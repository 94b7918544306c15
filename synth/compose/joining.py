"""Two goals in one request: the second one's names are made its own, then binds, facts, plans and texts are joined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

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


def joined(first: GoalData, second: GoalData) -> GoalData | None:
    """One goal with both wishes; None where that would be too long."""
    if len(first["plan"]) + len(second["plan"]) > MAX_CALLS:
        return None
    other = renamed(second, "_2")
    frames = wording()["join"]["frames"]
    pairs = zip(first["instructions"], other["instructions"], strict=False)
    return {
        "id": "both", "tags": ["multi", *{*first.get("tags", ()), *second.get("tags", ())}],
        "family": "policy" if "policy" in (first.get("family"), second.get("family")) else "tool_use",
        "wish": f"{first['wish']} {other['wish']}",
        "instructions": [
            frames[number % len(frames)].replace("{first}", one).replace("{second}", two)
            for number, (one, two) in enumerate(pairs)
        ],
        "bind": [*first["bind"], *other["bind"]], "facts": [*first["facts"], *other["facts"]],
        "plan": [*first["plan"], *other["plan"]], "finish": f"{first['finish']} {other['finish']}",
        "subgoals": [*first.get("subgoals", ()), *other.get("subgoals", ())],
    }  # fmt: skip
