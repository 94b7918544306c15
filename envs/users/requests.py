"""Which deeds a message asks the user to do: by words, in sentences that ask somebody to act.

A deed is meant when all words of its label, of one alias or of its question stand in such a sentence, but for
fillers. Slips and endings pass ("restarting"). What the agent proposes to do itself asks for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz

from mocktrial.envs.task import Deed
from mocktrial.envs.users.words import pattern, sentences, tokens, vocabulary

_SLIP = 86  # rapidfuzz ratio from which two words are one word spelled twice
_STEM = 4  # letters from which a word with an ending is the same word


def requested(message: str, deeds: Sequence[Deed]) -> tuple[str, ...]:
    """Ids in the order of the task."""
    asking = [
        tokens(text)
        for text in sentences(message)
        if pattern("requests").search(text) and not pattern("forbids").search(text)
    ]
    return tuple(deed.id for deed in deeds if any(_is_meant(deed, words) for words in asking))


def _is_meant(deed: Deed, present: Sequence[str]) -> bool:
    for phrase in (deed.label, deed.question, *deed.aliases):
        words = set(tokens(phrase)) - vocabulary("fillers")
        if words and all(any(_same_word(word, other) for other in present) for word in words):
            return True
    return False


def _same_word(word: str, other: str) -> bool:
    if word == other or (len(word) >= _STEM and other.startswith(word)):
        return True
    return len(word) >= _STEM and fuzz.ratio(word, other) >= _SLIP
