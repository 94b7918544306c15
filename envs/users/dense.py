"""Sentence similarity for readers of questions, from the model of `mocktools.minilm`, where that is installed.

`load_similarity` gives None where it is not: readers then work without it. Same text, same vector.
"""

from __future__ import annotations

from collections.abc import Sequence

from mocktrial.mocktools.minilm import Encoder, load_encoder


class MiniLM:
    """Implements `reading.match.Similarity`: cosines between texts."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def scores(self, clauses: Sequence[str], facts: Sequence[str]) -> list[list[float]]:
        """(clauses, facts) cosines, each from -1 to 1."""
        known = [self._encoder.vector(fact) for fact in facts]
        return [[round(float(self._encoder.vector(clause) @ fact), 5) for fact in known] for clause in clauses]


def load_similarity() -> MiniLM | None:
    """The model, or None where it is not installed. Loaded once (0.1 s, 90 MB)."""
    encoder = load_encoder()
    return MiniLM(encoder) if encoder else None
