"""Features from how near a question is to each fact in meaning (`vectors`, and a sentence model where there is one).

A source gives a number for each fact, and one for "none of them" (`none`); what counts is how a fact stands among
the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_SPREAD = 5.0  # logits in one unit of a feature


@dataclass(frozen=True, slots=True)
class Source:
    """Nearness by one model: of the segment alone, and with the words around it; in logits."""

    name: str
    alone: Sequence[float]
    around: Sequence[float]
    none: float  # what a question that asks for no fact comes to


def likeness(source: Source, own: int, lexical: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Features of the fact in place `own`, beside those from words."""
    unsaid = float(lexical["evidence"] < 0.3)
    near = dict(_standing(source.alone, own, source.none))
    for key, value in near.items():
        yield f"{source.name}_{key}", value
    for key in ("near", "lead", "share"):
        yield f"{source.name}_{key}_unsaid", near[key] * unsaid
    for key in ("near", "share"):
        yield f"{source.name}_{key}_yesno", near[key] * lexical["yesno"]
        yield f"{source.name}_{key}_unasked", near[key] * (lexical["offer"] + lexical["stated"])
    yield f"{source.name}_share_kind_fails", near["share"] * lexical["kind_fails"]
    yield f"{source.name}_share_kind_fits", near["share"] * float(lexical["kind_fits"] > 0)
    for key, value in _standing(source.around, own, source.none):
        yield f"{source.name}_around_{key}", value


def _standing(scores: Sequence[float], own: int, none: float) -> Iterator[tuple[str, float]]:
    score = scores[own]
    others = [other for place, other in enumerate(scores) if place != own]
    best = max(others, default=none - 2.0)
    facts = sum(math.exp(other - score) for other in others)
    yield "near", (score - none) / _SPREAD
    yield "lead", max(-1.5, min(1.5, (score - best) / _SPREAD))
    yield "share", 1.0 / (1.0 + facts + math.exp(min(60.0, none - score)))
    yield "likeliest", 1.0 / (1.0 + facts)
    yield "first", float(score >= best)
