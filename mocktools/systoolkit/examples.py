"""Example arguments of a catalogue tool: what people would say first, then other values that the world takes.

A parameter's examples are its `values`, else what its type offers: rows of its table, its choices, numbers
within its bounds, days after the virtual now. `executable` calls a tool with them on the first state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.systoolkit.catalog import CatalogTool
from mocktrial.mocktools.systoolkit.notation import Reading
from mocktrial.mocktools.world import World

_DAYS = (1, 3, 8, 2)  # dates offered, in days after the virtual now
_TIMES = ("10:00", "18:30", "07:15", "14:45")
_NUMBERS = (3, 5, 2, 10)  # offered where nothing bounds a number
_TRIES = 200  # argument sets that `executable` tries


def examples(tool: CatalogTool, name: str, world: World) -> tuple[Any, ...]:
    """Values of the parameter `name`, the likeliest first; empty where nobody wrote any and its type offers none."""
    read = tool.takes[name]
    single = tuple(tool.values.get(name, ())) or _offered(read, world)
    if not read.many or (single and isinstance(single[0], list)):
        return single
    return tuple([one] for one in single)


def arguments(tool: CatalogTool, world: World) -> Iterator[dict[str, Any]]:
    """Argument sets: the first examples, then each parameter in turn with its other ones, then without options."""
    choices = {name: examples(tool, name, world) for name in tool.takes}
    firsts = {name: found[0] for name, found in choices.items() if found}
    yield firsts
    required = {name: firsts[name] for name in tool.spec.required if name in firsts}
    yield required
    for base in (firsts, required):
        for name in base:
            for other in choices[name][1:]:
                yield base | {name: other}
    for first in firsts:
        for second in firsts:
            if first < second:
                for one in choices[first]:
                    for two in choices[second]:
                        yield firsts | {first: one, second: two}


def executable(tool: CatalogTool, image: WorldImage) -> Mapping[str, Any] | None:
    """The first example arguments with which the tool succeeds in a fresh world, or None."""
    with World.open(image, 0) as world:
        start = world.mark()
        for given in islice(arguments(tool, world), _TRIES):
            if world.call(tool.spec.name, given).ok:
                return given
            world.rewind(start)
    return None


def _offered(read: Reading, world: World) -> tuple[Any, ...]:
    if read.row_of:
        table, key = read.row_of.split(".")
        return tuple(
            row[0] for row in world.query(f"SELECT DISTINCT {key} FROM {table} WHERE {key} IS NOT NULL ORDER BY 1")
        )
    if read.choices:
        return read.choices
    now = datetime.fromisoformat(world.image.spec.now)
    match read.type:
        case "boolean":
            return (True, False)
        case "integer" | "real":
            return _numbers(read)
        case "date":
            return tuple((now + timedelta(days=days)).date().isoformat() for days in _DAYS)
        case "time":
            return _TIMES
        case "datetime":
            return tuple(
                f"{(now + timedelta(days=days)).date()}T{time}:00" for days, time in zip(_DAYS, _TIMES, strict=True)
            )
        case "text" | "json":
            return ()


def _numbers(read: Reading) -> tuple[int | float, ...]:
    if read.low is None or read.high is None or read.many:
        return _NUMBERS
    width = read.high - read.low
    found = (read.low + width * share for share in (0.5, 0.25, 0.75, 1.0, 0.0))
    kept = [round(one) if read.type == "integer" else round(one, 1) for one in found]
    return tuple(dict.fromkeys(kept))
