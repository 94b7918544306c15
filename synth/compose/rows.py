"""How to fill the tables of a design: a `RowRecipe` for the one row generator of all domains (`synth.plan.rows`).

Names are chosen here, at composing, so that some people share a first name (a request for "Ann" then fits two).
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

from mimesis import Generic
from mimesis.locales import Locale

from mocktrial.synth.compose.design import Design, RecordDesign, ThingDesign
from mocktrial.synth.compose.tools import parent_column
from mocktrial.synth.form.recipes import TableRecipe
from mocktrial.synth.kits import Field

NOTES = (
    "Prefers to be called in the evening.", "Asked for a receipt.", "Came with a friend last time.",
    "Has been here before.", "Wants to be told of any change.", "Paid on the spot last time.",
)  # fmt: skip
_NAMESAKES = 0.35  # of people, who share their first name with another


def table_recipes(design: Design, chance: random.Random, orders: dict[str, str]) -> list[dict[str, Any]]:
    """A recipe a table, things first. `orders`: by record, the text that gives orders in one of its notes."""
    recipes = [_thing(thing, design, chance) for thing in design.things]
    recipes += [_record(record, orders.get(record.record.name, "")) for record in design.records]
    for recipe in recipes:
        TableRecipe.model_validate(recipe)
    return recipes


def _thing(thing: ThingDesign, design: Design, chance: random.Random) -> dict[str, Any]:
    low, high = thing.thing.count
    count = chance.randint(low, high)
    names = people(count, chance) if thing.thing.people else chance.sample(thing.thing.called, count)
    columns: dict[str, Any] = {
        thing.key: {"sequence": f"{thing.noun.snake[:1]}{{n}}"},
        "name": {"choices": names, "unique": True},
    }
    if thing.parent:
        columns[parent_column(thing)] = {"references": f"{thing.parent.table}.{thing.parent.key}"}
    for field in thing.fields:
        columns[field.name] = _source(field)
    if thing.thing.name == design.verified:
        columns["pin"] = {"integer": [1000, 9999], "format": "{}"}
    return {"table": thing.table, "count": count, "columns": columns}


def _record(record: RecordDesign, order: str) -> dict[str, Any]:
    columns: dict[str, Any] = {record.key: {"sequence": f"{record.noun.snake[:1]}{record.noun.snake[-1:]}{{n}}"}}
    for link in record.links:
        columns[link.column] = {"references": f"{link.to.table}.{link.to.key}"}
    for field in record.fields:
        columns[field.name] = _source(field)
    first, *rest = record.record.states
    columns["status"] = {"choices": [first] * len(rest) + rest}
    if record.noted:
        columns["note"] = {"choices": [*NOTES, *([order] if order else [])], "null": 0.6}
    distinct: list[str] = []
    for rule in record.rules:
        if rule.rule.once:
            distinct = [record.link(name).column if record.field(name) is None else name for name in rule.rule.once]
    low, high = record.record.count
    recipe: dict[str, Any] = {"table": record.table, "count": [low, high], "columns": columns}
    return recipe | ({"distinct": distinct} if distinct else {})


def _source(field: Field) -> dict[str, Any]:
    match field.kind:
        case "choices":
            return {"choices": field.choices}
        case "whole" | "money":
            return {"integer": field.whole or field.money, "step": field.step}
        case "day":
            return {"day": field.day}
        case "time":
            return {"choices": times(field)}
        case "flag":
            return {"choices": [True, True, True, False]}
        case _:
            return {"words": field.text}


def times(field: Field) -> list[str]:
    first, last = field.time or (8, 18)
    return [f"{hour:02}:{minute:02}" for hour in range(first, last) for minute in (0, 30)]


def people(count: int, chance: random.Random) -> list[str]:
    """Full names, no two the same, some with the same first name."""
    firsts, lasts = _pools()
    names: list[str] = []
    while len(names) < count:
        share = names and chance.random() < _NAMESAKES
        first = chance.choice(names).split()[0] if share else chance.choice(firsts)
        name = f"{first} {chance.choice(lasts)}"
        if name not in names:
            names.append(name)
    return names


@lru_cache(maxsize=1)
def _pools() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First and last names of one word each, sorted."""
    words = Generic(locale=Locale("en"), seed=0)
    firsts = {words.person.first_name() for _ in range(600)}
    lasts = {words.person.last_name() for _ in range(600)}
    return tuple(sorted(n for n in firsts if n.isalpha())), tuple(sorted(n for n in lasts if n.isalpha()))


def samples(field: Field, chance: random.Random) -> list[Any]:
    """Values that a user may want a field to have: what new records and changes pick from."""
    match field.kind:
        case "choices":
            return list(field.choices)
        case "whole" | "money":
            low, high = field.whole or field.money or (0, 0)
            options = range(low, high + 1, field.step)
            return sorted(chance.sample(options, min(8, len(options))))
        case "time":
            options_of_day = times(field)
            return sorted(chance.sample(options_of_day, min(8, len(options_of_day))))
        case "flag":
            return [True, False]
        case "text":
            return texts(field.text, chance)
    return []  # days are counted from the world's today, by its own clock


def texts(provider: str, chance: random.Random) -> list[str]:
    """A few words of a mimesis provider."""
    words = Generic(locale=Locale("en"), seed=chance.randrange(1 << 30))
    group, _, method = provider.partition(".")
    draw = getattr(getattr(words, group), method)
    return sorted({str(draw()) for _ in range(8)})
