"""Cosines of a query with the texts of documents, by the sentence model of `mocktools.minilm`.

The vectors of many texts take half a CPU-minute, so they are kept in the user's cache: a folder for these texts and
this model. One that cannot be read is made again; where none can be written, they are made every time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocktrial.mocktools.cache import cache_folder, whole_folder
from mocktrial.mocktools.errors import MissingExtra
from mocktrial.mocktools.minilm import HINT, WHEEL, Encoder, load_encoder
from mocktrial.mocktools.retrieval.documents import Document

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

_FILE = "vectors.npy"
_WORTH = 200  # texts (one or two CPU-seconds): fewer are not kept
FEATURES = ("near_title", "near_about", "near_ask", "near_asks")


class DenseIndex:
    """Vectors of titles, descriptions and asks. Raises `MissingExtra` without the model."""

    def __init__(self, documents: Sequence[Document]) -> None:
        encoder = load_encoder()
        if encoder is None:
            raise MissingExtra("no sentence model", hint=HINT)
        self._encoder = encoder
        groups = [[one.title, one.about or one.title, *(one.asks or (one.about or one.title,))] for one in documents]
        self._vectors = _vectors(encoder, [text for group in groups for text in group])  # (texts, D)
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


def _vectors(encoder: Encoder, texts: Sequence[str]) -> Scores:
    """`encoder.vectors(texts)`, from the cache where they are there."""
    if len(texts) < _WORTH:
        return encoder.vectors(texts)
    key = hashlib.sha256(json.dumps([metadata.version(WHEEL), texts]).encode()).hexdigest()[:24]
    folder = cache_folder() / f"{WHEEL}-{key}"
    kept = _read(folder / _FILE)
    if kept is not None and kept.shape[:1] == (len(texts),):
        return kept
    made = encoder.vectors(texts)
    shutil.rmtree(folder, ignore_errors=True)  # one that cannot be read
    with suppress(OSError), whole_folder(folder) as part:
        np.save(part / _FILE, made)
    return made


def _read(path: Path) -> Scores | None:
    try:
        found: Scores = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError):  # the last: a header that claims too much
        return None
    return found
