"""A user that is not sure which fact is meant asks back, by labels, and tells it at the answer."""

from __future__ import annotations

import random

import pytest

from mocktrial.envs.task import Fact, Persona
from mocktrial.envs.users.asking import picked
from mocktrial.envs.users.base import UserState
from mocktrial.envs.users.certify.agents import Move, answer_back
from mocktrial.envs.users.certify.cast import Cast, make_cast, scenes
from mocktrial.envs.users.certify.conversation import converse
from mocktrial.envs.users.certify.detect import chances, findings
from mocktrial.envs.users.decision import Decision, decide
from mocktrial.envs.users.guard import flaws_of
from mocktrial.envs.users.interpret import Reading
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.envs.users.templates import Script, phrases


def fact(name: str, label: str, value: str) -> Fact:
    return Fact(id=name, label=label, value=value, spoken=value)


FACTS = (
    fact("out", "the day of departure", "3 May"),
    fact("back", "the day of return", "9 May"),
    fact("bike", "kind of bicycle", "tandem"),
)
UNSURE = Reading(facts=("back",), unsure=("out", "back"), asks=True)


def answer(message: str, reading: Reading, state: UserState) -> Decision:
    return decide(reading, state, message, FACTS)


def test_what_is_not_clear_is_asked_back_and_not_told() -> None:
    decision = answer("When is it?", UNSURE, UserState())
    assert (decision.asks_back, decision.tells, decision.needless) == (("out", "back"), (), ())


def test_what_is_clear_is_told_beside_it() -> None:
    both = Reading(facts=("bike",), unsure=("out", "back"), asks=True)
    decision = answer("Which bike, and when?", both, UserState())
    assert (decision.tells, decision.asks_back) == (("bike",), ("out", "back"))


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("The day of return.", ("back",)),
        ("I mean the day of return, please.", ("back",)),
        ("The first one.", ("out",)),
        ("The latter", ("back",)),
        ("Both, please.", ("out", "back")),
        ("Neither.", ()),
        ("When does the first of the three trains in the morning leave?", ()),
    ],
)
def test_an_answer_picks_one_of_what_was_named(message: str, meant: tuple[str, ...]) -> None:
    assert picked(message, ("out", "back"), FACTS) == meant
    decision = answer(message, Reading(), UserState(offered=("out", "back")))
    assert (decision.tells, decision.asks_back) == (meant, ())


def test_what_another_label_is_part_of_is_not_named_by_it() -> None:
    facts = (fact("team", "team", "Rovers"), fact("captain", "captain of the team", "Ada"))
    assert picked("The captain of the team.", ("team", "captain"), facts) == ("captain",)
    assert picked("The team.", ("team", "captain"), facts) == ("team",)


def test_a_yes_picks_what_alone_was_named() -> None:
    assert picked("Yes.", ("out",), FACTS) == ("out",)
    assert picked("Yes.", ("out", "back"), FACTS) == ()
    assert picked("Yes.", (), FACTS) == ()


def test_it_asks_once_and_then_takes_the_likeliest() -> None:
    decision = answer("So when is it?", UNSURE, UserState(offered=("out", "back")))
    assert (decision.tells, decision.asks_back) == (("back",), ())


def test_asking_back_again_and_again_costs_patience() -> None:
    decision = answer("When is it?", UNSURE, UserState(offered=("bike",)))
    assert decision.asks_back
    assert decision.needless == ("unknown",)


def test_a_proposal_is_answered_and_not_asked_back() -> None:
    decision = answer("Shall I book it?", Reading(unsure=("out",), asks=True, proposes=True), UserState())
    assert (decision.confirmed, decision.asks_back) == (True, ())


@pytest.mark.parametrize("manner", ["plain", "terse", "chatty"])
def test_it_names_labels_and_no_value(manner: str) -> None:
    decision = Decision(asks_back=("out", "back"))
    script = Script(decision, Persona(manner=manner), unclear=("the day of departure", "the day of return"))  # type: ignore[arg-type]
    for text in phrases(script):
        assert "the day of departure or the day of return" in text
        assert "May" not in text


def test_a_model_that_asks_something_else_back_is_replaced() -> None:
    script = Script(Decision(asks_back=("out",)), Persona(), unclear=("the day of departure",))
    assert "missing_value" in flaws_of("What do you mean?", script, FACTS, FACTS)
    assert "missing_value" not in flaws_of("Do you mean the day of departure?", script, FACTS, FACTS)


def asked(cast: Cast, *places: int, again: int = 0) -> Move:
    return Move(kind="ask", text="What?", asks=tuple(cast.facts[place].id for place in places), again=again)


def test_an_agent_that_is_asked_back_names_what_it_means() -> None:
    cast = make_cast(scenes()[0], 1)
    first, second = cast.facts[:2]
    reply = f"{second.spoken}. Do you mean {first.label}?"
    said = answer_back(asked(cast, 0, 1), reply, cast, random.Random(0))
    assert said is not None
    assert (said[0].asks, said[1].asks, said[1].text) == ((second.id,), (first.id,), f"{first.label}.")


def test_where_it_was_not_named_it_says_it_in_other_words() -> None:
    cast = make_cast(scenes()[0], 1)
    said = answer_back(asked(cast, 0), f"Do you mean {cast.facts[1].label}?", cast, random.Random(0))
    assert said is not None
    assert said[1].text in cast.scene.facts[0].wordings


@pytest.mark.parametrize(("reply", "again"), [("I don't know.", 0), ("What do you mean?", 0), ("{label}?", 2)])
def test_other_answers_are_not_answered_nor_the_third_question(reply: str, again: int) -> None:
    cast = make_cast(scenes()[0], 1)
    assert (
        answer_back(asked(cast, 0, again=again), reply.format(label=cast.facts[0].label), cast, random.Random(0))
        is None
    )


async def test_asking_back_is_counted_and_what_was_asked_stays_as_much() -> None:
    held = [await converse(ScriptedUser(), number, 0) for number in range(0, 66, 11)]  # asks_one in six scenes
    counted = [sum(found.fault == "asked_back" for found in findings(each)) for each in held]
    assert sum(counted) > 0
    whole = [each for each in held if not each.turns[-1].reply.leaves]
    assert len(whole) > 1
    assert {chances(each, "unanswered") for each in whole} == {4}
