"""`Retriever`: features of every tool for a query, their learned sum, and a look at the situation.

The sum's weights stand in `weights.toml`, a section a method, fitted as a softmax over all tools
(benchmarks/fit_retrieval.py): a score is a log-odds, and what the situation adds is one too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

import numpy as np

from mocktrial.mocktools.retrieval.documents import Context, Document, Found
from mocktrial.mocktools.retrieval.lexical import LexicalIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mocktrial.mocktools.retrieval.dense import DenseIndex

    Scores = NDArray[np.float32]

Method = Literal["lexical", "dense", "fused"]
_DIALOGUE = 0.3  # weight of what was said before, beside the query's own
_FAILS, _APP, _RECENT, _TAG = -1.5, 0.6, 0.4, 0.3  # log-odds added to a tool


class Retriever:
    """An index over tools. Raises `MissingExtra` where a method's packages are absent."""

    def __init__(self, documents: Iterable[Document], method: Method = "lexical") -> None:
        self.documents = tuple(sorted(documents, key=lambda one: one.name))
        self._names = [one.name for one in self.documents]
        self._places = {name: place for place, name in enumerate(self._names)}
        self._weights = np.array(list(_weights()[method].values()), dtype=np.float32)
        self._lexical: LexicalIndex | None = None
        self._dense: DenseIndex | None = None
        if self.documents and method != "dense":
            self._lexical = LexicalIndex(self.documents)
        if self.documents and method != "lexical":
            from mocktrial.mocktools.retrieval.dense import DenseIndex

            self._dense = DenseIndex(self.documents)
        self._apps = _places_by((one.app,) for one in self.documents)
        self._groups = _places_by((one.group,) for one in self.documents)
        self._tags = _places_by(one.tags for one in self.documents)

    def search(self, context: Context, k: int = 10) -> list[Found]:
        """The best `k`, best first; equal scores go by name."""
        k = min(k, len(self.documents))
        if not k:
            return []
        scores = self._weights @ self.features(context)
        self._look_around(scores, context)
        scores = scores.astype(float).round(5)  # sums in another order must not put other documents first
        least = np.partition(scores, -k)[-k]
        near = np.flatnonzero(scores >= least)  # documents stand in the order of their names
        order = near[np.argsort(-scores[near], kind="stable")[:k]]
        pairs = zip(order.tolist(), scores[order].tolist(), strict=True)
        return [Found(self._names[place], value) for place, value in pairs]

    def retrieve(self, text: str, k: int) -> list[str]:
        """Names of the best `k` for a text without a situation."""
        return [one.name for one in self.search(Context(query=text), k)]

    def features(self, context: Context) -> Scores:
        """(features, tools), in the order of the section of `weights.toml`."""
        found = self._features(context.query)
        return found + _DIALOGUE * self._features(" ".join(context.dialogue)) if context.dialogue else found

    def _features(self, text: str) -> Scores:
        indices = [index.scores(text) for index in (self._lexical, self._dense) if index]
        return np.concatenate(indices)

    def _look_around(self, scores: Scores, context: Context) -> None:
        """Add to `scores` what the situation says of the tools."""
        lately = {self.documents[self._places[name]].group for name in context.recent if name in self._places}
        for places, keys, odds in (
            (self._apps, (context.app,), _APP),
            (self._groups, lately, _RECENT),
            (self._tags, context.tags, _TAG),
        ):
            for key in keys:
                if key in places:
                    scores[places[key]] += odds
        if context.failing:
            scores[[self._places[name] for name in context.failing if name in self._places]] += _FAILS


def _places_by(keys: Iterable[tuple[str, ...]]) -> dict[str, list[int]]:
    """By each key that is not empty, where it stands."""
    found: dict[str, list[int]] = {}
    for place, own in enumerate(keys):
        for key in own:
            if key:
                found.setdefault(key, []).append(place)
    return found


@cache
def _weights() -> Mapping[Method, Mapping[str, float]]:
    text = resources.files(__package__).joinpath("weights.toml").read_text(encoding="utf-8")
    weights: Mapping[Method, Mapping[str, float]] = tomllib.loads(text)  # type: ignore[assignment]
    return weights
