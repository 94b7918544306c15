"""What the user wants to hear of a read: one column of its only row, of a row told by name, or of the first.

The ask itself seldom says which of a result's columns answers it, so a sentence is added that does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mocktrial.envs.users.base import says
from mocktrial.mocktools.values import fold
from mocktrial.synth.form.templates import speak
from mocktrial.synth.plan.choosing import at, rows_of
from mocktrial.synth.systoolkit.speaking import wordings, words

_LONGEST = 60  # characters of a value that is told
_LIKELY = 2  # the first columns: what a tool gives first is what it is asked for
_MARKS = frozenset("[]{}|")  # what means something in a template
_LONGEST_NAME = 30  # of one by which a row is meant
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}|\d{2}:\d{2}")  # by which a row may be meant
_IDS = re.compile(r"(^|_)id$")
Scope = Literal["one", "named", "first"]


@dataclass(frozen=True)
class Answer:
    """`what`: the column in words; `of`: by what the row is called; `path`: where it stands in the result."""

    scope: Scope
    what: str
    path: str
    forms: tuple[str, ...]  # wordings that tell it
    of: str = ""


def answer_of(result: Any, later: Any, text: str, chance: random.Random) -> Answer | None:
    """What to ask of a result; None where nothing in it can be told apart from the words of the request.

    later: the result some minutes on, which has the answer too. text: the request, with its values.
    """
    if not isinstance(result, dict | list):
        return Answer("one", "answer", "", wordings(result)) if result == later and _tellable(result, text) else None
    for path in _parts(result):
        found = _in_part(at(result, path), later, path, text, chance)
        if found:
            return found
    return None


def _parts(result: Any) -> tuple[str, ...]:
    """Paths to the parts of a result: one, or those that the tool gives by name."""
    named = isinstance(result, dict) and "rows" not in result
    parts = tuple(name for name, part in result.items() if isinstance(part, dict | list)) if named else ()
    return parts or ("",)


def _in_part(part: Any, later: Any, path: str, text: str, chance: random.Random) -> Answer | None:
    rows, prefix = rows_of(part)
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        return None
    places = [_join(path, prefix or "", "" if prefix is None else str(number)) for number in range(len(rows))]
    if len(rows) == 1:
        return _drawn("one", _in_row(rows[0], later, places[0], text), text, chance)
    by = _name_column(rows)
    order = chance.sample(range(len(rows)), len(rows)) if by else []
    for number in sorted(order, key=lambda one: not says(fold(text), str(rows[one][by]))):  # one that was named first
        of = speak(rows[number][by], "day")
        found = _in_row(rows[number], later, places[number], f"{text} {of}")
        if found:
            return _drawn("named", found, text, chance, of)
    return _drawn("first", _in_row(rows[0], later, places[0], text), text, chance)


def _in_row(row: Mapping[str, Any], later: Any, path: str, text: str) -> list[tuple[str, str, Any]]:
    """Columns of the row that can be told: name, path and value."""
    found = []
    for name, value in row.items():
        place = _join(path, name)
        if not _IDS.search(name) and _tellable(value, text) and at(later, place) == value:
            found.append((name, place, value))
    return found


def _drawn(
    scope: Scope, found: Sequence[tuple[str, str, Any]], text: str, chance: random.Random, of: str = ""
) -> Answer | None:
    if not found:
        return None
    found = [one for one in found if one[0] != "name"] or found
    asked = [one for one in found if says(fold(text), words(one[0]))]
    name, path, value = chance.choice(asked or found[:_LIKELY])
    return Answer(scope, words(name), path, wordings(value), of)


def _name_column(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first column by which each row can be meant; empty where there is none."""
    for name in rows[0]:
        values = [row.get(name) for row in rows]
        if not _IDS.search(name) and all(map(_is_name, values)) and len(set(map(str, values))) == len(values):
            return name
    return ""


def _is_name(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or set(value) & _MARKS:
        return False
    return not value[0].isdigit() or _MOMENT.fullmatch(value) is not None


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _tellable(value: Any, text: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    if value == "none":  # what a slot without a value says too
        return False
    return 0 < len(str(value)) <= _LONGEST and not any(says(fold(text), form) for form in wordings(value))
