"""Asking back: which fact is meant, where a question could be for several or is not clear enough to be answered.

A user names labels only, never values. It asks once: where the next message is no clearer, the likeliest reading
counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from mocktrial.envs.task import Fact
from mocktrial.envs.users.words import pattern, tokens, vocabulary
from mocktrial.mocktools.values import fold

_PLACES = ("first|former", "second|latter", "third", "fourth")
_SHORT = 5  # words of a message that does no more than pick
_ALL = re.compile(r"\b(?:both|all|all of them|each)\b")


def picked(message: str, offered: Sequence[str], facts: Sequence[Fact]) -> tuple[str, ...]:
    """Ids that an answer to "do you mean X or Y?" picks: by label, by place, or by a yes where one was offered."""
    folded = fold(message)
    known = [fact for fact in facts if fact.id in offered]
    if not known:
        return ()
    if meant := named(message, known):
        return meant
    if len(tokens(message)) > _SHORT:
        return ()
    if _ALL.search(folded):
        return tuple(fact.id for fact in known)
    counted = [fact.id for fact, words in zip(known, _PLACES, strict=False) if re.search(rf"\b(?:{words})\b", folded)]
    if len(counted) == 1:
        return tuple(counted)
    return (known[0].id,) if len(known) == 1 and pattern("yes").match(folded) else ()


def named(text: str, facts: Sequence[Fact]) -> tuple[str, ...]:
    """Ids of the facts of which all words of the label, or of an alias, stand in the text, but for fillers.

    "The captain of the team" names the captain, not the team.
    """
    spoken = set(tokens(text))
    said = {fact.id: [words for words in map(_words, (fact.label, *fact.aliases)) if words and words <= spoken]
            for fact in facts}  # fmt: skip
    longest = [max(phrases, key=len) for phrases in said.values() if phrases]
    return tuple(
        name for name, phrases in said.items() if any(not any(own < more for more in longest) for own in phrases)
    )


@lru_cache(maxsize=4096)
def _words(phrase: str) -> frozenset[str]:
    return frozenset(tokens(phrase)) - vocabulary("fillers")
