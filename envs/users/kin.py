"""Values in a message that are of the kind of a fact's and are not it: "79 birds" where there are 67.

`Fact.alternatives` names the wrong values that a task knows of. An agent may come up with any other, and a user
who says yes to it is at fault. Only what has a form of its own is seen: dates, times, codes of one shape, and
numbers before the same noun. Names have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache

from mocktrial.envs.task import Fact
from mocktrial.envs.users.base import says
from mocktrial.envs.users.forms import forms
from mocktrial.mocktools.values import fold

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTH = rf"(?:{_MONTHS})[a-z]*\.?"
_DATE = re.compile(
    rf"\d{{4}}-\d\d-\d\d|\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?!\w)|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?!\w)"
)
_TIME = re.compile(r"(?<![\w:.-])\d{1,2}:\d\d(?: ?[ap]m)?(?![\w:-])|\b\d{1,2} ?[ap]m\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_YEAR = re.compile(r"(?<![\w.,:/-])(?:19|20)\d\d(?![\w:/-]|[.,]\d)")
_BARE = re.compile(r"\b(?:for|of) (\d+)(?= (?:at|on|in|from|by|with|and)\b|[,;?!]|\.?$)")  # a number of what is clear
_CODE = re.compile(r"(?=\w*[-/]?\w*\d)(?=[\d/-]*[a-z])\w+(?:[-/]\w+)*")
_NOUN = re.compile(r"[^\W\d_]{3,}")


def other_values(folded: str, fact: Fact, facts: Sequence[Fact]) -> bool:
    """Whether a folded message that does not say a fact's value says another of its kind, known of no fact."""
    return any(
        not any(says(found, form) or says(fold(form), found) for known in facts for form in _known(known))
        for found in _found(folded, fact)
    )


def _known(fact: Fact) -> tuple[str, ...]:
    return (fact.spoken, *forms(fact.value))


def _found(folded: str, fact: Fact) -> Iterator[str]:
    text = str(fact.value).casefold()
    if _is_date(text):
        yield from _DATE.findall(folded)
    elif _TIME.fullmatch(text):
        yield from _TIME.findall(folded)
    elif _NUMBER.fullmatch(text):
        if _YEAR.fullmatch(text):
            yield from _YEAR.findall(_DATE.sub(" ", folded))
        yield from _BARE.findall(folded)
        for noun in _nouns(fact):
            yield from re.findall(rf"(?<![\w.,:-])(\d+(?:[.,]\d+)*) {noun}", folded)
    elif _CODE.fullmatch(text):
        yield from (code for code in _CODE.findall(folded) if _shape(code) == _shape(text))


def _nouns(fact: Fact) -> list[str]:
    """What is counted: the word after the number where it is spoken with one, else the nouns of the label."""
    spoken = re.match(r"[\d.,]+ ([^\W\d_]+)", fold(fact.spoken))
    named = [spoken[1]] if spoken else _NOUN.findall(fold(fact.label))
    return [f"{re.escape(noun.removesuffix('s'))}s?(?!\\w)" for noun in named]


@lru_cache(maxsize=4096)
def _is_date(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _shape(code: str) -> str:
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", code))
