"""A fact as it is compared with questions: the words of its texts, and what kind of thing its value is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mocktrial.envs.users.reading.kinds import noun_kinds, value_kinds, wanted
from mocktrial.envs.users.reading.words import Word, plain, words


@dataclass(frozen=True, slots=True)
class Profile:
    """A fact as it is compared: its words with how much each field counts, and its kinds."""

    label: tuple[Word, ...]
    tail: frozenset[str]  # stems of the label after a preposition other than "of": they matter less
    head: str
    field: tuple[tuple[str, float], ...]  # every stem of label, description, id, question, aliases; 0 to 1
    kinds: frozenset[str]
    named_kinds: frozenset[str]  # those that its label says
    value: str  # plain
    spelled: str  # the value as it stands


@lru_cache(maxsize=4096)
def profile(name: str, label: str, description: str, value: str, others: tuple[str, ...]) -> Profile:
    """`others` are the fact's own question and its aliases."""
    in_label = tuple(word for word in words(label) if word.weight > 0) or words(label)
    field: dict[str, float] = {}
    texts = [(label, 1.0), *((other, 1.0) for other in others), (description, 0.85)]
    texts += [(" ".join(part for part in name.split("_") if len(part) > 3), 0.8), (value, 0.4)]
    for text, counts in texts:
        for word in words(text):
            if word.weight > 0:
                field[word.stem] = max(field.get(word.stem, 0.0), counts)
    head = _head(label)
    parts = [part for word in in_label for part in (word.stem, *word.stem.split("_"))]
    named = frozenset(kind for part in parts for kind in noun_kinds(part)) | wanted(plain(label))[0]
    said = wanted(plain(description))[0] | frozenset(
        kind for word in words(description) if word.stem != "name" for kind in noun_kinds(word.stem)
    )
    kinds = value_kinds(value)
    if kinds & {"yesno"}:
        named = frozenset()
    elif not plain(label).startswith(("number of", "the number of", "how many")) and "count" in named:
        named = (named - {"count"}) | (value_kinds(value) & {"count"})
    elif "code" in named:
        named -= {"code"} if _COUNTED.fullmatch(value) else {"count"}
    if named & _NOT_COUNTED and "count" not in named:
        kinds -= {"count"}
    if plain(description).startswith("whether") or plain(label).startswith("whether"):
        kinds |= {"yesno"}
    if not kinds & {"email", "phone", "yesno", "money", "date"}:
        kinds |= said - {"yesno"} if not named else frozenset()
    tail = _AFTER.split(plain(label), maxsplit=1)
    after = frozenset(word.stem for word in words(tail[1])) if len(tail) > 1 and tail[0] else frozenset[str]()
    field |= {word: min(counts, 0.75) for word, counts in field.items() if word in after}
    return Profile(in_label, after, head, tuple(field.items()), kinds | named, named, plain(value), value)


_COUNTED = re.compile(r"[a-z ]*\d{1,4}")
_NOT_COUNTED = frozenset(("money", "date", "code", "phone"))  # a bare number of such a fact counts nothing
_AFTER = re.compile(r" (?:for|to|from|in|on|at|with|by|before|after|when|until|about) ")


def _head(label: str) -> str:
    """Stem of the noun that a label is about: the last before "of", "for" and the like."""
    phrase = re.split(
        r" (?:of|for|to|from|in|on|at|that|which|where|when|who|with|by|per|before|after|until)\b", plain(label)
    )[0]
    found = words(phrase)
    if found and noun_kinds(found[-1].stem) and phrase != plain(label):
        found = words(label)
    return found[-1].stem if found else ""
