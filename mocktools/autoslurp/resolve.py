"""Resolves what a person said for a slot into a canonical value, against the virtual clock.

`resolve` handles one value, `resolve_slots` a whole call (a bare "six" with "morning" becomes "06:00 am").
Both are pure functions of their arguments: the wall clock is never read. Nothing raises: what no rule reads
stays text. The canonical value of a value is itself, so resolved calls may be resolved again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

from mocktrial.mocktools.autoslurp.catalog import Kind, catalog
from mocktrial.mocktools.autoslurp.resolve_date import resolve_date
from mocktrial.mocktools.autoslurp.resolve_terms import (
    resolve_amount,
    resolve_currency,
    resolve_email,
    resolve_frequency,
    resolve_place,
    resolve_relation,
    resolve_timezone,
)
from mocktrial.mocktools.autoslurp.resolve_time import (
    in_period,
    is_bare,
    period_span,
    resolve_time,
    within_period,
)
from mocktrial.mocktools.autoslurp.spoken import plain, words
from mocktrial.mocktools.values import JSON, dumps

Slots: TypeAlias = Sequence[tuple[str, JSON]]


@dataclass(frozen=True, slots=True)
class Resolved:
    """`value` is canonical for its `kind` (forms: `resolve_date`, `resolve_time`, `resolve_terms`)."""

    kind: Kind
    value: str


_TERMS: Mapping[Kind, Callable[[str], str | None]] = {
    "place": resolve_place,
    "amount": resolve_amount,
    "currency": resolve_currency,
    "timezone": resolve_timezone,
    "relation": resolve_relation,
    "frequency": resolve_frequency,
    "email": resolve_email,
    "person": plain,
    "choice": plain,
    "name": plain,
}


@lru_cache(maxsize=1 << 16)
def resolve(kind: Kind, text: str, now: datetime) -> Resolved:
    """`text` as a value of `kind`; kind "text" where it is none, "date" or "time" as the words turn out."""
    if kind in ("date", "time", "timeofday"):
        return _moment(kind, text, now)
    rule = _TERMS.get(kind)
    value = rule(text) if rule else None
    return Resolved("text", plain(text)) if value is None else Resolved(kind, value)


def _moment(kind: Kind, text: str, now: datetime) -> Resolved:
    """People put times into date slots and the other way round: the slot's own reading comes first."""
    date = resolve_date(text, now) if kind == "date" else None
    time = None if date else resolve_time(text, now)
    if time:
        return Resolved("time", time)
    date = date or (None if kind == "date" else resolve_date(text, now))
    return Resolved("date", date) if date else Resolved("text", plain(text))


def said(value: JSON) -> tuple[str, ...]:
    """The texts in an argument: none for null and empty text, one an element of an array, and "from/to" for
    an object of just these two."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value.strip(),) if value.strip() else ()
    if isinstance(value, Mapping):
        is_span = value.keys() == {"from", "to"}
        return (f"{value['from']}/{value['to']}" if is_span else dumps(value),)
    if isinstance(value, Sequence):
        return tuple(text for item in value for text in said(item))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (dumps(value),)


def resolve_slots(slots: Iterable[tuple[str, JSON]], now: datetime) -> dict[str, tuple[Resolved, ...]]:
    """A call's slots by label, a label's values in order, after these foldings:

    * labels in the services' spelling; empty values dropped
    * `X` and `X2` become two values of `X`; so do `from_time` and `to_time` one span in `time`
    * a part of the day gives a bare time its half and goes; alone it is the span in `time`
    """
    found: dict[str, list[Resolved]] = {}
    facts = catalog()
    for name, value in slots:
        label = facts.label(name)
        texts = said(value)
        if texts:
            found.setdefault(label, []).extend(resolve(facts.kind(label), text, now) for text in texts)
    for label in [label for label in found if label.endswith("2") and label[:-1] in found]:
        found[label[:-1]] += found.pop(label)
    _fold_ends(found)
    _fold_period(found)
    return {label: tuple(values) for label, values in found.items()}


def _fold_ends(found: dict[str, list[Resolved]]) -> None:
    start, end = found.get("from_time"), found.get("to_time")
    if start and end and len(start) == len(end) == 1 and "time" not in found:
        del found["from_time"], found["to_time"]
        found["time"] = [Resolved("time", f"{start[0].value}/{end[0].value}")]


_PERIOD_OF: Mapping[str, str] = {period_span(name): name for name in words().periods}


def _fold_period(found: dict[str, list[Resolved]]) -> None:
    periods = found.get("timeofday")
    if not periods or len(periods) > 1:
        return
    name = _PERIOD_OF.get(periods[0].value)
    times = found.get("time")
    if not times:
        found["time"] = found.pop("timeofday")
    elif name and len(times) == 1 and times[0].kind == "time":
        time = times[0].value
        if is_bare(time):
            found["time"] = [Resolved("time", within_period(time, name) or time)]
            del found["timeofday"]
        elif len(time) <= 8 and time[2:3] == ":" and in_period(time, name):
            del found["timeofday"]


def arguments(slots: Sequence[tuple[str, str]]) -> dict[str, JSON]:
    """A gold call's slots as the arguments of one call: a label's second value goes to its twin (`time2`)
    where the data has such a label, else the values become an array."""
    grouped: dict[str, list[str]] = {}
    for name, value in slots:
        grouped.setdefault(name, []).append(value)
    result: dict[str, JSON] = {}
    for name, values in grouped.items():
        twin = f"{name}2"
        if len(values) == 2 and twin in catalog().kinds and twin not in grouped:
            result |= {name: values[0], twin: values[1]}
        else:
            result[name] = values[0] if len(values) == 1 else values
    return result


def canonical_arguments(slots: Slots, now: datetime) -> dict[str, JSON]:
    """A gold call's slots as arguments with every value resolved; several values of a label: an array."""
    resolved = resolve_slots(slots, now)
    return {
        label: values[0].value if len(values) == 1 else [value.value for value in values]
        for label, values in resolved.items()
    }
