"""What every user simulator is: a pure step from (state, message) to (reply, state).

A user sees persona, goal, facts and what it can do itself; never gold plan or rubric (DESIGN, invariant 4).
The state is frozen data, so that an episode can be branched at any turn. The guard stands here because
every user, scripted or model, must pass it; `guard` has what only a model's words are looked at for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol, TypeAlias

from mocktrial.envs.task import Deed, Fact, Persona
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold
from mocktrial.mocktools.world import ToolResult

_IN_NUMBERS = (".", ",", ":")
Needless = Literal["unknown", "repeated", "public", "everything", "statement", "empty"]
# What was wrong with a model's words; the phrase was then replaced, and the episode's events have the kind.
Flaw = Literal[
    "leak",  # an untold value
    "missing_value",  # a value that was to be told
    "wrong_value",  # another value of a fact
    "consent",  # a yes or a no that was not decided
    "role_swap",  # it speaks as the assistant, or offers to do the work
    "thinks_aloud",  # thoughts, or words about the user, in place of the user's own
    "early_goodbye",
    "stop_word",  # a sign of some framework for the end
    "strays",  # words that nothing it was given accounts for
    "too_long",
    "empty",
    "misread",  # the interpreter's answer was none, and was asked for again
]
Hand: TypeAlias = Callable[[str, Mapping[str, Any]], ToolResult]  # calls a tool of the user's on the episode's world


class UserState(Frozen):
    """What a user remembers of the conversation."""

    released: tuple[str, ...] = ()  # ids of hidden facts told so far, in order
    patience: int = 4  # needless messages left
    seed: int = 0
    withheld: tuple[str, ...] = ()  # ids of private facts that were asked for and kept back
    done: tuple[str, ...] = ()  # ids of deeds carried out
    offered: tuple[str, ...] = ()  # ids of facts of which it asked back whether they are meant, in its last reply
    awaiting: bool = False  # it said yes to something that the agent has neither done nor declined
    said: tuple[str, ...] = ()  # the last messages, the agent's and its own in turn; only for users that read them


class Reply(Frozen):
    """A user's answer. `released` lists facts told for the first time by this message."""

    text: str
    released: tuple[str, ...] = ()
    confirmed: bool = False
    needless: tuple[Needless, ...] = ()
    leaves: bool = False
    faults: tuple[Flaw, ...] = ()


class User(Protocol):
    """A simulated user. Raises `NoResult(blame="user")` when it cannot keep its contract.

    deeds, hand: given where the user has tools of its own; `hand` runs one on the episode's world.
    """

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...],
        deeds: tuple[Deed, ...] = (), hand: Hand | None = None,
    ) -> tuple[Reply, UserState]: ...  # fmt: skip


def guard(text: str, told: Iterable[Fact], untold: Iterable[Fact]) -> str:
    """Empty when `text` holds every told value and no untold one; else what is wrong with it.

    An untold value that stands inside a told one ("7" in "7 days") is not told by it.
    """
    rest = folded = fold(text)
    for fact in told:
        if fold(fact.spoken) not in folded:
            return f"{fact.id} is not told"
        rest = without(rest, fact.spoken)
    for fact in untold:
        if any(says(rest, form) for form in (str(fact.value), fact.spoken)):
            return f"{fact.id} is leaked"
    return ""


def says(folded_text: str, value: str) -> bool:
    """Whether a folded text holds a value as whole words; 5 is not said by -5, 5.50 or 10:05."""
    return next(_places(folded_text, fold(value)), None) is not None


def without(folded_text: str, value: str) -> str:
    """A folded text with every place that says `value` blanked."""
    value = fold(value)
    kept, end = [], 0
    for place in _places(folded_text, value):
        if place >= end:
            kept.append(folded_text[end:place])
            end = place + len(value)
    return "_".join([*kept, folded_text[end:]])


def _places(text: str, value: str) -> Iterator[int]:
    """Where a folded text says a folded value. No regex: values are new each time."""
    place = text.find(value) if value else -1
    while place >= 0:
        if _stands_alone(text, place, place + len(value)):
            yield place
        place = text.find(value, place + 1)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether this part of a text is no part of a longer word or number."""
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if _is_word(before[-1:]) or _is_word(after[:1]):
        return False
    if text[start].isdigit() and before:
        minus = before[-1] == "-" and (len(before) == 1 or before[0].isspace())
        if minus or (before[0].isdecimal() and before[1:] in _IN_NUMBERS):
            return False
    return not (text[end - 1].isdigit() and after[:1] in _IN_NUMBERS and after[1:].isdecimal())


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"
