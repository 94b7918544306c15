"""The parts of a clause that ask for one thing each: "name and phone number" are two."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from mocktrial.envs.users.reading.acts import Clause
from mocktrial.envs.users.reading.kinds import noun_kinds, wanted
from mocktrial.envs.users.reading.words import Word, words


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a clause that asks for one thing: content words, with weights, and what kind of answer it wants."""

    clause: Clause
    text: str
    words: tuple[Word, ...]
    context: tuple[Word, ...]
    wants: frozenset[str]
    focus: str
    single: bool = True  # it lists nothing further


_JOINT = re.compile(
    r"\s(?=(?:to|until|till) (?:when|where|which|what)\b)|\s*(?:,\s*(?:and|or|&|plus|as well as)?"
    r"|/|\band\b|&|\bplus\b|\bas well as\b|\balong with\b|\btogether with\b|\bor\b)\s*"
)


_BREAK = re.compile(
    r"(?<=[.?!])\s+|\s*[,;:]\s+(?:(?:and|or|plus)\s+)?|\s+(?:and|or|&|plus|as well as|along with|together with)\s+",
    re.IGNORECASE,
)


def pieces(text: str) -> tuple[str, ...]:
    """The text between commas and conjunctions, where there are several such pieces of two words or more."""
    found = tuple(part for part in _BREAK.split(text) if len(part.split()) > 1)
    return found if len(found) > 1 else ()


@lru_cache(maxsize=4096)
def segments(clause: Clause) -> tuple[Segment, ...]:
    """The clause whole and, where it lists several things, each of them; parts of a statement alone say too little."""
    whole = _segment(clause, clause.text, "")
    if clause.mode in ("choice", "offer", "stated"):
        return (whole,)
    parts = [part for part in _JOINT.split(clause.text) if part.strip()]
    if len(parts) < 2:
        return (whole,)
    first = wanted(parts[0])[0] if len(parts) else frozenset()
    out = []
    for part in parts:
        rest = " ".join(other for other in parts if other != part)
        segment = _segment(clause, part, rest)
        if not segment.wants and not segment.focus and clause.mode == "wh":
            named = [kind for word in segment.words for kind in noun_kinds(word.stem)]
            wants = first if not named else frozenset()
            segment = Segment(clause, part, segment.words, segment.context, wants, "")
        out.append(segment)
    return (replace(whole, single=False), *out)


def around(segment: Segment) -> str:
    """The clause with what stands around it."""
    return f"{segment.clause.text} {segment.clause.context}".strip()


def _segment(clause: Clause, text: str, rest: str) -> Segment:
    content = tuple(word for word in words(text) if word.weight > 0) + _roles(text)
    context = tuple(word for word in words(f"{rest} {clause.context}") if word.weight > 0)
    wants, focus = wanted(text)
    return Segment(clause, text, content, context, wants, focus)


_PLACED = re.compile(
    r"\b(from|to|until|till|into)\b (?=(where|when|which|what))"
    r"|\b(where|when)(?:abouts)?\b.*\b(from|to|until|till|into)$"
)


_FOR_WHOM = re.compile(r"\bwho\b.*\bfor$|\bfor whom?\b")


def _roles(text: str) -> tuple[Word, ...]:
    """from_where, to_where, from_when, to_when: which of two places or times a preposition means."""
    out = [Word("who_for", 1.0)] if _FOR_WHOM.search(text) else []
    for found in _PLACED.finditer(text):
        preposition, asked = (found[1], found[2]) if found[1] else (found[4], found[3])
        side = "from" if preposition == "from" else "to"
        out.append(Word(f"{side}_{'when' if asked == 'when' or preposition in ('until', 'till') else 'where'}", 1.0))
    return tuple(out)
