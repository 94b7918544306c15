"""Word lists of decision rule and guard, files under `lexicon/`: a regular expression a line, or plain words."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from mocktrial.mocktools.values import fold

_TOKEN = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_LEXICON = Path(__file__).parent / "lexicon"
_TITLES = "|".join(rf"(?<=\b{title})\." for title in ("dr", "mr", "ms", "mrs"))
_SENTENCE = re.compile(rf"(?:[^.?!;\n]|\.(?=\w)|{_TITLES})+[.?!;\n]*", re.IGNORECASE)  # "Dr. Lee" and 5.50 end none


@lru_cache
def pattern(name: str) -> re.Pattern[str]:
    """Any of the lines of `lexicon/NAME.txt`, not within a word, in folded text."""
    lines = (_LEXICON / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#")]
    return re.compile(r"(?:(?<!\w)|(?!\w))(?:" + "|".join(kept) + r")(?:(?<!\w)|(?!\w))")


@lru_cache
def vocabulary(name: str) -> frozenset[str]:
    """The single words of `lexicon/NAME.txt`."""
    lines = (_LEXICON / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def tokens(text: str) -> list[str]:
    """The words and numbers of a text, folded."""
    return _TOKEN.findall(fold(text).replace("\u2019", "'"))


def sentences(text: str) -> list[str]:
    """The sentences of a text, folded, each with its mark."""
    return [folded for found in _SENTENCE.findall(text) if (folded := fold(found))]
