"""Finding arguments with which a catalogue tool does something in a world, for one of its ways of asking.

A parameter that names a row is known by what people call the row, which the table's look-up must show, once.
Every try is a real call that is rewound. Nothing here writes words but for the values.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import chain, islice, product
from typing import Any

from mocktrial.mocktools.systoolkit import CatalogTool
from mocktrial.mocktools.systoolkit.entries import ToolUse
from mocktrial.mocktools.systoolkit.examples import examples
from mocktrial.mocktools.values import stable
from mocktrial.mocktools.world import ToolResult, World
from mocktrial.synth.form.templates import slots
from mocktrial.synth.plan.choosing import rows_of
from mocktrial.synth.systoolkit.speaking import said
from mocktrial.synth.systoolkit.wish import Lookup, Option, Wish, lookup_of

_DRAWS = 30  # argument sets drawn at random, before the others are tried in order
_TRIES = 200
_LATER = timedelta(minutes=11)  # after which an answer must still be the same
_OTHERS = 4  # other values of a parameter that are looked for

Place = tuple[str, str, str, str]  # table, what was done, key of the row, column


class Scout:
    """Looks round in one open world, which it leaves as it was. `mend`: the call without which the tools fail."""

    def __init__(self, world: World, chance: random.Random, mend: ToolUse | None = None) -> None:
        self.world, self.chance = world, chance
        if mend and not world.call(mend.tool, mend.arguments).ok:
            raise ValueError(f"{mend.tool} does not mend it")
        self._start = world.mark()
        self._before = world.write_set()
        self._names: dict[str, dict[Any, str]] = {}

    def wish(self, tool: CatalogTool, number: int) -> Wish | None:
        """The tool asked for in its way `number`, or None where no arguments are found that work."""
        ask, implied = tool.asks[number], tool.implied[number]
        spoken = dict.fromkeys(slots(ask))
        names = dict.fromkeys((*spoken, *(name for name in tool.spec.required if name not in implied)))
        options = {name: self._options(tool, name) for name in names}
        for chosen in self._drawn(options):
            if self._works(tool, chosen, implied):
                return self._wish(tool, number, chosen, options)
        return None

    def _wish(
        self, tool: CatalogTool, number: int, chosen: Mapping[str, Option], options: Mapping[str, list[Option]]
    ) -> Wish:
        implied, spoken = tool.implied[number], slots(tool.asks[number])
        others = {name: tuple(self._working(tool, chosen, implied, name, options[name])) for name in chosen}
        given = _given(chosen, implied)
        return Wish(
            tool=tool, ask=tool.asks[number], chosen=chosen, implied=implied,
            missing=tuple(name for name in chosen if name not in spoken),
            lookups={name: lookup for name in chosen if (lookup := lookup_of(tool, name))}, others=others,
            unseen=self._unseen(tool, given, others) if tool.spec.effect == "write" else (),
            result=self._call(tool, given).value, later=self._call(tool, given, _LATER).value,
        )  # fmt: skip

    def _drawn(self, options: Mapping[str, list[Option]]) -> Iterator[dict[str, Option]]:
        if not all(options.values()):
            return
        drawn = ([self.chance.choice(found) for found in options.values()] for _ in range(_DRAWS))
        for row in chain(drawn, islice(product(*options.values()), _TRIES)):
            if len({one.words for one in row}) == len(row):  # nobody turns km into km
                yield dict(zip(options, row, strict=True))

    def _working(
        self,
        tool: CatalogTool,
        chosen: Mapping[str, Option],
        implied: Mapping[str, Any],
        name: str,
        found: list[Option],
    ) -> list[Option]:
        others = [one for one in found if one.words.casefold() != chosen[name].words.casefold()]
        self.chance.shuffle(others)
        working = (one for one in others if self._works(tool, {**chosen, name: one}, implied))
        return list(islice(working, _OTHERS))

    def _works(self, tool: CatalogTool, chosen: Mapping[str, Option], implied: Mapping[str, Any]) -> bool:
        """Whether the call succeeds and, for a write, changes something, for a read, gives something."""
        result = self.world.call(tool.spec.name, _given(chosen, implied))
        if tool.spec.effect == "write":
            works = result.ok and self.world.write_set() != self._before
        else:
            works = result.ok and bool(rows_of(result.value)[0])
        self.world.rewind(self._start)
        return works

    def _call(self, tool: CatalogTool, given: Mapping[str, Any], later: timedelta = timedelta()) -> ToolResult:
        self.world.advance(self.world.now + later)
        result = self.world.call(tool.spec.name, given)
        self.world.rewind(self._start)
        return result

    def _unseen(
        self, tool: CatalogTool, given: Mapping[str, Any], others: Mapping[str, tuple[Option, ...]]
    ) -> tuple[str, ...]:
        """Parameters with another value that changes the same, but for what depends on the hour."""
        now, later = self._written(tool, given), self._written(tool, given, _LATER)
        fixed = {place for place, value in now.items() if later.get(place) == value}

        def alike(written: Mapping[Place, Any]) -> bool:
            return written.keys() == now.keys() and all(written[place] == now[place] for place in fixed)

        return tuple(
            name
            for name, options in others.items()
            if any(alike(self._written(tool, {**given, name: one.value})) for one in options)
        )

    def _written(self, tool: CatalogTool, given: Mapping[str, Any], later: timedelta = timedelta()) -> dict[Place, Any]:
        """New values by table, row and column."""
        self.world.advance(self.world.now + later)
        self.world.call(tool.spec.name, given)
        changes = self.world.write_set()
        self.world.rewind(self._start)
        written: dict[Place, Any] = {}
        for one in changes:
            row = one.table, one.op, stable(one.key)
            written[*row, ""] = None
            written |= {(*row, column): pair[1] for column, pair in one.columns.items()}
        return written

    def _options(self, tool: CatalogTool, name: str) -> list[Option]:
        read = tool.takes[name]
        values = examples(tool, name, self.world)
        values = tuple(value for value in values if value != 1 or value is True) or values  # "1 minutes"
        lookup = lookup_of(tool, name)
        if lookup is None:
            return [Option(value, value, said(value, read)) for value in values]
        known = self._called(lookup)
        return [Option(value, known[value], known[value]) for value in values if value in known]

    def _called(self, lookup: Lookup) -> Mapping[Any, str]:
        """What people call the rows that the look-up shows, by key; without names that several rows have."""
        if lookup.step not in self._names:
            result = self.world.call(lookup.use.tool, lookup.use.arguments)
            self.world.rewind(self._start)
            rows = [row for row in rows_of(result.value)[0] if row[lookup.column]] if result.ok else []
            times = Counter(str(row[lookup.column]).casefold() for row in rows)
            self._names[lookup.step] = {
                row[lookup.key]: row[lookup.column] for row in rows if times[str(row[lookup.column]).casefold()] == 1
            }
        return self._names[lookup.step]


def _given(chosen: Mapping[str, Option], implied: Mapping[str, Any]) -> dict[str, Any]:
    return {name: option.value for name, option in chosen.items()} | dict(implied)
