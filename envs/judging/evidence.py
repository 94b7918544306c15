"""Whether a judge's quote is evidence: it must stand in the transcript, where the criterion says, and be no claim.

    short     fewer than four characters, which stand anywhere
    missing   in no part of the transcript
    source    only in parts whose source the criterion does not accept
    failed    only in calls that failed, or in what they gave
    argument  of a call, but not from the tool's name on: words that the agent passed are its words, not its act
    own       in a result, but the agent had written the same before: an echo
    grading   speaks of grading, which nothing in a world does, unless the question itself does (`grading.txt`)
    names     holds none of the words that the criterion demands of a quote

Quotes and parts are compared casefolded, as NFKC, white space collapsed, quotation marks and backslashes left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from mocktrial.envs.judging.transcript import Part, neutral
from mocktrial.envs.rubric import JudgeCriterion, Source
from mocktrial.envs.users.base import says

Flaw = Literal["short", "missing", "source", "failed", "argument", "own", "grading", "names"]
_FEWEST = 4
_MARKS = re.compile(r"[\"'`\\“”„‘’«»]")
_WORD = re.compile(r"\w+")


def flaw_of(quote: str, parts: Sequence[Part], criterion: JudgeCriterion) -> Flaw | None:
    """What is wrong with a quote, `names` last; None where it stands."""
    wanted = _plain(quote)
    if len(wanted) < _FEWEST:
        return "short"
    if _grading_words(wanted) - _grading_words(_plain(criterion.question)):
        return "grading"
    holding = [part for part in parts if wanted in _plain(part.text)]
    if not holding:
        return "missing"
    flaws = [_flaw_in(part, wanted, parts, criterion.sources) for part in holding]
    if None not in flaws:
        return next((flaw for flaw in flaws if flaw != "source"), "source")
    named = not criterion.names or any(says(wanted, _plain(name)) for name in criterion.names)
    return None if named else "names"


def _flaw_in(part: Part, wanted: str, parts: Sequence[Part], sources: Sequence[Source]) -> Flaw | None:
    if part.source not in sources:
        return "source"
    if not part.ok:
        return "failed"
    if part.source == "call" and not wanted.startswith(_plain(f"{part.name}(")):
        return "argument"
    if part.source == "result" and any(wanted in _plain(other.text) for other in parts if _precedes(other, part)):
        return "own"
    return None


def _precedes(other: Part, part: Part) -> bool:
    return other.number < part.number and other.source in ("say", "call")


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub("", neutral(text)).casefold().split())


def _grading_words(plain: str) -> frozenset[str]:
    return grading_words().intersection(_WORD.findall(plain))


@cache
def grading_words() -> frozenset[str]:
    return frozenset((Path(__file__).parent / "grading.txt").read_text(encoding="utf-8").split())
