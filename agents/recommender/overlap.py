"""Texts compared by the words that they share: no index to load, no model, the same on every machine.

The offline default of recommenders and of the click simulator. Search over tools proper is `mocktools.retrieval`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from mocktrial.mocktools.systoolkit import Catalog, catalog

_WORD = re.compile(r"[a-z]{3,}")
_STEM = 5  # letters of a word that count: alarms and alarm are one


class Overlap:
    """Documents by name; a word counts by how few of them have it (inverse document frequency)."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._bags = {name: _bag(text) for name, text in documents.items()}
        seen = Counter(word for bag in self._bags.values() for word in bag)
        self._rarity = {word: math.log(1 + len(documents) / count) for word, count in seen.items()}
        self._lengths = {name: self._length(bag) for name, bag in self._bags.items()}
        self._holders: dict[str, list[str]] = {}
        for name, bag in self._bags.items():
            for word in bag:
                self._holders.setdefault(word, []).append(name)

    def retrieve(self, text: str, k: int) -> list[str]:
        """The `k` documents nearest to `text`, the best first; equals by name. Fewer where no word is shared."""
        shared: dict[str, float] = {}
        for word in _bag(text):
            for name in self._holders.get(word, ()):
                shared[name] = shared.get(name, 0.0) + self._rarity[word] ** 2
        scored = {name: found / self._lengths[name] for name, found in shared.items()}
        return sorted(scored, key=lambda name: (-scored[name], name))[:k]

    def similarity(self, text: str, other: str) -> float:
        """Cosine of the two texts' words, each by its rarity: 0 to 1. Words of no document count as rarest."""
        first, second = _bag(text), _bag(other)
        if not first or not second:
            return 0.0
        shared = math.fsum(self._weight(word) ** 2 for word in first if word in second)
        return shared / (self._length(first) * self._length(second))

    def _weight(self, word: str) -> float:
        return self._rarity.get(word) or math.log(1 + len(self._bags))

    def _length(self, bag: Iterable[str]) -> float:
        return math.sqrt(math.fsum(self._weight(word) ** 2 for word in bag)) or 1.0


@cache
def tool_overlap() -> Overlap:
    """Over all tools of SysToolKit: name, what it does, how people ask for it."""
    known: Catalog = catalog()
    return Overlap({name: tool_text(name) for name in known.tools})


@cache
def tool_text(name: str) -> str:
    tool = catalog().tools[name]
    return " ".join((name.replace("_", " "), tool.spec.description, *tool.asks))


@cache
def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word[:_STEM] for word in _WORD.findall(text.casefold())))


def _bag(text: str) -> Sequence[str]:
    return _words(text)
