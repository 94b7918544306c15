"""A task's facts as the reader sees them: profiles for words, texts for a joint reader."""

from __future__ import annotations

import re
from functools import lru_cache

from mocktrial.envs.task import Fact
from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.profile import Profile, profile

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


def put(fact: Fact, *, about: bool = True, value: bool = True) -> str:
    """A fact as a text: "label (what it is): value"."""
    more = "; ".join(text for text in (fact.description, *fact.aliases) if text)
    named = f"{written_out(fact.label)} ({more})" if about and more else written_out(fact.label)
    return f"{named}: {spoken(fact)}" if value else named
