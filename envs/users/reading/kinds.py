"""What kind of thing answers a question, and what kind of thing a fact's value is."""

from __future__ import annotations

import re
from functools import lru_cache

from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.words import plain, stem

_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_NUMBER = r"(?:\d[\d,.]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|a|an|half|several|couple)"
_PERSON = re.compile(r"^(?:(?:Dr|Mr|Mrs|Ms|Prof)\.? )?[A-Z][\w'-]+(?: (?:[A-Z][\w'.-]*|van|de|von|der))*$")
_WANTED = {
    "phone": ("phone",),
    "reach": ("phone", "email", "address"),
    "code": ("code", "phone"),
    "sent": ("email", "address", "place"),
    "money": ("money",),
    "time": ("time",),
    "date": ("date",),
    "duration": ("duration", "count", "measure"),
    "frequency": ("frequency",),
    "age": ("count", "date", "duration"),
    "measure": ("measure", "count", "duration"),
    "weight": ("weight",),
    "distance": ("distance", "measure"),
    "large": ("size", "area", "distance", "measure", "count"),
    "speed": ("time", "date", "duration"),
    "count": ("count", "measure", "duration"),
    "amount": ("money", "measure", "count", "weight"),
    "when": ("date", "time"),
    "where": ("place", "address"),
    "who": ("person",),
    "why": ("reason",),
    "how": (),
}
_FOCUS = re.compile(
    r"\b(?:how many|how much|(?:what|which|whose)(?: is| are| was| were| will be"
    r"| would be| about| kind of| sort of| type of)*)((?: [\w'-]+){1,5})"
)
_STOP_FOCUS = re.compile(
    r" (?:is|are|was|were|do|does|did|can|could|will|would|should|shall|may|might|must|have|has|had"
    r"|you|i|we|he|she|it|they|of|for|to|on|in|at|that|and|or|by|with|from|under|which|who|where)\b"
)


@lru_cache(maxsize=1)
def _nouns() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for kind, nouns in lexicon.groups("kinds").items():
        for noun in nouns:
            found.setdefault(stem(noun), []).append(kind)
    return {noun: tuple(kinds) for noun, kinds in found.items()}


def noun_kinds(noun_stem: str) -> tuple[str, ...]:
    return _nouns().get(noun_stem, ())


@lru_cache(maxsize=1)
def _values() -> tuple[tuple[str, re.Pattern[str]], ...]:
    split = (line.partition(": ") for line in lexicon.lines("values"))
    named = (("{month}", _MONTH), ("{day}", _DAY), ("{number}", _NUMBER))
    return tuple((kind, re.compile(_filled(found, named))) for kind, _, found in split)


def _filled(text: str, named: tuple[tuple[str, str], ...]) -> str:
    for name, meant in named:
        text = text.replace(name, meant)
    return text


@lru_cache(maxsize=8192)
def value_kinds(value: str) -> frozenset[str]:
    """Kinds of a value by its form; "proper" for what may be a person's or a place's name."""
    folded = plain(value)
    kinds = {kind for kind, found in _values() if found.search(folded)}
    if kinds & {"money", "weight", "distance", "area", "measure", "date", "time"}:
        kinds -= {"count", "code"}
    if _PERSON.match(value) and not kinds - {"code", "language"}:
        kinds.add("proper")
    return frozenset(kinds)


_FIGURE = re.compile(rf"\d|\b(?!(?:a|an|half)\b){_NUMBER}\b")
_TIMES = frozenset(("date", "time", "duration", "frequency", "email", "phone", "money"))
_FIGURES = frozenset(("count", "measure", "weight", "distance"))


