"""Text and criteria from templates: `{name}` is a value, `[...]` is a part that something absent takes away.

`{name:day}` speaks the value as a day. Pure functions. A template that names a value nobody gave is a
`SpecError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Literal

from pydantic import TypeAdapter

from mocktrial.envs.rubric import Criterion
from mocktrial.mocktools.errors import SpecError

Manner = Literal["", "day", "time", "money", "flag"]  # how a value is spoken
_SLOT = re.compile(r"\{([a-z0-9_.]+)(?::(day|time|money|flag))?\}")
_PART = re.compile(r"\[([^\[\]|]*)(?:\|([^\[\]]*))?\]")
_SQL_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_QUOTED = re.compile(r"'[^']*'")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CRITERION: TypeAdapter[Criterion] = TypeAdapter(Criterion)


def slots(template: str) -> tuple[str, ...]:
    """The names in braces, in order."""
    return tuple(match[1] for match in _SLOT.finditer(template))


def fill(template: str, values: Mapping[str, Any]) -> str:
    """`template` with each `{name}` replaced."""
    return _SLOT.sub(lambda match: _say(match, values, template), template)


def speak(value: Any, manner: str) -> str:
    """A value as people say it: "Tuesday 12 May", "10:30", "$12.50", "yes". What does not fit is plain text."""
    text = str(value)
    match manner:
        case "day" if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            return f"{day:%A} {day.day} {day:%B}"
        case "time":
            return text[:5]
        case "money" if not isinstance(value, str):
            return f"${value:.2f}".removesuffix(".00")
        case "flag":
            return "yes" if value in (True, "true", "yes") else "no"
    return text


def choose(template: str, absent: Callable[[str], bool]) -> str:
    """`template` without brackets: a part that names what is absent gives way to what follows its bar."""

    def pick(match: re.Match[str]) -> str:
        return (match[2] or "") if any(absent(name) for name in slots(match[1])) else match[1]

    return _PART.sub(pick, template)


def instruct(
    template: str, spoken: Mapping[str, str], hidden: Collection[str], bound: Mapping[str, Any] | None = None
) -> str | None:
    """The instruction without what is hidden: "Book {patient}[ on {day}]" is "Book Ann" where day is hidden.

    spoken: the facts; bound: what else the template may name. None where a hidden fact stands outside
    brackets, or a told one nowhere.
    """
    chosen = choose(template, lambda name: name in hidden)
    mentioned = set(slots(chosen))
    if mentioned & set(hidden) or not set(spoken) - set(hidden) <= mentioned:
        return None
    return fill(chosen, {**(bound or {}), **spoken})


@lru_cache(maxsize=4096)
def sql_names(sql: str) -> tuple[str, ...]:
    """The values that `sql` names, each once, in order."""
    return tuple(dict.fromkeys(_SQL_NAME.findall(_QUOTED.sub("''", sql))))


def sql_values(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that `sql` names."""
    return {name: value_of(name, values, sql) for name in sql_names(sql)}


def fill_criterion(criterion: Criterion, values: Mapping[str, Any]) -> Criterion:
    """`criterion` with its templates filled, and its SQL's named values beside it."""
    return _CRITERION.validate_python(_fill_tree(criterion.model_dump(), values))


def value_of(name: str, values: Mapping[str, Any], template: str) -> Any:
    if name not in values:
        raise SpecError(f"template {template!r} names {name!r}, which nothing gives")
    return values[name]


def _say(match: re.Match[str], values: Mapping[str, Any], template: str) -> str:
    return speak(value_of(match[1], values, template), match[2] or "")


def _fill_tree(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, str):
        whole = _SLOT.fullmatch(node)
        return value_of(whole[1], values, node) if whole and not whole[2] else fill(node, values)
    if isinstance(node, list | tuple):
        return [_fill_tree(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    filled = {key: item if key == "sql" else _fill_tree(item, values) for key, item in node.items()}
    if node.get("sql"):
        filled["values"] = sql_values(node["sql"], values)
    return filled
