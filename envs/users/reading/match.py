"""Evidence that a clause asks for a fact: words they share, the kind of answer, and what other facts could explain.

Features only; `choose` weighs them. A word that several facts share tells them apart less.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.kinds import fits, never, noun_kinds
from mocktrial.envs.users.reading.profile import Profile
from mocktrial.envs.users.reading.segments import Segment
from mocktrial.envs.users.reading.words import Word, near, stem, weight, words

FEATURES = (
    "bias",
    "evidence",
    "some",
    "strongest",
    "explained",
    "unexplained",
    "covered",
    "whole",
    "kind_fits",
    "kind_only",
    "kind_fails",
    "clash",
    "yesno_closed",
    "other_word",
    "yesno_unexplained",
    "bare_kind",
    "focus",
    "focus_fails",
    "margin",
    "behind",
    "alone",
    "alone_foreign",
    "alone_single",
    "alone_narrow",
    "alone_wished",
    "past",
    "context",
    "request",
    "yesno",
    "yesno_fits",
    "yesno_covered",
    "yesno_else",
    "fragment",
    "choice",
    "choice_value",
    "value_said",
    "similarity",
    "similarity_margin",
    "likeliest",
    "similarity_yesno",
    "similarity_unsaid",
    "margin_unsaid",
)
_FOREIGN, _OF_FEW = FEATURES.index("alone_foreign"), FEATURES.index("alone_narrow")
_SHARPNESS = 15.0
_NARROW = frozenset(("time", "email", "phone", "money", "code"))  # kinds that few facts are of
_PAST = re.compile(r"\b(?:did|was|were|had|used to)\b")
_WISHED = re.compile(
    r"\b(?:shall|should|will|would|may|can|could|want|need|like|wish|prefer|going to|looking|planning"
    r"|(?:are|is) \w+ \w+ing)\b"
)
_VERBS = re.compile(
    r"(?:\b(?:you|we|i|they|he|she|it|us|me|to|be|who|shall|should|will|would|can|could|may|must)"
    r"(?: (?:be|still|also|not))?) (\w+)"
)
_KEPT = 0.3  # nearness below which words have nothing to do with one another


@dataclass(frozen=True, slots=True)
class Evidence:
    """Features of a segment for one fact, and the places of the segment's words that speak for it."""

    features: tuple[float, ...]
    places: frozenset[int]
    barred: bool = False  # its value cannot answer, or only its kind speaks for it and a word against it


def compare(segment: Segment, facts: Sequence[Profile], similarity: Sequence[float] | None) -> list[Evidence]:
    """Evidence of a segment for each fact, in order."""
    matched = [[_nearness(word, fact) for word in segment.words] for fact in facts]
    around = [sum(_nearness(word, fact) * word.weight for word in segment.context) for fact in facts]
    telling = [_telling([row[place] for row in matched]) for place in range(len(segment.words))]
    kinds = [fits(segment.wants, fact.kinds, fact.named_kinds, fact.value) for fact in facts]
    strength = [
        sum(w.weight * row[i] * telling[i] for i, w in enumerate(segment.words)) + 0.5 * max(fit, 0)
        for row, fit in zip(matched, kinds, strict=True)
    ]
    fitting = sum(fit > 0 for fit in kinds)
    likely = similarity or [0.0] * len(facts)
    found = []
    for i, fact in enumerate(facts):
        features = _features(segment, fact, matched[i], telling, kinds[i], fitting, strength, i, around, likely)
        places = [
            place for place, value in enumerate(matched[i]) if value >= 0.5 and segment.words[place].weight >= 0.3
        ]
        barred = never(segment.wants, fact.spelled, fact.named_kinds, any(value >= 0.5 for value in matched[i])) or (
            not similarity and _foreign(features)
        )
        found.append(Evidence(features, frozenset(places), barred))
    return found


def _foreign(features: tuple[float, ...]) -> bool:
    """Whether only the kind of answer speaks for a fact, and a word stands in the question that is nobody's."""
    return features[_FOREIGN] >= 0.9 and not features[_OF_FEW]


def _nearness(word: Word, fact: Profile) -> float:
    best = max((counts * near(word.stem, other) for other, counts in fact.field), default=0.0)
    return best if best >= _KEPT else 0.0


