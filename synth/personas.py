"""Who the users of a dataset are: `Personas(seed).persona(number)`, and a reader of Persona-Hub-style files.

Shares of manners, patience, privacy, typing habits and locales stand in `voice/personas.toml`, occupations
in `voice/occupations.txt`. How a persona speaks is `voice`'s business. Persona `number` depends on the seed
and the number alone, so that tasks may be made in any order. A broken file is a `SpecError` with its line.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mimesis import Person
from mimesis.locales import Locale

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Persona
from mocktrial.mocktools.errors import SpecError

_DATA = Path(__file__).parent / "voice"
_LINE = 64 * 1024  # bytes of a persona line; longer ones are no persona
_OCCUPATION = 60  # characters
_ARTICLE = re.compile(r"^(?:(?:a|an|the|one|this|i am|i'm)\s+)+", re.IGNORECASE)
# Where the occupation ends: "A nurse | who runs", "an engineer | specialising in", "a baker | from Lyon".
_REST = re.compile(
    r"\s*(?:[,;:.(]|[-–—]\s|\b(?:who|whose|that|which|with|without|from|in|at|on|for|by|to|and|but|or|as|is|was|has|having"
    r"|looking|working|living|focused|known|based|interested|\w+(?:izing|ising|ing)\s+(?:in|for|to|on|with|at))\b).*$",
    re.IGNORECASE | re.DOTALL,
)


class Personas:
    """Personas by number, in the shares of `voice/personas.toml`."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def persona(self, number: int, roles: Sequence[str] = ()) -> Persona:
        """Persona `number`. `roles`: the occupations that its world knows; none: any of ours."""
        seed = derive(self._seed, "persona", number)
        drawn = _drawn(seed)
        occupation = random.Random(derive(seed, "occupation")).choice(roles or _occupations())
        return Persona(name=_name(drawn["locale"], seed), occupation=occupation, **drawn)


def read_personas(path: Path, seed: int = 0) -> Iterator[Persona]:
    """Personas of a JSONL file, one object a line with the sentence at key `persona`, read as they are asked for.

    occupation  the sentence's first noun phrase: "A retired nurse who ..." gives "retired nurse"
    manner      by the first list of `[hints]` with a word in the sentence, else drawn; typing habits likewise
    the rest    drawn by `seed` and the line's number; other keys of the object are left aside

    Blank lines are skipped. Raises `SpecError` that names file and line.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(_LINE + 1):
                number += 1
                if line.strip():
                    yield _from_line(line, f"{path}: line {number}", derive(seed, "persona", number))
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", hint="name a JSONL file with a key `persona`") from error


def _from_line(line: bytes, where: str, seed: int) -> Persona:
    hint = 'a line is an object such as {"persona": "A nurse who ..."}'
    if len(line) > _LINE:
        raise SpecError(f"{where}: longer than {_LINE} bytes", hint=hint)
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{where}: not JSON: {error}", hint=hint) from error
    sentence = parsed.get("persona") if isinstance(parsed, dict) else None
    if not isinstance(sentence, str) or not sentence.strip():
        raise SpecError(f"{where}: no sentence at key `persona`", hint=hint)
    drawn = _drawn(seed)
    return Persona(name=_name(drawn["locale"], seed), occupation=_occupation(sentence), **drawn | _hinted(sentence))


def _occupation(sentence: str) -> str:
    """The first noun phrase without its article; empty when it is too long to be one."""
    phrase = _REST.sub("", _ARTICLE.sub("", " ".join(sentence.split())))
    first, _, rest = phrase.partition(" ")
    if first[1:] == first[1:].lower():  # "IT manager" keeps its capitals
        first = first.lower()
    phrase = f"{first} {rest}".strip()
    return phrase if 0 < len(phrase) <= _OCCUPATION and phrase.isprintable() else ""


def _hinted(sentence: str) -> dict[str, str]:
    words = " ".join(re.findall(r"[\w-]+", sentence.casefold()))
    said = f" {words} "
    found: dict[str, str] = {}
    for field, lists in _shares()["hints"].items():
        for value, hints in lists.items():
            if any(f" {hint} " in said for hint in hints):
                found.setdefault(field, value)
    return found


def _drawn(seed: int) -> dict[str, Any]:
    """Manner, patience, privacy, typing and locale, each by a chance of its own: a new value of one moves no other."""
    fields: dict[str, Any] = {}
    for field, shares in _shares().items():
        if field != "hints":
            chance = random.Random(derive(seed, field))
            fields[field] = chance.choices(list(shares), weights=list(shares.values()))[0]
    return fields | {"patience": int(fields["patience"]), "privacy": int(fields["privacy"])}


def _name(locale: str, seed: int) -> str:
    person = _people(locale)
    person.reseed(derive(seed, "name"))
    return person.first_name()


@lru_cache
def _people(locale: str) -> Person:
    return Person(Locale(locale.lower()), seed=0)


@lru_cache
def _shares() -> Mapping[str, Any]:
    return tomllib.loads((_DATA / "personas.toml").read_text(encoding="utf-8"))


@lru_cache
def _occupations() -> tuple[str, ...]:
    lines = (_DATA / "occupations.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
