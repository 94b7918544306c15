"""Reads the `slots` column: a Python-like list of 'name : value' items, as released, quotes and all.

Well-quoted lists are read exactly. Of broken ones (an apostrophe inside single quotes, a quote missing or
doubled, the value quoted apart from the name) as much as can be told is kept, and each doubt is reported
as a problem. Nothing is evaluated and nothing raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_EXACT = re.compile(rf"\[\s*(?:(?:{_QUOTED})\s*(?:,\s*(?:{_QUOTED})\s*)*)?\]", re.DOTALL)
_ITEM = re.compile(_QUOTED, re.DOTALL)
_ESCAPE = re.compile(r"\\(['\"\\])")
# A list ends where `]` follows a quote or `[`, and another begins with a quote or is empty.
_NEXT_LIST = re.compile(r"""(?<=['"\[])\s*\]\s*,\s*\[(?=\s*['"\]])""")
_COMMA = re.compile(r",")
_NAMED = re.compile(r"""\s*['"]*\s*([A-Za-z_]\w*)\s*['"]?\s*:""")


@dataclass(frozen=True, slots=True)
class SlotList:
    slots: tuple[tuple[str, str], ...]
    problems: tuple[str, ...] = ()


def parse_lists(text: str, known: frozenset[str]) -> tuple[SlotList, ...]:
    """One `SlotList` for each list in `text` (`[..]` or `[..],[..]`).

    `known` are label names that may begin an item whose quotes are missing.
    """
    text = text.strip()
    exact = _exact_lists(text)
    if exact is not None:
        return tuple(_slots_of(items, ()) for items in exact)
    if not text.startswith("["):
        return (SlotList((), (f"slots are not a list: {text!r}",)),)
    problem = f"quotes do not match: {text}"
    parts = _NEXT_LIST.split(text.removesuffix("]"))
    parts[0] = parts[0][1:]
    return tuple(_slots_of(tuple(_unquote(piece) for piece in _pieces(part, known)), (problem,)) for part in parts)


def _exact_lists(text: str) -> list[tuple[str, ...]] | None:
    """The items of each list where every quote closes, else None."""
    lists, at = [], 0
    while match := _EXACT.match(text, at):
        items = _ITEM.findall(match.group())
        lists.append(tuple(_ESCAPE.sub(r"\1", item[1:-1]) for item in items))
        at = match.end()
        if at == len(text):
            return lists
        if not (comma := re.compile(r"\s*,\s*").match(text, at)):
            return None
        at = comma.end()
    return None


def _pieces(body: str, known: frozenset[str]) -> list[str]:
    """`body` cut at the commas that part two items."""
    pieces, start = [], 0
    for comma in _COMMA.finditer(body):
        before, after = body[start : comma.start()].rstrip(), body[comma.end() :]
        name = _NAMED.match(after)
        closed, opened = before.endswith(("'", '"')), after.lstrip().startswith(("'", '"'))
        between = closed and opened and name
        half = (closed or opened) and name and name.group(1) in known
        if between or half:
            pieces.append(body[start : comma.start()])
            start = comma.end()
    pieces.append(body[start:])
    return [piece for piece in pieces if piece.strip()]


def _unquote(piece: str) -> str:
    """A piece without the quotes around it; the value's own apostrophes stay."""
    piece = piece.strip()
    opening = piece[: len(piece) - len(piece.lstrip("'\""))]
    inner = piece[len(opening) :].lstrip()
    if inner.endswith(opening[-1] if opening else ("'", '"')):
        inner = inner[:-1]
    return re.sub(r"""^([A-Za-z_]\w*)\s*['"]\s*:\s*['"]?""", r"\1:", inner)


def _slots_of(items: tuple[str, ...], problems: tuple[str, ...]) -> SlotList:
    slots, found = [], list(problems)
    for item in items:
        name, colon, value = (part.strip() for part in item.partition(":"))
        if not colon:
            found.append(f"item without a colon: {item!r}")
        elif not name or not value:
            found.append(f"item without a {'value' if name else 'name'}: {item!r}")
        else:
            slots.append((name, value))
    return SlotList(tuple(slots), tuple(found))
