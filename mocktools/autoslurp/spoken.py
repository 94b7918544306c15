"""Spoken English made plain before any rule looks at it, and the word tables those rules share.

`plain` is the form that wordings are compared in; `digits` writes spoken numbers as digits. The tables
are `words.json`; a broken one raises pydantic's ValidationError at the first use.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files

from text_to_num import alpha2digit

from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold

_POSSESSIVE = re.compile(r"['’`]s\b|s['’`](?=\s|$)")
_APOSTROPHE = re.compile(r"['’`]")
_PUNCTUATION = re.compile(r"[^\w\s%@+\-]|_")
_ODD = {"twelveth": "twelfth", "fourty": "forty", "fourtieth": "fortieth"}
_HALF_DAY = re.compile(r"(?<![a-z])([ap])\s?\.?\s?m\b\.?")
_CLOCK = re.compile(r"\bo\s?['’]?\s?clock\b")


class Words(Frozen):
    home: str  # what "my city" means
    home_words: frozenset[str]
    place_aliases: dict[str, str]
    regions: dict[str, tuple[str, ...]]  # states and countries with their abbreviations
    region_words: frozenset[str]  # abbreviations that are also words: only after a comma
    timezones: dict[str, tuple[str, ...]]
    currencies: dict[str, tuple[str, ...]]  # ISO code to spoken names, singular
    relations: dict[str, tuple[str, ...]]
    frequencies: dict[str, tuple[str, ...]]
    extremes: dict[str, tuple[str, ...]]
    holidays: dict[str, tuple[int, int]]  # month, day
    periods: dict[str, tuple[str, str]]  # part of the day: from, to (HH:MM)
    period_aliases: dict[str, str]
    clock_words: dict[str, str]
    small_words: frozenset[str]  # carry no meaning in a name
    head_words: dict[str, frozenset[str]]  # label to words a name may lack
    pools: dict[str, tuple[str, ...]]  # label or kind to replacement values, for changed slots


@cache
def words() -> Words:
    text = files(__package__).joinpath("words.json").read_text(encoding="utf-8")
    return Words.model_validate_json(text)


@cache
def names_of(table: str) -> dict[str, str]:
    """Each spoken name in one of the tables of aliases, with what it stands for."""
    entries: dict[str, tuple[str, ...]] = getattr(words(), table)
    return {name: key for key, names in entries.items() for name in (key.casefold(), *names)}


@lru_cache(maxsize=65536)
def plain(text: str) -> str:
    """Casefolded, possessives and punctuation dropped, white space collapsed."""
    text = _APOSTROPHE.sub("", _POSSESSIVE.sub(lambda match: "s" if match[0][0] == "s" else "", text.casefold()))
    return " ".join(_PUNCTUATION.sub(" ", text).split())


def digits(text: str) -> str:
    """Folded text with spoken numbers as digits: "tenth of march" gives "10th of march"."""
    text = _CLOCK.sub(" oclock ", fold(text))
    text = _HALF_DAY.sub(r" \1m", text)
    text = _POSSESSIVE.sub(lambda match: "s" if match[0][0] == "s" else "", text)
    text = " ".join(_ODD.get(word, word) for word in re.split(r"[\s,]+", text) if word)
    text = re.sub(r"\ba (?=thousand|hundred|million)", "one ", text)
    return " ".join(str(alpha2digit(text, "en", 0)).split())
