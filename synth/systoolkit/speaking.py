"""Values as people say them, and names as words: never an id, never True. Pure functions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from mocktrial.mocktools.systoolkit.notation import Reading
from mocktrial.synth.form.templates import speak

_SENTENCE = re.compile(r"[.!?]$")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


@cache
def phrases() -> Mapping[str, Any]:
    """The words of tasks that are not in the catalogue."""
    return tomllib.loads((Path(__file__).parent / "phrases.toml").read_text(encoding="utf-8"))


def said(value: Any, read: Reading) -> str:
    """An argument in words."""
    if isinstance(value, list):
        *most, last = (said(item, read) for item in value)
        return f"{', '.join(most)} and {last}" if most else last
    if read.choices:
        return str(phrases()["values"].get(value, words(str(value))))
    if isinstance(value, bool):
        return speak(value, "flag")
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    if _MOMENT.fullmatch(text):
        return f"{speak(text[:10], 'day')} at {text[11:16]}"
    return f'"{text}"' if _SENTENCE.search(text) else speak(text, "day")


def words(name: str) -> str:
    """ "rain_percent" as "rain percent"."""
    return name.replace("_", " ")


def wordings(value: Any) -> tuple[str, ...]:
    """How a result's value may be told: a day also as "12 May", a moment by its time, 21.0 as 21, 97400 as 97,400."""
    text = str(value)
    found = [text]
    if isinstance(value, float):
        found.append(f"{value:g}")
    if isinstance(value, int | float):
        found.append(f"{value:,}".removesuffix(".0"))
    elif _MOMENT.fullmatch(text):
        found += [text[:16], text[:16].replace("T", " "), text[11:16]]
    elif _DATE.fullmatch(text):
        day = datetime.fromisoformat(text)
        found += [f"{day.day} {day:%B}", f"{day:%B} {day.day}"]
    elif "_" in text:
        found.append(words(text))
    return tuple(dict.fromkeys(found))
