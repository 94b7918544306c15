"""Reading an agent's message: which facts does it ask for, does it propose something to confirm?

Parts that may ask (`reading.acts`) are compared with each fact by words (`reading.match`), and the whole message is
read beside all facts by a small transformer that ships (`reading.shipped`) or, where it is given, by another `Reader`
(`dense`). A weighted sum decides (`reading.weights`).
Deterministic. Ids only come out of here; what is released, and what is asked back, is decided by the user's rule.
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
from mocktrial.envs.users.reading.facts import profile_of, put
from mocktrial.envs.users.reading.lexicon import grammar, pattern
from mocktrial.envs.users.reading.match import compare, done_by_others
from mocktrial.envs.users.reading.segments import Segment, pieces, segments
from mocktrial.envs.users.reading.shipped import load_shipped
from mocktrial.envs.users.reading.weights import Table, by_words, candidates, load_weights, probabilities
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


class Reader(Protocol):
    """Reads a message beside all facts. name: its weights' in `reading/weights.toml`."""

    @property
    def name(self) -> Table: ...

    def scores(self, message: str, facts: tuple[str, ...]) -> list[float]:
        """A logit for each fact, put in words, that the message asks for it."""


def interpret(message: str, facts: Sequence[Fact], reader: Reader | None = None) -> Reading:
    """Read `message` against the facts that the user knows. Same arguments, same reading."""
    own, rest = _literal(message, facts)
    if own and not rest:
        return Reading(facts=own, asks=True)
    parsed = parse(rest)
    found = _meant(rest, parsed, facts, reader or load_shipped())
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


def _meant(message: str, parsed: Parsed, facts: Sequence[Fact], reader: Reader) -> _Found:
    """Read the message whole and, where it asks several things, each by itself, whose likeliest fact is meant."""
    text, parts = searched(message, parsed, facts)
    if not parts or not facts:
        return _Found()
    weights = load_weights(reader.name)
    likely = _likely(text, parts, facts, reader)
    single = [part for part in parts if part.clause.asks and part.single]
    each = [_likely(f"{part.text}?", [part], facts, reader) for part in single] if len(single) > 1 else []
    maybe = {place for own in (each or [likely] if single else []) for place in candidates(own, weights)}
    for own in each:
        best = own.index(max(own))
        likely[best] = max(likely[best], own[best])
    said = {place for part in parts for place, fact in enumerate(facts) if fact.id in named(part.text, facts)}
    meant = {place for place, chance in enumerate(likely) if chance >= weights.threshold}
    order = sorted(range(len(facts)), key=lambda place: -likely[place])
    if len(single) == 1 and not grammar("several").search(single[0].text):
        meant &= set(order[:1])
    elif len(single) == 1 and grammar("both").search(single[0].text):  # if one, then the next too
        meant |= {place for place in order[1:2] if meant and likely[place] >= weights.maybe}
    doubted = {place for place in meant for part in parts if done_by_others(part, profile_of(facts[place]))}
    return _Found(meant, {place for place in meant if place in said or likely[place] >= weights.sure} - doubted, maybe)


def _likely(text: str, parts: Sequence[Segment], facts: Sequence[Fact], reader: Reader) -> list[float]:
    """Of each fact, the probability that a text with these parts asks for it."""
    profiles = [profile_of(fact) for fact in facts]
    words = by_words([compare(part, profiles) for part in parts], len(facts), load_weights("words"))
    joint = read_jointly(reader, text, facts)
    return probabilities(words, joint, load_weights(reader.name))


def read_jointly(reader: Reader, text: str, facts: Sequence[Fact]) -> list[list[float]]:
    """The reader's logits by fact: of the whole text, then of each piece of it."""
    known = tuple(put(fact) for fact in facts)
    return [reader.scores(part, known) for part in (text, *pieces(text))]


def searched(message: str, parsed: Parsed, facts: Sequence[Fact]) -> tuple[str, list[Segment]]:
    """What of a message is compared with the facts: its text, and its parts.

    Not what pries or says that something is not needed; nothing of one that asks for a yes only.
    """
    if parsed.proposes and not any(clause.asks for clause in parsed.clauses):
        return "", []
    found = [part for clause in parsed.clauses for part in segments(clause)]
    kept = [part for part in found if not _pries(part, facts) and not _spares(part)]
    if len(kept) < len(found):
        return ". ".join(dict.fromkeys(part.clause.text for part in kept)), kept
    return message, kept


def _spares(segment: Segment) -> bool:
    return segment.clause.mode == "stated" and pattern("needless").search(segment.clause.text) is not None


def _pries(segment: Segment, facts: Sequence[Fact]) -> bool:
    """Whether it is about what stands behind the conversation, and no fact's label is."""
    prying = pattern("prying")
    return bool(prying.search(segment.text)) and not any(prying.search(fold(fact.label)) for fact in facts)
