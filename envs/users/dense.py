"""The reader of `scripted+dense`: what a language model says of a message, mixed with what the reader that ships says.

The two err on different messages, so that their mean errs less than either (Hansen and Salamon 1990).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mocktrial.envs.users.reading.joint import Joint
from mocktrial.envs.users.reading.language import Language, load_language
from mocktrial.envs.users.reading.shipped import load_shipped
from mocktrial.envs.users.reading.weights import Table

_SHARE = 0.65  # of the language model


class Mixed:
    """Implements `Reader` by two others."""

    name: Table = "dense"

    def __init__(self, language: Language, shipped: Joint) -> None:
        self._language, self._shipped = language, shipped

    def scores(self, message: str, facts: tuple[str, ...]) -> list[float]:
        pairs = zip(self._language.scores(message, facts), self._shipped.scores(message, facts), strict=True)
        return [_SHARE * one + (1 - _SHARE) * other for one, other in pairs]


@lru_cache(maxsize=1)
def load_dense(folder: Path) -> Mixed:
    """The reader on the language model in `folder`, as transformers writes one. Loaded once (2 s, 420 MB).

    Raises `MissingExtra` as `load_language` does.
    """
    return Mixed(load_language(folder), load_shipped())