def fits(wants: frozenset[str], kinds: frozenset[str], named: frozenset[str], value: str) -> float:
    """Whether a value of such `kinds` answers what is wanted: 1 yes, 0.5 perhaps, 0 unknown, -1 no.

    `named` are the kinds that the fact's label says.
    """
    if not wants:
        return 0.0
    if wants == _WHEN and kinds & _WHEN:
        return 1.0 if "date" in kinds else 0.6  # who asks "when" means the day where there is one
    if wants & kinds:
        return 1.0
    if "proper" in kinds and wants & {"person", "place", "address"} and not named:
        return 0.5
    if wants & _TIMES:
        spans = wants & {"duration", "frequency"} and _FIGURE.search(value) and not kinds & {"date", "time", "code"}
        return 0.0 if spans else -1.0
    if (wants & _FIGURES and not _FIGURE.search(value)) or wants == {"person"}:
        return -1.0
    return -1.0 if kinds - {"proper", "code"} else 0.0


_NAMED = re.compile(r"(?<!\w)[A-Z][a-z]")
_WHERE = frozenset(("place", "address"))
_QUANTITY = frozenset(("count", "measure", "money", "weight", "distance", "area", "size"))
_BARE = re.compile(r"[\d\s.,:/()+-]+")
_NEVER = (
    # what is wanted, and the forms that never answer it; "bare" is a number alone, "name" has capitals, no figure
    (frozenset(("person",)), frozenset(("date", "time", "money", "code", "bare"))),
    (frozenset(("place", "address")), frozenset(("date", "time", "money", "bare"))),
    (frozenset(("date", "time")), frozenset(("email", "phone", "money", "bare", "name"))),
    (frozenset(("duration", "frequency")), frozenset(("email", "phone", "money", "name"))),
    (_QUANTITY, frozenset(("email", "phone", "date", "time", "name"))),
    (frozenset(("phone", "email")), frozenset(("date", "time", "money", "count"))),
)


@lru_cache(maxsize=8192)
def never(wants: frozenset[str], value: str, named: frozenset[str], worded: bool) -> bool:
    """Whether a value cannot answer what is wanted, by its form.

    `named` are the kinds that the label says; where no word of the fact is `worded`, a person is no place either.
    """
    if not wants:
        return False
    if wants == {"money"} and "count" in named and "money" not in named:
        return True
    if not worded and wants <= _WHERE and "person" in named and not named & _WHERE:
        return True
    if not worded and wants == {"person"} and named & _WHERE and "person" not in named:
        return True
    forms = set(value_kinds(value))
    if _NAMED.search(value) and not _FIGURE.search(value.casefold()):
        forms.add("name")
    if _BARE.fullmatch(value) and not forms & {"date", "time", "phone"}:
        forms.add("bare")
    if _YEAR.fullmatch(value) and "date" in named:
        forms = {"date"}
    if wants & forms:
        return False
    return any(wants <= wanted and forms & barred for wanted, barred in _NEVER)


_YEAR = re.compile(r"(?:19|20)\d\d")
_WHEN = frozenset(("date", "time"))


@lru_cache(maxsize=1)
def _answers() -> tuple[tuple[str, re.Pattern[str]], ...]:
    split = (line.partition(": ") for line in lexicon.lines("answers"))
    return tuple((kind, re.compile(found)) for kind, _, found in split)


@lru_cache(maxsize=4096)
def wanted(question: str) -> tuple[frozenset[str], str]:
    """The kinds that would answer a plain question (empty: any), and the stem of the noun that it asks about."""
    noun = focus(question)
    first, wants = len(question), noun_kinds(noun)
    for kind, found in _answers():
        if (match := found.search(question)) and match.start() < first:
            first, wants = match.start(), _WANTED[kind]
    return frozenset(wants) | (_WHERE if "address" in wants else frozenset()), noun


def focus(question: str) -> str:
    """Stem of the last word of the noun phrase after the question word; empty when there is none."""
    if not (found := _FOCUS.search(question)):
        return ""
    phrase = _STOP_FOCUS.split(found[1] + " ")[0].split()
    return stem(phrase[-1]) if phrase else ""
