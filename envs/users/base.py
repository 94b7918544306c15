"""What every user simulator is: a pure step from (state, message) to (reply, state).

A user sees persona, goal and facts; never gold plan or rubric (DESIGN, invariant 4). The state is
frozen data, so that an episode can be branched at any turn. The guard stands here because every user,
scripted or model, must pass it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, Protocol

from mocktrial.envs.task import Fact, Persona
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold

Needless = Literal["unknown", "repeated", "public", "everything", "statement", "empty"]


class UserState(Frozen):
    """What a user remembers of the conversation."""

    released: tuple[str, ...] = ()  # ids of hidden facts told so far, in order
    patience: int = 4  # needless messages left
    seed: int = 0


class Reply(Frozen):
    """A user's answer. `released` lists facts told for the first time by this message."""

    text: str
    released: tuple[str, ...] = ()
    confirmed: bool = False
    needless: tuple[Needless, ...] = ()
    leaves: bool = False


class User(Protocol):
    """A simulated user. Raises `NoResult(blame="user")` when it cannot keep its contract."""

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...]
    ) -> tuple[Reply, UserState]: ...


def guard(text: str, told: Iterable[Fact], untold: Iterable[Fact]) -> str:
    """Empty when `text` holds every told value and no untold one; else what is wrong with it."""
    folded = fold(text)
    for fact in told:
        if fold(fact.spoken) not in folded:
            return f"{fact.id} is not told"
    for fact in untold:
        if any(says(folded, form) for form in (str(fact.value), fact.spoken)):
            return f"{fact.id} is leaked"
    return ""


def says(folded_text: str, value: str) -> bool:
    """Whether a folded text holds a value as whole words; 5 is not said by -5, 5.50 or 10:05."""
    value = fold(value)
    return bool(value) and _saying(value).search(folded_text) is not None


@lru_cache(maxsize=4096)
def _saying(value: str) -> re.Pattern[str]:
    before = r"(?<!\d[.,:])(?<!\s-)(?<!^-)" if value[0].isdigit() else ""
    after = r"(?![.,:]\d)" if value[-1].isdigit() else ""
    return re.compile(rf"(?<!\w){before}{re.escape(value)}(?!\w){after}")
