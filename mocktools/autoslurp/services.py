"""`autoslurp_world`: the 18 local and 5 external Auto-SLURP services as one stateful `WorldSpec`.

Tables, seed rows and the SQL of each tool stand in `world/*.json`, one file a service. What `intents.json`
already knows is added here: each tool's parameters (the labels that its service or the released rows use),
its effect, and the question it asks back while a required slot is missing. A file that breaks the contract
raises `SpecError` or pydantic's ValidationError: it is part of the package.

In those files a table with `slots_of` gets a column for every label of the named intents, and SQL may say
`$slots(table)` and `$values(table)` (the labels that tool and table share, as columns and as values) and
`$match(label, ...)` (rows that agree with every given label; see `_condition`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from mocktrial.mocktools.autoslurp.catalog import Catalog, Intent, catalog
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import Toolkit, WorldSpec
from mocktrial.mocktools.values import JSON

NOW = "2026-05-11T09:00:00"  # a Monday; the originals take dates of the 2020s only
ASSISTANT = "assistant"  # intents without a local service of their own
_OTHER = {"type": "object", "description": "slots that this service does not list, by name"}
_RULES = (
    "Resolve spoken dates and times before you call a tool: dates YYYY-MM-DD (a period from/to), "
    "times HH:MM. If a tool asks for a missing slot, ask the user."
)
_FORMS = {
    "date": "YYYY-MM-DD, or a period YYYY-MM-DD/YYYY-MM-DD",
    "time": "HH:MM (am or pm may follow), or a period HH:MM/HH:MM",
    "timeofday": "morning, afternoon, evening or night, or its hours HH:MM/HH:MM",
    "place": "a city, perhaps with its region: dallas, texas",
    "amount": "a number or a percentage",
    "currency": "an ISO code or a name",
    "email": "name@host",
}
_COLUMN = {"index": "item_index"}  # a label that SQL keeps for itself
_MACRO = re.compile(r"\$(slots|values|match)\(([^)]*)\)")


@cache
def autoslurp_world() -> WorldSpec:
    """The whole world: a toolkit a service, one tool an intent (the external services: one a request), and
    `assistant`, where the intents that the external services or the agent itself answer are tools too."""
    facts = catalog()
    folder = files(__package__).joinpath("world")
    parts = [
        json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8")) for name in (*facts.services, ASSISTANT)
    ]
    rows = {table: tuple(found) for part in parts for table, found in part.pop("rows", {}).items()}
    columns: dict[str, set[str]] = {}
    for part in parts:
        for table in part.get("tables", ()):
            _add_slot_columns(table, facts)
            columns[table["name"]] = {column["name"] for column in table["columns"]}
    return WorldSpec(
        name="autoslurp",
        description="A personal assistant's services: the 18 of Auto-SLURP and the 5 it calls outside.",
        rules=_RULES,
        now=NOW,
        toolkits=tuple(_toolkit(part, facts, columns) for part in parts),
        rows=rows,
    )


@cache
def autoslurp_image() -> WorldImage:
    """The world compiled, once a process."""
    return compile_world(autoslurp_world())


def for_tool(intent: str, arguments: Mapping[str, JSON]) -> dict[str, JSON]:
    """`arguments` as the intent's tool takes them: labels that it does not list go to `other`."""
    tool = autoslurp_image().tools.get(intent)
    listed = tool.spec.parameters if tool else arguments
    other = {label: value for label, value in arguments.items() if label not in listed}
    known = {label: value for label, value in arguments.items() if label in listed}
    return known | ({"other": other} if other else {})


def labels_of(intent: Intent, facts: Catalog) -> tuple[str, ...]:
    """Every label that the intent's tool takes: where one may come twice its twin (`time2`) too, and `time`
    where the resolver may turn a part of the day into it."""
    own = dict.fromkeys((*intent.slots, *intent.extra))
    own |= {"time": None} if "timeofday" in own else {}
    return tuple(own | dict.fromkeys(f"{name}2" for name in own if f"{name}2" in facts.kinds))


def _add_slot_columns(table: dict[str, Any], facts: Catalog) -> None:
    known = {column["name"] for column in table["columns"]}
    for intent in table.pop("slots_of", ()):
        labels = labels_of(facts.intents[intent], facts)
        fresh = [column for label in labels if (column := _COLUMN.get(label, label)) not in known]
        table["columns"] += [{"name": name, "null": True} for name in fresh]
        known.update(fresh)


def _toolkit(part: dict[str, Any], facts: Catalog, columns: dict[str, set[str]]) -> Toolkit:
    tools = [_tool(name, tool, facts, columns) for name, tool in part.pop("tools").items()]
    return Toolkit.model_validate(part | {"tools": tools})


def _tool(name: str, tool: dict[str, Any], facts: Catalog, columns: dict[str, set[str]]) -> dict[str, Any]:
    intent = facts.intents.get(name)
    labels = labels_of(intent, facts) if intent else ()
    parameters = {label: _schema(label, facts) for label in labels} | tool.pop("parameters", {})
    if intent:
        parameters["other"] = _OTHER
    steps = [_expand(step, parameters, columns) for step in tool.pop("steps")]
    before = _questions(intent) + _plain_values(labels, facts) if intent else []
    effect = intent.effect if intent else "read"
    return {"name": name, "effect": effect, "parameters": parameters, "steps": before + steps} | tool


