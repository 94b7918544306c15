"""Reading an agent's message: which facts does it ask for, does it propose something to confirm?

Clauses that ask (`reading.acts`) are compared with each fact by words (`reading.match`) and by meaning
(`reading.vectors`); a weighted sum of the evidence decides (`reading.weights`). Deterministic; with a sentence model
(`dense.load_similarity`) it understands more wordings. Ids only come out of here; what is released, and what is asked
back, is decided by the user's rule.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from mocktrial.envs.task import Fact
from mocktrial.envs.users.asking import named
from mocktrial.envs.users.reading.acts import Parsed, parse
from mocktrial.envs.users.reading.facts import profile_of, texts_of, vector_of
from mocktrial.envs.users.reading.lexicon import pattern
from mocktrial.envs.users.reading.likeness import Source
from mocktrial.envs.users.reading.match import compare, done_by_others
from mocktrial.envs.users.reading.segments import Segment, around, segments
from mocktrial.envs.users.reading.vectors import load_vectors, nearness
from mocktrial.envs.users.reading.weights import candidates, chosen, clear, load_weights, probabilities
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold

_SENTENCE = re.compile(r"(?<=[.?!])\s+")


class Reading(Frozen):
    """What a message asks. `facts` are ids in the order of the task."""

    facts: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()  # of these and others: what it may ask for, but not clearly
    asks: bool = False  # it asks for something at all
    proposes: bool = False  # it asks for a yes
    checks: bool = False  # the yes is to whether something is so, not to an act of the agent's
    everything: bool = False  # it asks for all there is


class Similarity(Protocol):
    """How near questions are to facts in meaning, by a sentence model. `none`: what asks for no fact comes to."""

    none: float

    def scores(self, questions: Sequence[str], facts: Sequence[tuple[str, ...]]) -> list[list[float]]:
        """(questions, facts) logits; a fact is put in several ways."""


def interpret(message: str, facts: Sequence[Fact], similarity: Similarity | None = None) -> Reading:
    """Read `message` against the facts that the user knows. Same arguments, same reading."""
    own, rest = _literal(message, facts)
    if own and not rest:
        return Reading(facts=own, asks=True)
    parsed = parse(rest)
    found = _meant(parsed, facts, similarity)
    meant = {fact.id for place, fact in enumerate(facts) if place in found.meant or fact.id in own}
    unsure = {fact.id for place, fact in enumerate(facts) if place in found.unsure} - set(own)
    return Reading(
        facts=tuple(fact.id for fact in facts if fact.id in meant),
        unsure=tuple(fact.id for fact in facts if fact.id in unsure),
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


@dataclass
class _Found:
    """Places of facts: those asked for; those asked for beyond doubt; those that a question may be for."""

    meant: set[int] = field(default_factory=set)
    sure: set[int] = field(default_factory=set)
    maybe: set[int] = field(default_factory=set)

    @property
    def unsure(self) -> set[int]:
        return (self.meant | self.maybe) - self.sure


def _meant(parsed: Parsed, facts: Sequence[Fact], similarity: Similarity | None) -> _Found:
    profiles = [profile_of(fact) for fact in facts]
    lexical = load_weights("lexical")
    found = _Found()
    for clause in parsed.clauses if facts else ():
        parts = segments(clause)
        for segment in parts:
            if _pries(segment, facts):
                continue
            by_words = _by_vectors(segment, facts)
            evidence, weights = compare(segment, profiles, [by_words]), lexical
            if similarity and not clear(evidence, lexical, clause.asks):
                sources = [by_words, _by_sentences(segment, facts, similarity)]
                evidence, weights = compare(segment, profiles, sources), load_weights("dense")
            likely = probabilities(evidence, weights)
            places = list(chosen(segment, evidence, profiles, weights))
            found.meant.update(places)
            said = named(segment.text, facts)
            found.sure.update(
                place
                for place in places
                if facts[place].id in said
                or (likely[place] >= weights.sure and not done_by_others(segment, profiles[place]))
            )
            if clause.asks and (len(parts) == 1 or segment is not parts[0]):
                found.maybe.update(candidates(likely, weights))
    return found


def _pries(segment: Segment, facts: Sequence[Fact]) -> bool:
    """Whether it is about what stands behind the conversation, and no fact's label is."""
    prying = pattern("prying")
    return bool(prying.search(segment.text)) and not any(prying.search(fold(fact.label)) for fact in facts)


def _by_vectors(segment: Segment, facts: Sequence[Fact]) -> Source:
    known = [vector_of(fact) for fact in facts]
    return Source("words", nearness(segment.text, known), nearness(around(segment), known), load_vectors().none)


def _by_sentences(segment: Segment, facts: Sequence[Fact], similarity: Similarity) -> Source:
    texts = [texts_of(fact) for fact in facts]
    alone, whole = similarity.scores([f"{segment.text}?", f"{around(segment)}?"], texts)
    return Source("sentences", alone, whole, similarity.none)
