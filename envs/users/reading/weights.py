"""Which facts a message asks for, by the weights in `weights.toml` (how they were found is said there).

A logistic sum of a segment's features gives each fact a logit; of the message's segments the likeliest counts. Beside
what a joint reader says of the whole message, and how the fact stands among the others by both, that gives a
probability.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from mocktrial.envs.users.reading.match import Evidence

_NOTHING = -6.0  # a fact's logit where no segment says anything
_WORDS, _JOINT = 6.0, 10.0  # logits beyond which they say no more
_OFFERED, _BESIDE = 3, 0.1  # candidates of one question, and the share of the best one's probability they must have
Table: TypeAlias = Literal["lexical", "dense"]  # weights beside what a joint reader says
Logits: TypeAlias = Sequence[Sequence[float]]  # of a joint reader, by fact: of the whole message, then of each piece


@dataclass(frozen=True, slots=True)
class Weights:
    weights: Mapping[str, float]  # by feature; one that is not here counts nothing
    threshold: float = 0.5  # probability from which a fact is asked for
    sure: float = 0.9  # from which it need not be asked back
    maybe: float = 0.1  # from which it is asked back


@lru_cache
def load_weights(name: Table | Literal["words"]) -> Weights:
    read = tomllib.loads((Path(__file__).parent / "weights.toml").read_text(encoding="utf-8"))[name]
    return Weights(**read)


def by_words(segments: Sequence[Sequence[Evidence]], facts: int, weights: Weights) -> list[float]:
    """A logit a fact, from the evidence of each segment for each fact."""
    rows = [[_sum(evidence, weights) for evidence in row] for row in segments]
    return [max((row[place] for row in rows), default=_NOTHING) for place in range(facts)]


def probabilities(words: Sequence[float], joint: Logits, weights: Weights) -> list[float]:
    """Of each fact, that it is asked for; from logits by words and by a joint reader."""
    return [_probability(features, weights) for features in beside(words, joint)]


def beside(words: Sequence[float], joint: Logits) -> Iterator[dict[str, float]]:
    """Features of each fact: what both say of it, and of it beside the others.

    piece: by how much it stands out in the piece in which it does so most, so that of two things asked for in one
    sentence the plainer does not hide the other.
    """
    said = [max(-_WORDS, min(_WORDS, logit)) for logit in words]
    read, *cut = ([max(-_JOINT, min(_JOINT, logit)) for logit in logits] for logits in joint)
    total = 1.0 + sum(map(math.exp, read))
    for place, (one, other) in enumerate(zip(said, read, strict=True)):
        yield {
            "bias": 1.0,
            "words": one,
            "words_lead": one - _best(said, place),
            "joint": other,
            "joint_lead": other - _best(read, place),
            "joint_share": math.exp(other) / total,
            "piece": max(min(own[place], own[place] - _best(own, place)) for own in cut or [read]),
        }


def candidates(likely: Sequence[float], weights: Weights) -> list[int]:
    """Places of the facts that a question may be for, where none is beyond doubt; the likeliest first."""
    order = sorted(range(len(likely)), key=lambda place: -likely[place])
    best = likely[order[0]] if order else 0.0
    if best >= weights.sure:
        return []
    return [place for place in order[:_OFFERED] if likely[place] >= max(weights.maybe, best * _BESIDE)]


def _best(logits: Sequence[float], but: int) -> float:
    return max((logit for place, logit in enumerate(logits) if place != but), default=-_WORDS)


def _probability(features: Mapping[str, float], weights: Weights) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, _sum(features, weights)))))


def _sum(features: Mapping[str, float], weights: Weights) -> float:
    return sum(weight * features.get(name, 0.0) for name, weight in weights.weights.items())
