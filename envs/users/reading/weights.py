"""Which facts a message asks for, by the weights in `weights.toml` (how they were found is said there).

A logistic sum of a segment's features gives each fact a probability. The likeliest fact above the threshold
is meant; another only by words of its own, or when a plural ("both dates") means several of a kind.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mocktrial.envs.users.reading.match import FEATURES, Evidence
from mocktrial.envs.users.reading.profile import Profile
from mocktrial.envs.users.reading.segments import Segment

_SURE = 0.93
_PLURAL = re.compile(r"\b(?:both|dates|names|addresses|numbers|times|days|places)\b")


@dataclass(frozen=True, slots=True)
class Weights:
    threshold: float  # probability from which a fact is asked for
    plural: float  # the same, of others of the kind after a plural
    values: tuple[float, ...]  # in the order of FEATURES; 0 where a feature is not used


@lru_cache
def load_weights(name: Literal["lexical", "dense"]) -> Weights:
    read = tomllib.loads((Path(__file__).parent / "weights.toml").read_text(encoding="utf-8"))[name]
    return Weights(read["threshold"], read["plural"], tuple(read["weights"].get(feature, 0.0) for feature in FEATURES))


def chosen(segment: Segment, evidence: Sequence[Evidence], facts: Sequence[Profile], weights: Weights) -> Iterable[int]:
    """Places of the facts that a segment asks for, the likeliest first."""
    likely = [_probability(found, weights) for found in evidence]
    order = sorted(range(len(facts)), key=lambda place: -likely[place])
    several = _PLURAL.search(segment.text) is not None
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


def clear(evidence: Sequence[Evidence], weights: Weights) -> bool:
    """Whether words alone say that one fact is asked for, and which."""
    first, second = sorted((0.0, 0.0, *(_probability(found, weights) for found in evidence)), reverse=True)[:2]
    return first >= _SURE and second <= 1 - _SURE


def _probability(evidence: Evidence, weights: Weights) -> float:
    if evidence.barred:
        return 0.0
    total = sum(weight * value for weight, value in zip(weights.values, evidence.features, strict=True))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, total))))
