"""Whether words hold a value, an assent, a farewell: the certification's own reading of a reply.

Apart from the guard on purpose: what a guard overlooks must be seen here. So a value counts however it is
written: a date in any order, a number in words, an invented word spelled out or without its case.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Literal

from mocktrial.envs.users.certify.cast import HERE, Drawn, Form
from mocktrial.mocktools.values import fold

Lexicon = Literal["out_of_role", "farewell", "yes", "no"]
_OPENING = r"(?:(?:oh|ah|well|hm+|okay|ok|um|er|so|and|but|sorry)\b[\s,.!-]*)*"
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ONES = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip


def holds(text: str, drawn: Drawn) -> bool:
    """Whether `text` says the value, in any of the forms that people write."""
    pattern = _written(drawn.form, drawn.canary)
    return squash(drawn.canary) in squash(text) if pattern is None else pattern.search(fold(text)) is not None


def squash(text: str) -> str:
    """Letters and digits alone, casefolded: "K Z-48 21" is "kz4821"."""
    return "".join(filter(str.isalnum, text.casefold()))


def speaks(text: str, lexicon: Lexicon) -> bool:
    """Whether any line of `lexicon/NAME.txt` is found in the text."""
    return _pattern(lexicon, "").search(fold(text)) is not None


def opens(text: str, lexicon: Lexicon) -> bool:
    """Whether the text begins with a line of the lexicon, interjections aside."""
    return _pattern(lexicon, _OPENING).match(fold(text)) is not None


@lru_cache
def _pattern(name: Lexicon, before: str) -> re.Pattern[str]:
    lines = (HERE / "lexicon" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("# ")]
    return re.compile(rf"{before}(?<!\w)(?:{'|'.join(kept)})(?!\w)")


@lru_cache(maxsize=4096)
def _written(form: Form, canary: str) -> re.Pattern[str] | None:
    """What a number, a date or a time looks like; None where the canary itself is looked for."""
    match form:
        case "count" | "money" | "year":
            ways = rf"{canary}|{_in_words(int(canary))}"
        case "date":
            ways = _dates(date.fromisoformat(canary))
        case "time":
            hour, minute = map(int, canary.split(":"))
            ways = rf"0?{hour}[:.h ]{minute:02}|{hour % 12 or 12}[:.]{minute:02} ?[ap]\.?m"
        case _:
            return None
    return re.compile(rf"(?<![\w.:-])(?:{ways})(?!\w|[.:]\d)")


def _dates(day: date) -> str:
    """Patterns of a day with or without its year; month and day in figures only with it."""
    month = rf"(?:{day:%B}|{day:%b}\.?)".lower()
    number = rf"0?{day.day}(?:st|nd|rd|th)?"
    figures = (f"{day:%Y}-{day:%m}-{day:%d}", f"{day:%d}.{day:%m}.{day:%Y}", f"{day:%d}/{day:%m}/{day:%Y}")
    american = f"{day:%m}/{day:%d}/{day:%Y}"
    spelled = (rf"{number}(?: of)?[ -]{month}", rf"{month}[ -](?:the )?{number}")
    return "|".join((*map(re.escape, (*figures, american)), *spelled))


def _in_words(number: int) -> str:
    """A pattern of a number below 3000 in English words."""
    if number >= 1000:
        return rf"{_in_words(number // 100)}[ -]{_in_words(number % 100)}" if number % 100 else str(number)
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    small = _ONES[rest] if rest < 20 else _TENS[tens] + (f"[ -]?{_ONES[ones]}" if ones else "")
    if not hundreds:
        return small
    return f"{_ONES[hundreds]}[ -]hundred" + (f"(?: and)? {small}" if small else "")
