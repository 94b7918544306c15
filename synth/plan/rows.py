"""Rows of a world from a recipe and a seed: `make_world(blueprint, number, seed) -> WorldSpec`.

Generic over domains. Equal seeds give equal bytes (one `random.Random`, one seeded mimesis provider of a
pinned locale). A recipe that cannot be met (no value left for a unique column) is a `SpecError`.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from mimesis import Generic
from mimesis.locales import Locale

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.form.recipes import (
    Choices,
    ColumnSource,
    Day,
    FromParent,
    Reference,
    RowRecipe,
    Sequence,
    TableRecipe,
    Whole,
    Words,
)

_TRIES = 200  # draws before a recipe counts as impossible
_PROVIDERS = ("address", "finance", "food", "hardware", "person", "transport")
Row = dict[str, Any]


def make_world(blueprint: Blueprint, number: int, seed: int) -> WorldSpec:
    """World variant `number` of a domain: its spec with seeded rows, named `DOMAIN-NUMBER`."""
    spec = blueprint.world
    filler = _Filler(blueprint.rows, spec, derive(seed, "world", blueprint.name, number))
    for recipe in blueprint.rows.tables:
        filler.fill(recipe)
    rows = {table: tuple(rows) for table, rows in filler.rows.items()}
    return WorldSpec.model_validate(
        {**spec.model_dump(exclude={"rows", "name"}), "name": f"{blueprint.name}-{number}", "rows": rows}
    )


class _Filler:
    def __init__(self, recipe: RowRecipe, spec: WorldSpec, seed: int) -> None:
        self.random = random.Random(seed)
        self.words = Generic(locale=Locale(recipe.locale), seed=seed)
        self.today = datetime.fromisoformat(spec.now).date()
        self.rows: dict[str, list[Row]] = {table: list(rows) for table, rows in spec.rows.items()}

    def fill(self, recipe: TableRecipe) -> None:
        rows = self.rows.setdefault(recipe.table, [])
        parents: list[Row] = self._of(recipe.each, recipe) if recipe.each else [{}]
        for parent in parents:
            low, high = (recipe.count, recipe.count) if isinstance(recipe.count, int) else recipe.count
            for _ in range(self.random.randint(low, high)):
                rows.append(self._row(recipe, rows, parent))

    def _row(self, recipe: TableRecipe, rows: list[Row], parent: Row) -> Row:
        for _ in range(_TRIES):
            row = {name: self._value(source, len(rows) + 1, parent, recipe) for name, source in recipe.columns.items()}
            if not self._clashes(recipe, rows, row):
                return row
        raise SpecError(
            f"rows.json, table {recipe.table}: no new row after {_TRIES} draws",
            hint="lower count, or give its unique or distinct columns more values",
        )

    def _clashes(self, recipe: TableRecipe, rows: list[Row], row: Row) -> bool:
        keys: list[tuple[str, ...]] = [(name,) for name, source in recipe.columns.items() if source.unique]
        keys += [recipe.distinct] if recipe.distinct else []
        return any(all(old[name] == row[name] is not None for name in key) for key in keys for old in rows)

    def _value(self, source: ColumnSource, number: int, parent: Row, recipe: TableRecipe) -> Any:
        if source.null and self.random.random() < source.null:
            return None
        value = self._draw(source, number, parent, recipe)
        return source.format.format(value) if source.format else value

    def _draw(self, source: ColumnSource, number: int, parent: Row, recipe: TableRecipe) -> Any:
        match source:
            case Sequence(sequence=pattern):
                return pattern.format(n=number)
            case Choices(choices=choices):
                return self.random.choice(choices)
            case Words():
                return self._word(source, recipe)
            case Reference(references=target):
                table, _, column = target.partition(".")
                return self.random.choice(self._of(table, recipe))[column]
            case FromParent(parent=column):
                return parent[column]
            case Whole(integer=(low, high), step=step):
                return self.random.randrange(low, high + 1, step)
            case Day(day=(low, high)):
                return (self.today + timedelta(days=self.random.randint(low, high))).isoformat()

    def _word(self, source: Words, recipe: TableRecipe) -> str:
        provider, _, method = source.words.partition(".")
        known = provider in _PROVIDERS and not method.startswith("_")
        draw = getattr(getattr(self.words, provider), method, None) if known else None
        if not callable(draw):
            raise SpecError(
                f"rows.json, table {recipe.table}: there are no words {source.words!r}",
                hint=f"providers are: {', '.join(_PROVIDERS)}",
            )
        for _ in range(_TRIES):
            word = str(draw())
            if len(word) <= source.longest:
                return word
        raise SpecError(f"rows.json, table {recipe.table}: no {source.words} of {source.longest} letters")

    def _of(self, table: str, recipe: TableRecipe) -> list[Row]:
        if not self.rows.get(table):
            raise SpecError(f"rows.json, table {recipe.table}: refers to {table!r}, which has no rows yet")
        return self.rows[table]
