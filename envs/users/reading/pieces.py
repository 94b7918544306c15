"""Texts as pieces of words, by a vocabulary that comes with the package (WordPiece: Wu et al. 2016, section 4.1).

Letters are folded to lower case without accents; a word is cut into the longest pieces that are known, from its
beginning; a piece within a word is written with "##". A word that cannot be cut is [UNK].
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).parent / "pieces.txt"
_PART = re.compile(r"[^\W_]+|[^\w\s]|_")
LONGEST = 96  # pieces of a text that are read


class Pieces:
    """vocabulary: the pieces, in the order of their places."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._places = {piece: place for place, piece in enumerate(vocabulary)}
        self._cut = lru_cache(maxsize=8192)(self._of_word)

    def places(self, text: str) -> list[int]:
        """Of the text's pieces, with [CLS] before and [SEP] behind; at most `LONGEST`."""
        letters = unicodedata.normalize("NFD", text.lower())
        bare = "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")
        found = [place for part in _PART.findall(bare) for place in self._cut(part)]
        return [self._places["[CLS]"], *found[: LONGEST - 2], self._places["[SEP]"]]

    def _of_word(self, word: str) -> tuple[int, ...]:
        try:
            return tuple(self._longest(word))
        except LookupError:
            return (self._places["[UNK]"],)

    def _longest(self, word: str) -> Iterator[int]:
        """Places of the longest pieces from left to right. Raises `LookupError` where none fits."""
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            ends = (end for end in range(len(word), start, -1) if f"{mark}{word[start:end]}" in self._places)
            end = next(ends, None)
            if end is None:
                raise LookupError(word)
            yield self._places[f"{mark}{word[start:end]}"]
            start = end


@lru_cache(maxsize=1)
def load_pieces() -> Pieces:
    """The vocabulary that ships, read once."""
    return Pieces(_FILE.read_text(encoding="ascii").splitlines())
