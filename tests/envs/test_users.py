"""The scripted user: what it tells, when, and what it never does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.task import Fact, Persona
from mocktrial.envs.users.base import Reply, UserState, guard, says
from mocktrial.envs.users.interpret import interpret
from mocktrial.envs.users.scripted import ScriptedUser

DAY = Fact(
    id="day", label="the day of the visit", value="2026-05-14", spoken="Thursday, 2026-05-14",
    question="Which day would you like?", aliases=("date", "when", "day"), alternatives=("2026-05-15",),
)  # fmt: skip
REASON = Fact(
    id="reason", label="the reason for the visit", value="check-up", spoken="a check-up",
    question="What is the reason for the visit?", aliases=("reason", "why"), alternatives=("vaccination",),
)  # fmt: skip
DOCTOR = Fact(id="doctor", label="the doctor", value="Dr. Lee", spoken="Dr. Lee", hidden=False)
FACTS = (DAY, REASON, DOCTOR)


async def ask(message: str, state: UserState | None = None, persona: Persona | None = None) -> tuple[Reply, UserState]:
    return await ScriptedUser().reply(state or UserState(), message, persona=persona or Persona(), goal="", facts=FACTS)


@pytest.mark.parametrize(
    ("message", "released"),
    [
        ("Which day would you like?", ("day",)),
        ("When would you like to come?", ("day",)),
        ("Please tell me the date.", ("day",)),
        ("What is the reson for the visit?", ("reason",)),  # a slip of the finger
        ("When do you want to come, and why?", ("day", "reason")),
        ("Which day? What is the reason?", ("day", "reason")),
        ("What is your favourite colour?", ()),
        ("I will look for a day.", ()),
    ],
)
async def test_a_fact_is_told_when_asked_for(message: str, released: tuple[str, ...]) -> None:
    reply, state = await ask(message)
    assert reply.released == released
    assert state.released == released
    for fact in FACTS:
        assert (fact.spoken.casefold() in reply.text.casefold()) == (fact.id in released)


async def test_tell_me_everything_gets_a_question_back() -> None:
    reply, _ = await ask("Please tell me everything about the visit.")
    assert reply.released == ()
    assert reply.needless == ("everything",)
    assert reply.text.endswith("?")


async def test_repeated_and_public_questions_are_needless_but_answered() -> None:
    _, state = await ask("Which day?")
    again, state = await ask("Which day?", state)
    assert again.needless == ("repeated",)
    assert DAY.spoken in again.text
    public, _ = await ask("Which doctor?", state)
    assert public.needless == ("public",)


async def test_patience_ends() -> None:
    state = UserState(patience=2)
    first, state = await ask("What is your shoe size?", state)
    second, state = await ask("What is your shoe size?", state)
    assert (first.leaves, second.leaves) == (False, True)


async def test_a_yes_never_leaves() -> None:
    reply, _ = await ask("Shall I go ahead and book it?", UserState(patience=1))
    assert reply.confirmed
    assert not reply.leaves


async def test_a_wrong_proposal_is_corrected() -> None:
    reply, _ = await ask("Shall I book the visit on 2026-05-15?")
    assert not reply.confirmed
    assert reply.released == ("day",)
    right, _ = await ask("Shall I book the visit on 2026-05-14?")
    assert right.confirmed


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_makes_the_user_say_what_it_does_not_release(message: str) -> None:
    import asyncio

    for manner in ("plain", "terse", "chatty"):
        reply, _ = asyncio.run(ask(message, persona=Persona(manner=manner)))  # type: ignore[arg-type]
        untold = [fact for fact in FACTS if fact.hidden and fact.id not in reply.released]
        assert guard(reply.text, [], untold) == ""


def test_the_guard_sees_leaks_and_omissions() -> None:
    assert guard("On Thursday, 2026-05-14.", [DAY], [REASON]) == ""
    assert guard("Some day.", [DAY], []) == "day is not told"
    assert guard("For a check-up, of course.", [], [REASON]) == "reason is leaked"


def test_reading_gives_ids_only() -> None:
    reading = interpret("Which day, and for what reason?", FACTS)
    assert reading.facts == ("day", "reason")
    assert reading.asks
    assert not reading.proposes


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("it is 5.", "5", True), ("it is -5", "5", False), ("-5", "5", False), ("5.50 a day", "5", False),
        ("at 10:05", "10", False), ("at 10:05, then", "10:05", True), ("parcel k-624", "624", True), ("1,250", "250", False),
        ("5, 6 or 7", "6", True), ("it is -5", "-5", True), ("fifty", "fif", False),
    ],
)  # fmt: skip
def test_a_number_is_said_only_as_a_whole(text: str, value: str, said: bool) -> None:
    assert says(text, value) is said