def _schema(label: str, facts: Catalog) -> dict[str, Any]:
    form = _FORMS.get(facts.kind(label))
    size = {"minLength": 1, "maxLength": 1000 if facts.kind(label) == "text" else 200}
    several = {"minItems": 1, "maxItems": 5, "items": {"type": "string"} | size}
    schema: dict[str, Any] = {"type": ["string", "array"]} | size | several
    return schema | ({"description": form} if form else {})


def _expand(step: dict[str, Any], labels: dict[str, Any], columns: dict[str, set[str]]) -> dict[str, Any]:
    def replace(match: re.Match[str]) -> str:
        kind, names = match[1], [name.strip() for name in match[2].split(",")]
        if kind == "match":
            return "(" + " AND ".join(_condition(name, names) for name in names) + ")"
        shared = {label: _COLUMN.get(label, label) for label in labels}
        pairs = [(column, f":{label}") for label, column in shared.items() if column in columns[names[0]]]
        return ", ".join(column if kind == "slots" else value for column, value in pairs)

    return {key: _MACRO.sub(replace, value) if isinstance(value, str) else value for key, value in step.items()}


def _questions(intent: Intent) -> list[dict[str, Any]]:
    """The clarifying question, where none of a required group's slots is given."""
    return [
        {
            "require": f"SELECT 1 AS given WHERE {' OR '.join(f':{name} IS NOT NULL' for name in group)}",
            "error": "need_slot",
            "message": intent.question,
            "hint": f"Give {' or '.join(group)}.",
        }
        for group in intent.required
    ]


def _plain_values(labels: tuple[str, ...], facts: Catalog) -> list[dict[str, Any]]:
    """Steps that deal an array of two to a label and its twin, and put times on the 24-hour clock."""
    dealt: list[str] = []
    for label in labels:
        if f"{label}2" in labels:
            pair, cut = f':{label} LIKE \'["%", "%"]\'', f"instr(:{label}, '\", \"')"
            second = f"substr(:{label}, {cut} + 4, length(:{label}) - {cut} - 5)"
            dealt.append(f"iif({pair}, substr(:{label}, 3, {cut} - 3), :{label}) AS {label}")
            dealt.append(f"iif({pair}, {second}, :{label}2) AS {label}2")
    clocks = [_clock(label) for label in labels if facts.kind(label) == "time"]
    unreadable = {"error": "unreadable", "message": "A value cannot be read."}
    return [{"require": f"SELECT {', '.join(parts)}"} | unreadable for parts in (dealt, clocks) if parts]


def _clock(label: str) -> str:
    """SQL: "07:30 pm" gives "19:30"; anything else stays as it is."""
    value = f":{label}"
    return (
        f"iif({value} GLOB '[01][0-9]:[0-5][0-9] [AaPp][Mm]',"
        f" printf('%02d', substr({value}, 1, 2) % 12 + iif({value} LIKE '%pm', 12, 0))"
        f" || substr({value}, 3, 3), {value}) AS {label}"
    )


def _condition(label: str, among: list[str]) -> str:
    """SQL: the column named `label` agrees with the value given for it, or none is given.

    Dates and times agree where they overlap: "14:00/.." is open at its end, a period of days in `time` is
    compared with `date`, and a moment in `time` with both. Texts agree where one holds the other, a plural s
    aside.
    """
    given = f":{label}"
    if label == "date":
        moment = "iif(time GLOB '????-??-??T*', substr(time, 1, 10), NULL)"
        rule = _overlap(f"coalesce(date, {moment})" if "time" in among else "date", given)
    elif label in ("time", "timeofday"):
        days = f"{given} GLOB '????-??-??*' AND instr({given}, 'T') = 0"
        instants = (
            f"date || 'T' || substr(time, 1, 5) BETWEEN substr({given}, 1, 16) AND substr({given}, -16)"
            f" OR substr(time, 1, 16) BETWEEN substr({given}, 1, 16) AND substr({given}, -16)"
        )
        clock = f"{_start('time')} <= {_end(given)} AND {_end('time')} >= {_start(given)}"
        rule = (
            f"CASE WHEN {days} THEN {_overlap('date', given)} WHEN {given} GLOB '????-??-??T*' THEN {instants}"
            f" ELSE {clock} END OR fold({label}) = fold({given})"
        )
    else:
        rule = (
            f"instr(fold({label}), rtrim(fold({given}), 's')) > 0"
            f" OR instr(fold({given}), rtrim(fold({label}), 's')) > 0"
        )
    return f"({given} IS NULL OR {rule})"


def _overlap(column: str, given: str) -> str:
    """SQL: two dates or periods of days share a day."""
    return f"(substr({column}, 1, 10) <= substr({given}, -10) AND substr({column}, -10) >= substr({given}, 1, 10))"


def _start(value: str) -> str:
    """SQL: the clock reading that a time, span or moment begins with."""
    moment = f"substr({value}, instr({value}, 'T') + 1, 5)"
    return f"iif({value} GLOB '*T*:*', {moment}, substr({value}, 1, 5))"


def _end(value: str) -> str:
    """SQL: the clock reading that a time or span ends with."""
    return f"substr(replace({value}, '/..', '/99:99'), -5)"
