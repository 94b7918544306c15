"""A task's facts as the reader sees them: profiles for words, vectors for meaning, texts for a sentence model."""

from __future__ import annotations

import re
from functools import lru_cache

from mocktrial.envs.task import Fact
from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.profile import Profile, profile
from mocktrial.envs.users.reading.vectors import ABOUT, LABEL, VALUE, Vector, answer

_JOINT = re.compile(r"_+|(?<=[a-z])(?=[A-Z])")  # no_of_pieces, pickUpTime


@lru_cache(maxsize=4096)
def written_out(label: str) -> str:
    """A label as people write it: without the joints of field names, and without their abbreviations."""
    text = _JOINT.sub(" ", label)
    return " ".join(_abbreviations().get(word.casefold().rstrip("."), word) for word in text.split())


@lru_cache(maxsize=1)
def _abbreviations() -> dict[str, str]:
    split = (line.partition(": ") for line in lexicon.lines("abbreviations"))
    return {form: instead for form, _, instead in split}


def spoken(fact: Fact) -> str:
    if isinstance(fact.value, bool):
        return "yes" if fact.value else "no"
    return fact.spoken or str(fact.value)


def profile_of(fact: Fact) -> Profile:
    return profile(fact.id, written_out(fact.label), fact.description, spoken(fact), (fact.question, *fact.aliases))


def vector_of(fact: Fact) -> Vector:
    return answer(worded(fact))


def worded(fact: Fact) -> tuple[tuple[str, float], ...]:
    """The texts of a fact, and how much the words of each count."""
    more = " ".join((fact.description, fact.question, *fact.aliases))
    return (written_out(fact.label), LABEL), (more, ABOUT), (spoken(fact), VALUE)


def texts_of(fact: Fact) -> tuple[str, ...]:
    """Ways to put a fact, of which a sentence model takes the mean."""
    label, about, value = written_out(fact.label), fact.description, spoken(fact)
    explained = f"{label}: {about}" if about else label
    told = f"{label} ({about}): {value}" if about else f"{label}: {value}"
    own = " ".join((fact.question, *fact.aliases)).strip()
    return (label, explained, told, *((own,) if own else ()))
