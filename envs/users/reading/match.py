"""Evidence that a clause asks for a fact: words they share, the kind of answer, and what other facts could explain.

Features only; `weights` weighs them. A word that several facts share tells them apart less. What words mean beyond the
lexicon is the joint reader's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.kinds import fits, never
from mocktrial.envs.users.reading.labels import (
    KEPT,
    SAYING,
    SPEAKS,
    clashes,
    covered,
    focus,
    generic,
    other_word,
)
from mocktrial.envs.users.reading.lexicon import grammar
from mocktrial.envs.users.reading.manner import by_mode
from mocktrial.envs.users.reading.profile import Profile
from mocktrial.envs.users.reading.segments import Segment
from mocktrial.envs.users.reading.words import Word, near, stem

_SAME = 0.8  # nearness of two forms of a word
_NARROW = frozenset(("time", "email", "phone", "money", "code"))  # kinds that few facts are of


Evidence: TypeAlias = Mapping[str, float]  # features of a segment for one fact, by name


@dataclass(frozen=True, slots=True)
class _Matched:
    """A segment's words beside all facts: one row or number a fact, in their order."""

    nearness: list[list[float]]  # (facts, words), 0 to 1
    telling: list[float]  # (words,), how well each tells the facts apart
    around: list[float]  # (facts,), what the words around the segment say
    kinds: list[float]  # (facts,), whether the value is what is wanted: 1 to -1
    strength: list[float]  # (facts,)

    @property
    def fitting(self) -> int:
        return sum(fit > 0 for fit in self.kinds)


def compare(segment: Segment, facts: Sequence[Profile]) -> list[Evidence]:
    """Evidence of a segment for each fact, in order."""
    matched = _match(segment, facts)
    return [_features(segment, fact, matched, own) for own, fact in enumerate(facts)]


def done_by_others(segment: Segment, fact: Profile) -> bool:
    """Whether it asks who did something that no word of the fact speaks of; then another may be meant."""
    found = grammar("doer").search(segment.text)
    return found is not None and _nearness(Word(stem(found[1]), 1.0), fact) < _SAME


def _match(segment: Segment, facts: Sequence[Profile]) -> _Matched:
    rows = [[_nearness(word, fact) for word in segment.words] for fact in facts]
    telling = [_telling([row[place] for row in rows]) for place in range(len(segment.words))]
    kinds = [fits(segment.wants, fact.kinds, fact.named_kinds, fact.value) for fact in facts]
    strength = [
        _said(segment, row, telling) + 0.5 * max(fit, 0.0) for row, fit in zip(rows, kinds, strict=True)
    ]  # fmt: skip
    around = [sum(_nearness(word, fact) * word.weight for word in segment.context) for fact in facts]
    return _Matched(rows, telling, around, kinds, strength)


def _said(segment: Segment, row: Sequence[float], telling: Sequence[float]) -> float:
    return sum(word.weight * value * rare for word, value, rare in zip(segment.words, row, telling, strict=True))


def _nearness(word: Word, fact: Profile) -> float:
    best = max((counts * near(word.stem, other) for other, counts in fact.field), default=0.0)
    return best if best >= KEPT else 0.0


def _telling(row: list[float]) -> float:
    """How well a word tells the facts apart, from its nearness to each: 1 when it speaks for one of them only."""
    top = max(row, default=0.0)
    if top == 0.0 or len(row) == 1:
        return 1.0
    shared = sum(value / top for value in row if value >= 0.6 * top)
    return 1.0 - 0.8 * math.log(shared) / math.log(len(row)) if shared > 1 else 1.0


def _features(segment: Segment, fact: Profile, matched: _Matched, own: int) -> dict[str, float]:
    row, fit, fitting = matched.nearness[own], matched.kinds[own], matched.fitting
    total = sum(word.weight for word in segment.words)
    said = sum(word.weight * value for word, value in zip(segment.words, row, strict=True))
    told = _said(segment, row, matched.telling)
    values = {
        "bias": 1.0,
        "evidence": min(told, 2.0),
        "some": float(told > SAYING),
        "strongest": max((v * min(1.0, w.weight * 2) for w, v in zip(segment.words, row, strict=True)), default=0.0),
        "explained": said / total if total else 0.0,
        "unexplained": min(total - said, 3.0),
        "kind_fits": max(fit, 0.0),
        "kind_only": fit / fitting if fit > 0 else 0.0,
        "kind_fails": float(fit < 0),
        "never": float(_never(segment, fact, row)),
        "clash": float(clashes(segment, fact)),
        "other_word": float(other_word(segment, fact)),
        "bare_kind": fit / fitting if fit > 0 and total - said < 0.5 else 0.0,
        "past": float(grammar("past").search(segment.text) is not None),
    }
    values.update(_among(matched, own))
    values.update(_label(segment, fact, told))
    values.update(
        _alone(segment, fit, fitting, _without_generic(segment, row, matched.telling), _strange(segment, row))
    )
    values.update(by_mode(segment, fact, said, total - said, values["covered"]))
    return values


def _never(segment: Segment, fact: Profile, row: Sequence[float]) -> bool:
    return never(segment.wants, fact.spelled, fact.named_kinds, any(value >= SPEAKS for value in row))


def _among(matched: _Matched, own: int) -> dict[str, float]:
    """How the fact stands among the others."""
    best = max((value for place, value in enumerate(matched.strength) if place != own), default=0.0)
    around = max((value for place, value in enumerate(matched.around) if place != own), default=0.0)
    return {
        "margin": max(-1.0, min(1.5, matched.strength[own] - best)),
        "behind": float(matched.strength[own] < best - 0.05),
        "context": max(-1.0, min(1.0, matched.around[own] - around)),
    }


def _label(segment: Segment, fact: Profile, told: float) -> dict[str, float]:
    share, noun = covered(segment, fact), focus(segment, fact)
    return {
        "covered": share,
        "whole": float(share > 0.85 and told > 0.2),
        "focus": max(noun, 0.0),
        "focus_fails": float(noun < 0),
    }


def _without_generic(segment: Segment, row: Sequence[float], telling: Sequence[float]) -> float:
    """What is said of the fact in words that are not of every label."""
    return sum(
        word.weight * value * rare
        for word, value, rare in zip(segment.words, row, telling, strict=True)
        if word.stem not in generic() and not word.stem.startswith("how_")
    )


def _strange(segment: Segment, row: Sequence[float]) -> float:
    """Weight of the words that a fact does not explain, without idioms; of what is not past, without verbs too."""
    past = grammar("past").search(segment.text)
    verbs = set() if past else {stem(found) for found in grammar("acted").findall(segment.text)} | _doing()
    return sum(
        word.weight * (1 - value)
        for word, value in zip(segment.words, row, strict=True)
        if "_" not in word.stem and word.stem not in verbs
    )


@lru_cache(maxsize=1)
def _doing() -> frozenset[str]:
    return frozenset(stem(word) for line in lexicon.lines("doing") for word in line.split())


def _alone(segment: Segment, fit: float, fitting: int, told: float, strange: float) -> Iterator[tuple[str, float]]:
    """What the kind says where no word speaks for the fact: words that nothing explains speak against it."""
    alone = fit > 0 and told < 0.3
    yield "alone", float(alone)
    yield "alone_foreign", alone * min(strange, 2.0)
    yield "alone_single", float(alone and fitting == 1)
    yield "alone_narrow", float(alone and bool(segment.wants & _NARROW))
    yield "alone_wished", float(alone and grammar("wished").search(segment.text) is not None)
