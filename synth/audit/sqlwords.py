"""SQL as tokens, and what its names stand for: enough to compare the shape of tools and worlds, no parser.

`words` splits a statement; `scope` says which tables a statement works on and by which alias. Text that is
no SQL gives tokens all the same: what compiles is the business of `mocktools.image`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

Sort = Literal["keyword", "function", "name", "param", "text", "number", "sign"]
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")|(?P<param>[:@$]\w+)|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<word>[A-Za-z_]\w*)|(?P<sign>\|\||<>|!=|<=|>=|==|->>|->|[-+*/%<>=(),.;])"""
)
KEYWORDS = frozenset((Path(__file__).parent / "sql_keywords.txt").read_text(encoding="utf-8").split())


class Token(NamedTuple):
    sort: Sort
    text: str  # keywords upper, names lower


@lru_cache(maxsize=1024)  # a world's statements are read for its structure and for that of its tools
def words(sql: str) -> tuple[Token, ...]:
    """The tokens of a statement; a name before a bracket is a function unless it follows INTO."""
    found: list[Token] = []
    matches = list(_TOKEN.finditer(sql))
    for at, match in enumerate(matches):
        kind, text = str(match.lastgroup), match[0]
        if kind == "word":
            calls = at + 1 < len(matches) and matches[at + 1][0] == "("
            after_into = bool(found) and found[-1] == Token("keyword", "INTO")
            if text.lower() in KEYWORDS:
                found.append(Token("keyword", text.upper()))
            else:
                found.append(Token("function" if calls and not after_into else "name", text.lower()))
        elif kind == "quoted":
            found.append(Token("name", text[1:-1].lower()))
        else:
            found.append(Token(kind, text))  # type: ignore[arg-type]
    return tuple(found)


def scope(tokens: Sequence[Token], tables: Mapping[str, object]) -> dict[str, str]:
    """Aliases and names of the tables that a statement works on: {alias or name: table}."""
    found: dict[str, str] = {}
    for at, token in enumerate(tokens):
        if token.sort != "name" or token.text not in tables or (at and tokens[at - 1].text == "."):
            continue
        found[token.text] = token.text
        after = tokens[at + 1 : at + 3]
        if after and after[0] == Token("keyword", "AS"):
            after = after[1:]
        if after and after[0].sort == "name":
            found[after[0].text] = token.text
    return found


def columns(tokens: Sequence[Token], tables: Mapping[str, frozenset[str]]) -> Iterator[tuple[int, str, str]]:
    """(place, table, column) of each token that names a column of a table in scope."""
    named = scope(tokens, tables)
    for at, token in enumerate(tokens):
        if token.sort != "name":
            continue
        if at > 1 and tokens[at - 1].text == ".":
            table = named.get(tokens[at - 2].text, "")
            if token.text in tables.get(table, ()):
                yield at, table, token.text
            continue
        home = next((table for table in dict.fromkeys(named.values()) if token.text in tables[table]), "")
        if home and token.text not in named:
            yield at, home, token.text
