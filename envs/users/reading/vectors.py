"""How near a question is to a fact in meaning, by word vectors that come with the package.

`vectors.txt` has a vector for some 14,600 English words. They began as what a small sentence model (all-MiniLM-L6-v2)
makes of each word alone and were then trained on questions and the facts they ask for (`benchmarks/fit_reader.py`). A
text is the weighted sum of its words; a word weighs otherwise in a question than in a fact. Plain Python, so nothing
has to be installed, and every machine computes the same. A text without known words is near to nothing.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul
from pathlib import Path
from typing import TypeAlias

_FOLDER = Path(__file__).parent
_LETTERS = re.compile("[a-z]+")
Vector: TypeAlias = tuple[float, ...]
# How much the words of a fact's texts count: of its label, of what explains it, of its value.
LABEL, ABOUT, VALUE = 1.0, 0.6, 0.35


@dataclass(frozen=True, slots=True)
class Vectors:
    lines: dict[str, str]  # by word: its weights and its packed vector
    mixing: tuple[Vector, ...]  # (D, D): a fact's vector is compared after it
    none: float  # what a question that asks for no fact comes to


@dataclass(frozen=True, slots=True)
class _Word:
    vector: Vector  # (D,)
    asking: float  # its weight in a question
    saying: float  # its weight in a fact


@lru_cache(maxsize=1)
def load_vectors() -> Vectors:
    """The table, read once."""
    rows = (_FOLDER / "mixing.txt").read_text(encoding="ascii").splitlines()
    *mixing, (none,) = (tuple(map(float, row.split())) for row in rows if not row.startswith("#"))
    split = (line.partition(" ") for line in (_FOLDER / "vectors.txt").read_text(encoding="ascii").splitlines())
    return Vectors({word: rest for word, _, rest in split if word != "#"}, tuple(mixing), none)


@lru_cache(maxsize=8192)
def _word(text: str) -> _Word | None:
    line = load_vectors().lines.get(text)
    if line is None:
        return None
    asking, saying, packed = line.split()
    row = tuple(float(byte - 256 if byte > 127 else byte) for byte in b64decode(packed))
    return _Word(row, float(asking), float(saying))


@lru_cache(maxsize=4096)
def question(text: str) -> Vector:
    """The vector of a plain question, of length 1."""
    return _unit(_sum((word.vector, word.asking) for word in _words(text)))


@lru_cache(maxsize=4096)
def answer(texts: tuple[tuple[str, float], ...]) -> Vector:
    """The vector of a fact from its texts and how much each counts; not of length 1."""
    own = _unit(_sum((word.vector, word.saying * counts) for text, counts in texts for word in _words(text)))
    return tuple(sum(map(mul, row, own)) for row in load_vectors().mixing) if own else ()


def _words(text: str) -> Iterator[_Word]:
    return (word for part in _LETTERS.findall(text.casefold()) if (word := _word(part)))


def nearness(text: str, facts: Sequence[Vector]) -> list[float]:
    """How near a question is to each fact, as a logit beside `Vectors.none`."""
    asked = question(text)
    return [sum(map(mul, asked, fact)) for fact in facts]


def _sum(weighted: Iterable[tuple[Vector, float]]) -> list[float]:
    total: list[float] = []
    for vector, weight in weighted:
        total = (
            [old + weight * value for old, value in zip(total, vector, strict=True)]
            if total
            else [weight * value for value in vector]
        )
    return total


def _unit(vector: list[float]) -> Vector:
    length = math.sqrt(sum(map(mul, vector, vector)))
    return tuple(value / length for value in vector) if length else ()
