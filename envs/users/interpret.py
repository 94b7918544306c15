"""Reading an agent's message: which facts does it ask for, does it propose something to confirm?

Clauses that ask (`reading.acts`) are compared with each fact (`reading.match`); a weighted sum of the
evidence decides (`reading.weights`). Deterministic; with a sentence model (`dense.load_similarity`) it
understands more wordings. Ids only come out of here; what is released is decided by the user's rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from mocktrial.envs.task import Fact
from mocktrial.envs.users.reading.acts import Parsed, parse
from mocktrial.envs.users.reading.lexicon import pattern
from mocktrial.envs.users.reading.match import compare
from mocktrial.envs.users.reading.profile import Profile, profile
from mocktrial.envs.users.reading.segments import Segment, segments
from mocktrial.envs.users.reading.weights import chosen, clear, load_weights
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold

_SENTENCE = re.compile(r"(?<=[.?!])\s+")


class Reading(Frozen):
    """What a message asks. `facts` are ids in the order of the task."""

    facts: tuple[str, ...] = ()
    asks: bool = False  # it asks for something at all
    proposes: bool = False  # it asks for a yes
    checks: bool = False  # the yes is to whether something is so, not to an act of the agent's
    everything: bool = False  # it asks for all there is


class Similarity(Protocol):
    """How near texts are in meaning, by a sentence model."""

    def scores(self, clauses: Sequence[str], facts: Sequence[str]) -> list[list[float]]:
        """(clauses, facts) cosines, each from -1 to 1."""


def interpret(message: str, facts: Sequence[Fact], similarity: Similarity | None = None) -> Reading:
    """Read `message` against the facts that the user knows. Same arguments, same reading."""
    own, rest = _literal(message, facts)
    if own and not rest:
        return Reading(facts=own, asks=True)
    parsed = parse(rest)
    places = _meant(parsed, facts, similarity)
    meant = tuple(fact.id for place, fact in enumerate(facts) if place in places or fact.id in own)
    return Reading(
        facts=meant,
        asks=parsed.asks or bool(own),
        proposes=parsed.proposes,
        checks=parsed.checks,
        everything=parsed.everything and not meant,
    )


def _literal(message: str, facts: Sequence[Fact]) -> tuple[tuple[str, ...], str]:
    """The facts whose own questions stand in the message, and the message without them."""
    asked = _sentences(message)
    own = {fact.id: _sentences(fact.question) for fact in facts if fact.question}
    found = {name: question for name, question in own.items() if set(question) <= set(asked)}
    if not found:
        return (), message
    known = {sentence for question in found.values() for sentence in question}
    return tuple(found), " ".join(sentence for sentence in asked if sentence not in known)


@lru_cache(maxsize=4096)
def _sentences(text: str) -> tuple[str, ...]:
    return tuple(fold(sentence) for sentence in _SENTENCE.split(text.strip()))


def _meant(parsed: Parsed, facts: Sequence[Fact], similarity: Similarity | None) -> set[int]:
    profiles = [_profile(fact) for fact in facts]
    lexical = load_weights("lexical")
    meant: set[int] = set()
    for clause in parsed.clauses if facts else ():
        for segment in segments(clause):
            if _pries(segment, facts):
                continue
            evidence = compare(segment, profiles, None)
            if similarity and not clear(evidence, lexical):
                evidence = compare(segment, profiles, _similar(segment, facts, similarity))
                meant.update(chosen(segment, evidence, profiles, load_weights("dense")))
            else:
                meant.update(chosen(segment, evidence, profiles, lexical))
    return meant


def _pries(segment: Segment, facts: Sequence[Fact]) -> bool:
    """Whether it is about what stands behind the conversation, and no fact's label is."""
    prying = pattern("prying")
    return bool(prying.search(segment.text)) and not any(prying.search(fold(fact.label)) for fact in facts)


def _profile(fact: Fact) -> Profile:
    return profile(fact.id, fact.label, fact.description, _said(fact), (fact.question, *fact.aliases))


def _said(fact: Fact) -> str:
    if isinstance(fact.value, bool):
        return "yes" if fact.value else "no"
    return fact.spoken or str(fact.value)


def _similar(segment: Segment, facts: Sequence[Fact], similarity: Similarity) -> list[float]:
    """Mean cosine of the segment and several ways to put each fact."""
    renderings = [text for fact in facts for text in _rendered(fact)]
    row = similarity.scores([f"{segment.text}?"], renderings)[0]
    each = len(renderings) // len(facts)
    return [sum(row[start : start + each]) / each for start in range(0, len(row), each)]


def _rendered(fact: Fact) -> tuple[str, ...]:
    label, about, value = fact.label, fact.description, _said(fact)
    return (label, f"{label}: {about}", f"{label} ({about}): {value}", f"{value} is the {label}")
