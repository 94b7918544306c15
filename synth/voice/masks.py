"""Values kept whole while the words around them change, and the pattern that is left without them.

`mask` puts one private-use character in the place of each protected span; `unmask` puts the spans back. What
looks like a value (digits, quotes, capitals inside) is protected whether the caller names it or not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mocktrial.mocktools.values import fold

_FIRST = 0xE000  # the first private-use character; text that already holds such ones is not masked at all
_LAST = 0xF8FF
_GONE = chr(_LAST)  # stands for a value while other values are looked for
_OWN = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
# Quoted words, addresses, and words with a digit or with a capital that is not their first letter.
_LIKE_A_VALUE = re.compile(
    r"\"[^\"]*\"|“[^”]*”|‘[^’]*’|\S+@\S+\w|https?://\S+\w|[\w#$€£.:/+-]*\d[\w%.:/+-]*(?<![.:])|\w+[A-Z]\w*"
)


def mask(text: str, protected: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """`text` with a single character for each protected span, and the spans in the order of their characters.

    protected: spoken values; they match as whole words, the longest first. Raises `ValueError` for text that
    holds private-use characters itself.
    """
    if _OWN.search(text):
        raise ValueError("private-use characters in the text")
    spans: list[str] = []

    def keep(span: str) -> str:
        spans.append(unmask(span, spans))  # a quoted value was masked before the quotes
        return chr(_FIRST + len(spans) - 1)

    for value in sorted(protected, key=lambda value: (-len(value), value)):
        text = _each(value, text, keep)
    return _LIKE_A_VALUE.sub(lambda match: keep(match[0]), text), tuple(spans)


def _each(value: str, text: str, change: Callable[[str], str]) -> str:
    """`text` with each whole-word occurrence of `value` changed. No regex: values are new each time."""
    place = text.find(value) if value else -1
    while place >= 0:
        end = place + len(value)
        if (_word(text[place - 1 : place]) and _word(value[0])) or (_word(text[end : end + 1]) and _word(value[-1])):
            place = text.find(value, place + 1)
            continue
        changed = change(value)
        text = text[:place] + changed + text[end:]
        place = text.find(value, place + len(changed))
    return text


def _word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def unmask(text: str, spans: Sequence[str]) -> str:
    return _OWN.sub(lambda match: spans[ord(match[0]) - _FIRST], text)


def pattern_of(text: str, values: Sequence[str]) -> str:
    """The sentence pattern of an instruction: casefolded, with `_` for each of `values` and for each number.

    values: spoken values of its public facts. Two instructions of one pattern say the same words about other things.
    """
    folded = fold(text)
    forms = sorted({fold(value) for value in values if value.strip()}, key=lambda form: (-len(form), form))
    for form in forms:
        folded = _each(form, folded, lambda _: _GONE)
    return re.sub(rf"\d+|{_GONE}", "_", folded)
