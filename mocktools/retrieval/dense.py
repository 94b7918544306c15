"""Cosines of a query with the texts of documents, by the sentence model of `mocktools.minilm`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mocktrial.mocktools.errors import MissingExtra
from mocktrial.mocktools.minilm import HINT, load_encoder
from mocktrial.mocktools.retrieval.documents import Document

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

FEATURES = ("near_title", "near_about", "near_ask", "near_asks")


class DenseIndex:
    """Vectors of titles, descriptions and asks. Raises `MissingExtra` without the model."""

    def __init__(self, documents: Sequence[Document]) -> None:
        encoder = load_encoder()
        if encoder is None:
            raise MissingExtra("no sentence model", hint=HINT)
        self._encoder = encoder
        groups = [[one.title, one.about or one.title, *(one.asks or (one.about or one.title,))] for one in documents]
        self._vectors = encoder.vectors([text for group in groups for text in group])  # (texts, D)
        self._titles = np.cumsum([0, *(len(group) for group in groups)])[:-1]
        self._counts = np.array([len(group) - 2 for group in groups], dtype=np.float32)
        bounds = [
            place
            for title, group in zip(self._titles, groups, strict=True)
            for place in (title + 2, title + len(group))
        ]
        self._bounds = np.array(bounds[:-1])  # for reduceat: every second part is a tool's asks

    def scores(self, text: str) -> Scores:
        """(features, tools)"""
        near = self._vectors @ self._encoder.vector(text)
        best = np.maximum.reduceat(near, self._bounds)[::2]
        mean = np.add.reduceat(near, self._bounds)[::2] / self._counts
        return np.stack([near[self._titles], near[self._titles + 1], best, mean]).astype(np.float32)
