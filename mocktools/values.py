"""Typed, canonical values: the one notion of equality that grading, users and services share.

25 equals 25.0, "09:30" equals "09:30:00", names are compared casefolded with white space collapsed
(DESIGN, "Rubric and reward"). Nothing here guesses at natural language: resolving "next Tuesday" is
`mocktrial.mocktools.autoslurp.resolve`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any, TypeAlias

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
Canonical: TypeAlias = "tuple[str, object]"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_PLAIN = frozenset({str, int, float, bool})
_SHORT = 80  # characters of a text whose canonical form is remembered
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")


def fold(text: str) -> str:
    """Casefolded text with white space collapsed and trimmed."""
    return " ".join(text.casefold().split())


def canonical(value: JSON) -> Canonical:
    """A hashable form of `value` such that equal meanings give equal forms."""
    if value is None:
        return ("null", None)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int | float):
        return ("number", value)  # 25 and 25.0 are equal and hash alike, whatever the size
    if isinstance(value, str):
        return _known_text(value) if len(value) <= _SHORT else _canonical_text(value)
    if isinstance(value, Mapping):
        return ("object", tuple(sorted((key, canonical(item)) for key, item in value.items())))
    return ("array", tuple(canonical(item) for item in value))


def _canonical_text(text: str) -> Canonical:
    folded = fold(text)
    try:
        if _DATE.fullmatch(folded):
            return ("date", date.fromisoformat(folded))
        if _DATETIME.fullmatch(folded.replace("t", "T")):
            return ("datetime", datetime.fromisoformat(folded.replace("t", "T")))
        if _TIME.fullmatch(folded):
            return ("time", time.fromisoformat(folded.zfill(5) if len(folded) < 6 else folded.zfill(8)))
    except ValueError:
        pass  # looks like a date, is none: compared as text
    return ("text", folded)


_known_text = lru_cache(maxsize=8192)(_canonical_text)


def same(expected: JSON, actual: JSON) -> bool:
    """Whether two values mean the same. A number also equals its decimal text ("25" and 25)."""
    if expected.__class__ is actual.__class__ and expected.__class__ in _PLAIN and expected == actual:
        return True
    if isinstance(expected, str) != isinstance(actual, str):
        expected, actual = _number_of(expected), _number_of(actual)
    return canonical(expected) == canonical(actual)


def _number_of(value: JSON) -> JSON:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return value


def encoder(*, allow_nan: bool, canonical: bool = False) -> Callable[[JSON], str]:
    """What `json.JSONEncoder(ensure_ascii=False).encode` does, without making a C encoder at each call.

    canonical: with sorted keys and no spaces.
    """
    item, key = (",", ":") if canonical else (", ", ": ")
    plain = json.JSONEncoder(
        ensure_ascii=False, allow_nan=allow_nan, check_circular=False, sort_keys=canonical, separators=(item, key)
    )
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without json's C part
        return plain.encode
    text = json.encoder.encode_basestring
    fast = make(None, plain.default, text, None, key, item, canonical, False, allow_nan)
    return lambda value: "".join(fast(value, 0))


_encode = encoder(allow_nan=True)
_stable, _stable_strict = (encoder(allow_nan=allow, canonical=True) for allow in (True, False))


def dumps(value: JSON) -> str:
    """JSON as tools print it: one line, UTF-8 kept, key order as given."""
    return _encode(value)


def stable(value: JSON, *, allow_nan: bool = True) -> str:
    """JSON with sorted keys and no spaces: what hashes are taken of."""
    return _stable(value) if allow_nan else _stable_strict(value)


def part_at(value: Any, path: str) -> Any:
    """The part of a result at a dotted path; None where it ends early, as where a look-up found nothing."""
    for part in filter(None, path.split(".")):
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
