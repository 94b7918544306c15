"""Reading an agent's message: which facts does it ask for, does it propose something to confirm?

Lexical and deterministic: a fact is meant when all content words of its label, of one alias, or of its
own question stand in a sentence that asks. Spelling slips pass (rapidfuzz). Ids only come out of here;
what is released is decided by the user's rule, not by this reading.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from rapidfuzz import fuzz

from mocktrial.envs.task import Fact
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold

_LEXICON = Path(__file__).parent / "lexicon"
_SENTENCE = re.compile(r"[^.?!;\n]+[.?!;\n]?")
_WORD = re.compile(r"[\w'-]+")
_SLIP = 86  # rapidfuzz ratio from which two words are one word spelled twice


class Reading(Frozen):
    """What a message asks. `facts` are ids in the order of the task."""

    facts: tuple[str, ...] = ()
    asks: bool = False  # it asks for something at all
    proposes: bool = False  # it asks for a yes
    everything: bool = False  # it asks for all there is


@lru_cache
def _lexicon(name: str) -> tuple[str, ...]:
    lines = (_LEXICON / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


@lru_cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(_lexicon(name)) + r")\b")


def interpret(message: str, facts: Sequence[Fact]) -> Reading:
    """Read `message` against the facts that the user knows."""
    sentences = [fold(sentence) for sentence in _SENTENCE.findall(message)]
    asking = [s for s in sentences if s.endswith("?") or _pattern("asks").search(s)]
    proposes = any(_pattern("proposes").search(sentence) for sentence in asking)
    everything = any(_pattern("everything").search(sentence) for sentence in asking)
    meant = {} if everything else _meant(asking, facts)
    return Reading(
        facts=tuple(fact.id for fact in facts if fact.id in meant),
        asks=bool(asking),
        proposes=proposes,
        everything=everything,
    )


def _meant(sentences: Sequence[str], facts: Sequence[Fact]) -> dict[str, int]:
    """Facts that the sentences ask for, with the number of content words that matched."""
    meant: dict[str, int] = {}
    for sentence in sentences:
        scores = {fact.id: _score(sentence, fact) for fact in facts}
        # "the day of the delivery" must not also mean "the day": the fullest match wins within a sentence,
        # unless the shorter one is asked for by words of its own.
        for fact in facts:
            words = scores[fact.id]
            if words and not any(words < other for other in scores.values() if other & words == words):
                meant[fact.id] = len(words)
    return meant


def _score(sentence: str, fact: Fact) -> frozenset[str]:
    """The content words of the fact's longest phrase that stands in the sentence whole."""
    present = _WORD.findall(sentence)
    best: frozenset[str] = frozenset()
    for phrase in (fact.label, fact.question, *fact.aliases):
        words = content_words(phrase)
        if words and len(words) > len(best) and all(_stands(word, present) for word in words):
            best = words
    return best


def _stands(word: str, present: Sequence[str]) -> bool:
    if len(word) < 4:
        return word in present or f"{word}s" in present
    return any(fuzz.ratio(word, other) >= _SLIP for other in present)


@lru_cache(maxsize=4096)
def content_words(phrase: str) -> frozenset[str]:
    """The words of a phrase that carry meaning; all of them when none does."""
    words = _WORD.findall(fold(phrase))
    return frozenset(word for word in words if word not in _lexicon("stop")) or frozenset(words)
