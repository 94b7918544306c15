"""What a message says of the facts: the right value, another one, or one to be told whether it is right.

A wrong value is one of `Fact.alternatives`, or one that `kin` or `names` sees and no fact has. Words are
compared, nothing
is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mocktrial.envs.task import Fact
from mocktrial.envs.users.base import says
from mocktrial.envs.users.forms import forms, says_fact
from mocktrial.envs.users.kin import other_values
from mocktrial.envs.users.names import misnamed
from mocktrial.envs.users.words import pattern, sentences
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold, same


class Contradiction(Frozen):
    """A wrong value in a message."""

    of: tuple[str, ...] = ()  # ids of the facts that it is a value of; empty where that is not clear


def contradiction(message: str, facts: Sequence[Fact]) -> Contradiction | None:
    """The wrong values that a message names; None where there is none.

    A fact whose right value is named too is not contradicted ("from the 12th to the 14th").
    """
    folded = fold(message)
    open_facts = [fact for fact in facts if not says_fact(folded, fact)]
    known = tuple(fact.id for fact in open_facts if _names_alternative(folded, fact, facts))
    if known:
        return Contradiction(of=known)
    kin = [fact.id for fact in open_facts if other_values(folded, fact, facts)]
    if kin:
        return Contradiction(of=tuple(kin) if len(kin) == 1 else ())
    linked, strange = misnamed(message, open_facts, facts)
    return Contradiction(of=tuple(linked) if len(linked) == 1 else ()) if strange else None


def _names_alternative(folded: str, fact: Fact, facts: Sequence[Fact]) -> bool:
    named = [other for other in fact.alternatives if any(says(folded, form) for form in forms(other))]
    return any(not any(same(other, known.value) for known in facts) for other in named)


def doubted(message: str, facts: Sequence[Fact], checks: bool = False) -> dict[str, Literal["", "yes", "no"]]:
    """Facts whose values a question names, and whether they are right; empty where it names several to choose from.

    checks: the message is known to ask whether something is so, in whatever form.
    """
    found: dict[str, Literal["", "yes", "no"]] = {}
    for sentence in sentences(message):
        if not sentence.endswith("?") or not (checks or pattern("polar").search(sentence)):
            continue
        wrong = contradiction(sentence, facts)
        for fact in facts:
            others = sum(any(says(sentence, form) for form in forms(other)) for other in fact.alternatives)
            right = says_fact(sentence, fact)
            if others + right > 1:
                found[fact.id] = ""
            elif right or (wrong and fact.id in wrong.of):
                found[fact.id] = "yes" if right else "no"
    return found