def _telling(row: list[float]) -> float:
    """How well a word tells the facts apart, from its nearness to each: 1 when it speaks for one of them only."""
    top = max(row, default=0.0)
    if top == 0.0 or len(row) == 1:
        return 1.0
    shared = sum(value / top for value in row if value >= 0.6 * top)
    return 1.0 - 0.8 * math.log(shared) / math.log(len(row)) if shared > 1 else 1.0


def _features(
    segment: Segment,
    fact: Profile,
    matched: list[float],
    telling: list[float],
    fit: float,
    fitting: int,
    strength: list[float],
    own: int,
    around: list[float],
    likely: Sequence[float],
) -> tuple[float, ...]:
    mode = segment.clause.mode
    total = sum(word.weight for word in segment.words)
    said = sum(word.weight * value for word, value in zip(segment.words, matched, strict=True))
    told = sum(word.weight * value * rare for word, value, rare in zip(segment.words, matched, telling, strict=True))
    own_told = told - sum(
        word.weight * value * rare
        for word, value, rare in zip(segment.words, matched, telling, strict=True)
        if word.stem in _generic() or word.stem.startswith("how_")
    )
    covered = _covered(segment, fact)
    best_other = max((value for i, value in enumerate(strength) if i != own), default=0.0)
    other_around = max((value for i, value in enumerate(around) if i != own), default=0.0)
    focus = _focus(segment, fact)
    yesno = "yesno" in fact.kinds
    value_said = bool(fact.value) and re.search(rf"(?<!\w){re.escape(fact.value)}(?!\w)", segment.text) is not None
    unexplained = total - said
    values = {
        "bias": 1.0,
        "evidence": min(told, 2.0),
        "some": float(told > 0.3),
        "strongest": max(
            (v * min(1.0, w.weight * 2) for w, v in zip(segment.words, matched, strict=True)), default=0.0
        ),
        "explained": said / total if total else 0.0,
        "unexplained": min(unexplained, 3.0),
        "covered": covered,
        "whole": float(covered > 0.85 and told > 0.2),
        "kind_fits": max(fit, 0.0),
        "kind_only": fit / fitting if fit > 0 else 0.0,
        "kind_fails": float(fit < 0),
        "clash": float(_clashes(segment, fact)),
        "yesno_closed": float(mode == "yesno" and not yesno and _EXISTS.match(segment.text) is None),
        "other_word": float(_other_word(segment, fact)),
        "yesno_unexplained": float(mode == "yesno") * min(unexplained, 2.0),
        "bare_kind": fit / fitting if fit > 0 and unexplained < 0.5 else 0.0,
        "focus": max(focus, 0.0),
        "focus_fails": float(focus < 0),
        "margin": max(-1.0, min(1.5, strength[own] - best_other)),
        "behind": float(strength[own] < best_other - 0.05),
        "past": float(_PAST.search(segment.text) is not None),
        **_alone(segment, fit, fitting, own_told, _strange(segment, matched)),
        "context": max(-1.0, min(1.0, around[own] - other_around)),
        "request": float(mode == "request"),
        "yesno": float(mode == "yesno"),
        "yesno_fits": float(mode == "yesno" and yesno),
        "yesno_covered": float(mode == "yesno") * covered,
        "yesno_else": float(mode == "yesno" and not yesno) * said,
        "fragment": float(mode == "fragment"),
        "choice": float(mode == "choice"),
        "choice_value": float(mode == "choice" and (value_said or _option(segment, fact))),
        "value_said": float(mode in ("yesno", "fragment") and value_said and not yesno),
        **_alike(likely, own, told, mode),
    }
    return tuple(values[name] for name in FEATURES)


def _strange(segment: Segment, matched: list[float]) -> float:
    """Weight of the words that a fact does not explain, without idioms; of what is not past, without verbs too."""
    verbs = set() if _PAST.search(segment.text) else {stem(found) for found in _VERBS.findall(segment.text)} | _doing()
    return sum(
        word.weight * (1 - value)
        for word, value in zip(segment.words, matched, strict=True)
        if "_" not in word.stem and word.stem not in verbs
    )


@lru_cache(maxsize=1)
def _doing() -> frozenset[str]:
    return frozenset(stem(word) for line in lexicon.lines("doing") for word in line.split())


def _alone(segment: Segment, fit: float, fitting: int, told: float, strange: float) -> dict[str, float]:
    """What the kind says where no word speaks for the fact: words that nothing explains speak against it."""
    alone = fit > 0 and told < 0.3
    return {
        "alone": float(alone),
        "alone_foreign": alone * min(strange, 2.0),
        "alone_single": float(alone and fitting == 1),
        "alone_narrow": float(alone and bool(segment.wants & _NARROW)),
        "alone_wished": float(alone and _WISHED.search(segment.text) is not None),
    }


