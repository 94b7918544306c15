"""How a text is typed: without capitals, with slips, or with short forms. Masked values are never touched.

Works on masked text (`masks`), word by word. A slip never hits a short word, a word with a capital, or one
whose meaning hangs on a letter (`[slips] never`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

_SENTENCE_START = re.compile(r"(^|[.?!:]\s+)([A-Z])(?=[a-z' ])")
_I = re.compile(r"\bI\b")
_LONG_WORD = re.compile(r"(?<![\w'’-])[a-z]{6,}(?![\w'’-])")
_WORDS_A_SLIP = 20  # words that are typed for one slip, about


def lower(text: str, chance: random.Random) -> str:
    """No capitals where a sentence starts, `i`, and often no last full stop."""
    lowered = _SENTENCE_START.sub(lambda match: match[1] + match[2].lower(), text)
    lowered = _I.sub("i", lowered)
    return lowered[:-1] if lowered.endswith(".") and chance.random() < 0.6 else lowered


def slip(text: str, chance: random.Random, never: Sequence[str]) -> str:
    """One slip in about every twenty words, at least one where there is a word to miss."""
    fit = [match for match in _LONG_WORD.finditer(text) if match[0] not in never]
    count = min(len(fit), 1 + len(text.split()) // _WORDS_A_SLIP)
    for match in sorted(chance.sample(fit, count), key=lambda match: -match.start()):
        text = text[: match.start()] + _slipped(match[0], chance) + text[match.end() :]
    return text


def shorten(text: str, chance: random.Random, short: Mapping[str, Sequence[str]]) -> str:
    """Words in their short forms, the same form throughout, and no capitals; about a quarter of the words is spared."""
    forms = {word: chance.choice(list(others)) for word, others in short.items() if chance.random() < 0.75}
    shortened = _words(tuple(short)).sub(lambda match: forms.get(match[0].lower(), match[0]), text)
    return lower(shortened, chance)


@lru_cache
def _words(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w'’])(?:{'|'.join(map(re.escape, longest_first))})(?![\w'’])", re.IGNORECASE)


def typed(text: str, habit: str, chance: random.Random, data: Mapping[str, Any]) -> str:
    """`text` as someone of that habit (`Persona.typing`) types it."""
    match habit:
        case "lower":
            return lower(text, chance)
        case "typos":
            return slip(text, chance, data["slips"]["never"])
        case "brief":
            return shorten(text, chance, data["short"])
        case _:
            return text


def _slipped(word: str, chance: random.Random) -> str:
    """The first letter stays, as it mostly does."""
    place = chance.randrange(1, len(word) - 1)
    one, two = word[place], word[place + 1]
    kind = chance.choice(("swapped", "dropped", "doubled"))
    if kind == "swapped" and one != two:
        return word[:place] + two + one + word[place + 2 :]
    if kind == "doubled":
        return word[:place] + one + word[place:]
    return word[:place] + word[place + 1 :]
