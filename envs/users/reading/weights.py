"""Which facts a message asks for, by the weights in `weights.toml` (how they were found is said there).

A logistic sum of a segment's features gives each fact a probability. The likeliest fact above the threshold
is meant; another only by words of its own, or when a plural ("both dates") means several of a kind.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mocktrial.envs.users.reading.lexicon import grammar
from mocktrial.envs.users.reading.match import Evidence
from mocktrial.envs.users.reading.profile import Profile
from mocktrial.envs.users.reading.segments import Segment

_SURE, _NOT = 0.93, 0.03
_OFFERED, _BESIDE = 3, 0.1  # candidates of one question, and the share of the best one's probability they must have


@dataclass(frozen=True, slots=True)
class Weights:
    threshold: float  # probability from which a fact is asked for
    plural: float  # the same, of others of the kind after a plural
    sure: float  # from which it need not be asked back
    maybe: float  # from which it is asked back
    weights: Mapping[str, float]  # by feature; one that is not here counts nothing


@lru_cache
def load_weights(name: Literal["lexical", "dense"]) -> Weights:
    read = tomllib.loads((Path(__file__).parent / "weights.toml").read_text(encoding="utf-8"))[name]
    return Weights(read["threshold"], read["plural"], read["sure"], read["maybe"], read["weights"])


def probabilities(evidence: Sequence[Evidence], weights: Weights) -> list[float]:
    return [_probability(found.features, weights.weights) for found in evidence]


def chosen(segment: Segment, evidence: Sequence[Evidence], facts: Sequence[Profile], weights: Weights) -> Iterable[int]:
    """Places of the facts that a segment asks for, the likeliest first."""
    likely = probabilities(evidence, weights)
    order = sorted(range(len(facts)), key=lambda place: -likely[place])
    several = grammar("several").search(segment.text) is not None
    used: frozenset[int] = frozenset()
    first = None
    for place in order:
        own = bool(evidence[place].places - used)
        if first is None:
            if likely[place] < weights.threshold:
                return
            first = place
        elif several and facts[place].kinds & facts[first].kinds:
            if likely[place] < weights.plural:
                continue
        elif likely[place] < weights.threshold or not own:
            continue
        used |= evidence[place].places
        yield place


def candidates(likely: Sequence[float], weights: Weights) -> list[int]:
    """Places of the facts that a question may be for, where none is beyond doubt; the likeliest first."""
    order = sorted(range(len(likely)), key=lambda place: -likely[place])
    best = likely[order[0]] if order else 0.0
    if best >= weights.sure:
        return []
    return [place for place in order[:_OFFERED] if likely[place] >= max(weights.maybe, best * _BESIDE)]


def clear(evidence: Sequence[Evidence], weights: Weights, asks: bool = True) -> bool:
    """Whether words alone say which one fact is asked for; or that none is, where the clause `asks` not by its form."""
    first, second = sorted((0.0, 0.0, *probabilities(evidence, weights)), reverse=True)[:2]
    if not asks and first <= _NOT:
        return True
    return first >= _SURE and second <= 1 - _SURE


def _probability(features: Mapping[str, float], weights: Mapping[str, float]) -> float:
    total = sum(weight * features.get(name, 0.0) for name, weight in weights.items())
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))
