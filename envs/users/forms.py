"""The ways in which people write a value: a date as "14 May", a time as "2:30 pm". Anything else as it stands.

No guessing at natural language: "next Tuesday" is `mocktools.autoslurp.resolve`'s.
"""

from __future__ import annotations

from datetime import date, time
from functools import lru_cache
from typing import Any

from mocktrial.envs.task import Fact
from mocktrial.envs.users.base import says

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def forms(value: Any) -> tuple[str, ...]:
    """A value as text, and a date or a time of the day as people also write it."""
    return _forms(str(value))


def says_fact(folded_text: str, fact: Fact) -> bool:
    """Whether a folded text says the value of a fact, in its own or another form."""
    return any(says(folded_text, form) for form in (fact.spoken, *forms(fact.value)))


@lru_cache(maxsize=4096)
def _forms(text: str) -> tuple[str, ...]:
    try:
        if "-" in text:
            return (text, *_dates(date.fromisoformat(text)))
        if ":" in text:
            return (text, *_times(time.fromisoformat(text)))
    except ValueError:
        pass  # looks like a date or a time, is none
    return (text,)


def _dates(day: date) -> list[str]:
    number = str(day.day)
    counted = number + ("th" if 10 < day.day < 14 else _ENDINGS.get(day.day % 10, "th"))
    found = [f"{counted} of {day:%B}"]
    for month in (f"{day:%B}", f"{day:%b}"):
        found += [f"{number} {month}", f"{month} {number}", f"{counted} {month}", f"{month} {counted}"]
    return found


def _times(moment: time) -> list[str]:
    hour, half = moment.hour % 12 or 12, "am" if moment.hour < 12 else "pm"
    clocks = [f"{hour}:{moment.minute:02}", *([] if moment.minute else [str(hour)])]
    return [f"{clock}{gap}{half}" for clock in clocks for gap in ("", " ")]
