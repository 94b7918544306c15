"""Text and criteria from templates: `{name}` is a value, `[...]` is a part that a hidden fact takes away.

Pure functions. A template that names a value nobody gave is a `SpecError`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import TypeAdapter

from mocktrial.envs.rubric import Criterion
from mocktrial.mocktools.errors import SpecError

_SLOT = re.compile(r"\{([a-z0-9_.]+)\}")
_PART = re.compile(r"\[([^\[\]|]*)(?:\|([^\[\]]*))?\]")
_SQL_NAME = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_CRITERION: TypeAdapter[Criterion] = TypeAdapter(Criterion)


def fill(template: str, values: Mapping[str, Any]) -> str:
    """`template` with each `{name}` replaced."""
    return _SLOT.sub(lambda match: str(_value(match[1], values, template)), template)


def instruct(template: str, spoken: Mapping[str, str], hidden: Collection[str]) -> str | None:
    """The instruction without what is hidden: "Book {patient}[ on {day}]" is "Book Ann" where day is hidden.

    A part in brackets that mentions a hidden fact gives way to what follows its bar, or to nothing. None
    where a hidden fact stands outside brackets, or a told one nowhere.
    """

    def choose(match: re.Match[str]) -> str:
        mentions = _SLOT.findall(match[1])
        return (match[2] or "") if any(name in hidden for name in mentions) else match[1]

    chosen = _PART.sub(choose, template)
    mentioned = set(_SLOT.findall(chosen))
    if mentioned & set(hidden) or not set(spoken) - set(hidden) <= mentioned:
        return None
    return fill(chosen, spoken)


def sql_values(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that `sql` names."""
    return {name: _value(name, values, sql) for name in _SQL_NAME.findall(sql)}


def fill_criterion(criterion: Criterion, values: Mapping[str, Any]) -> Criterion:
    """`criterion` with its templates filled, and its SQL's named values beside it."""
    return _CRITERION.validate_python(_fill_tree(criterion.model_dump(), values))


def _fill_tree(node: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(node, str):
        whole = _SLOT.fullmatch(node)
        return _value(whole[1], values, node) if whole else fill(node, values)
    if isinstance(node, list | tuple):
        return [_fill_tree(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    filled = {key: item if key == "sql" else _fill_tree(item, values) for key, item in node.items()}
    if node.get("sql"):
        filled["values"] = sql_values(node["sql"], values)
    return filled


def _value(name: str, values: Mapping[str, Any], template: str) -> Any:
    if name not in values:
        raise SpecError(f"template {template!r} names {name!r}, which nothing gives")
    return values[name]