def _alike(likely: Sequence[float], own: int, told: float, mode: str) -> dict[str, float]:
    """What the similarities say; they say more where hardly a word was shared."""
    other = max((value for i, value in enumerate(likely) if i != own), default=0.0)
    margin = max(-0.4, min(0.4, likely[own] - other))
    unsaid = told < 0.3
    return {
        "similarity": likely[own],
        "similarity_margin": margin,
        "likeliest": _share(likely, own),
        "similarity_yesno": likely[own] * (mode == "yesno"),
        "similarity_unsaid": likely[own] * unsaid,
        "margin_unsaid": margin * unsaid,
    }


def _share(likely: Sequence[float], own: int) -> float:
    """The softmax of the similarities at temperature 1/15; 0 without similarities."""
    if not any(likely):
        return 0.0
    return 1.0 / sum(math.exp(_SHARPNESS * (value - likely[own])) for value in likely)


def _covered(segment: Segment, fact: Profile) -> float:
    """The share of the label's words that the segment says, a kind that it wants counting as said."""
    total = got = 0.0
    for word in fact.label:
        best = max((near(word.stem, other.stem) for other in segment.words), default=0.0)
        if best < 0.9 and segment.wants & set(noun_kinds(word.stem)):
            best = 0.9
        matters = max(word.weight, 0.3) * (0.5 if word.stem in fact.tail else 1.0)
        total += matters
        got += matters * (best if best >= _KEPT else 0.0)
    return got / total if total else 0.0


def _focus(segment: Segment, fact: Profile) -> float:
    """1 when the noun asked about is the fact's, -1 when it is something else, 0 when there is none."""
    if not segment.focus or weight(segment.focus) < 0.3:
        return 0.0
    best = near(segment.focus, fact.head)
    if best < 0.6:
        best = max((counts * near(segment.focus, other) for other, counts in fact.field), default=0.0) * 0.9
    if best >= 0.5:
        return best
    if segment.focus in _generic() and set(noun_kinds(segment.focus)) & fact.kinds:
        return 0.3
    return -1.0


@lru_cache(maxsize=1)
def _generic() -> frozenset[str]:
    return frozenset(stem(word) for word in lexicon.lines("generic"))


def _clashes(segment: Segment, fact: Profile) -> bool:
    """Whether a noun that many labels share is qualified otherwise: licence number, flight number."""
    if segment.focus not in _generic():
        return False
    place = next((i for i, word in enumerate(segment.words) if word.stem == segment.focus), None)
    own = [word for word in fact.label if word.stem not in _generic() and word.weight >= 0.3]
    theirs = [word for word in segment.words if word.stem not in _generic() and word.weight >= 0.5]
    if place is None or not own or not theirs:
        return False
    telling = [other for other, _ in fact.field if other not in _generic()]
    return not any(near(word.stem, other) >= 0.5 for word in theirs for other in telling)


_AUXILIARY = r"(?:do|does|did|have|has|are|is|was|will)(?: not)?"
_HAVING = r"(?: got| have| know| remember| happen to have| be| need| want)?"
_EXISTS = re.compile(
    rf"{_AUXILIARY} (?:you|there|he|she|it|they|anyone|anybody){_HAVING} ?(?:a|an|any|the|your|some|got)\b"
    r"|have you (?:chosen|decided|thought)|do you (?:have|know|need|want|prefer)\b|would you (?:like|prefer)\b"
)
_BARE = re.compile(
    r"\b(?:what|how) (?:is|are|was|were|do|does|did|can|could|will|would|should|shall|have|has|had|may|must)\b"
)


def _other_word(segment: Segment, fact: Profile) -> bool:
    """Whether a bare "what" or "how" asks for a fact that would take "when", "where", "who" or "how often"."""
    own = {"date", "time", "place", "person", "duration", "frequency", "count"}
    if segment.wants or segment.focus or not own & fact.named_kinds:
        return False
    return _BARE.search(segment.text) is not None


def _option(segment: Segment, fact: Profile) -> bool:
    """Whether a choice offers something of the value's words."""
    own = {word.stem for word in words(fact.value) if word.weight > 0}
    return any(word.stem in own for word in words(segment.text))
