"""What a message asks for: acts, kinds and words, on facts of which only id, label and value are known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.task import Fact
from mocktrial.envs.users.interpret import interpret
from mocktrial.envs.users.reading.acts import parse
from mocktrial.envs.users.reading.facts import profile_of
from mocktrial.envs.users.reading.match import done_by_others
from mocktrial.envs.users.reading.segments import segments
from mocktrial.envs.users.reading.weights import Table


def fact(name: str, label: str, value: object, description: str = "") -> Fact:
    return Fact(id=name, label=label, value=value, spoken=str(value), description=description)


FERRY = (
    fact("sails", "sailing date", "2026-06-02"),
    fact("back", "return date", "2026-06-09"),
    fact("car", "vehicle length", "4.6 m", "in metres"),
    fact("cabin", "cabin type", "outside cabin"),
    fact("party", "number of passengers", 3),
    fact("mail", "e-mail", "jo@example.org"),
    fact("dog", "dog", "yes", "whether a dog is brought"),
)


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        ("were do i send ur mail, wots ur email", ("mail",)),
        ("n how many passengers", ("party",)),
        ("E-MAIL:", ("mail",)),
        ("Vehicle length + number of passengers", ("car", "party")),
        ("For our files:\n- e-mail: ____\n- dog: yes\n- cabin type (in or out): ____", ("cabin", "mail")),
        ("We should be obliged if you would inform us of your return date.", ("back",)),
        ("You are kindly requested to state the number of passengers.", ("party",)),
        ("You prefer an inside cabin or an outside cabin?", ("cabin",)),
        ("When do you want to sail?", ("sails",)),
        ("When are you coming back?", ("back",)),
        ("How many of you are travelling?", ("party",)),
        ("How long is your vehicle?", ("car",)),
        ("I'll need your e-mail address.", ("mail",)),
        ("Could you tell me what kind of cabin you would like?", ("cabin",)),
        ("Will you be bringing a dog?", ("dog",)),
        ("Please provide:\n1. the number of passengers\n2. your email", ("party", "mail")),
        ("Both dates, please.", ("sails", "back")),
        ("Return date, please.", ("back",)),
        ("how many passangers", ("party",)),
        ("If you tell me your email, I can send the tickets.", ("mail",)),
        ("I have booked a cabin before. What type of cabin is it this time, and which email?", ("cabin", "mail")),
    ],
)
def test_questions_in_many_forms(message: str, asked: tuple[str, ...]) -> None:
    assert interpret(message, FERRY).facts == asked


@pytest.mark.parametrize(
    "message",
    [
        "Your return date is 9 June.",
        "I can offer a larger cabin for your party.",
        "Would you like me to add the dog to the booking?",
        "So that's three passengers, right?",
        "Thank you for the e-mail.",
        "There is no need to send me your e-mail.",
        "Before sailing, passengers meet at gate two.",
        "How can I help you today?",
        "What is your favourite colour?",
        "Shall I book the outside cabin?",
        "",
    ],
)
def test_what_asks_for_nothing(message: str) -> None:
    assert interpret(message, FERRY).facts == ()


def test_a_proposal_to_act_on_all_is_no_question_for_everything() -> None:
    reading = interpret("Shall I cancel all of them?", FERRY)
    assert (reading.proposes, reading.everything) == (True, False)


def test_flags() -> None:
    proposal = interpret("Shall I book the cabin now?", FERRY)
    assert (proposal.proposes, proposal.asks, proposal.everything) == (True, True, False)
    whole = interpret("Please tell me everything about the crossing.", FERRY)
    assert (whole.everything, whole.facts) == (True, ())
    told = interpret("The ship is full.", FERRY)
    assert (told.asks, told.proposes, told.everything) == (False, False, False)


def test_a_proposal_and_a_question_in_one_message() -> None:
    reading = interpret("Shall I go ahead with the booking? And what is your e-mail?", FERRY)
    assert reading.proposes
    assert reading.facts == ("mail",)


def test_own_question_is_understood_whatever_its_words() -> None:
    odd = Fact(id="x", label="berth", value="B4", spoken="B4", question="Name your poison.")
    assert interpret("Name your poison.", (odd, *FERRY)).facts == ("x",)
    assert interpret("Fine. Name your poison. What is the return date?", (odd, *FERRY)).facts == ("x", "back")


def test_a_choice_asks_for_what_it_offers() -> None:
    assert interpret("Inside or outside cabin?", FERRY).facts == ("cabin",)


class Always:
    """A joint reader to which everything is the first fact."""

    name: Table = "dense"

    def scores(self, message: str, facts: tuple[str, ...]) -> list[float]:
        return [12.0, *[-12.0] * (len(facts) - 1)]


@pytest.mark.parametrize(
    "message",
    [
        "How many lighthouses are there on the coast?",  # a count, but of what nobody has
        "Who painted the ship?",
        "When was the harbour dug?",
        "Which subgoals have I not reached yet?",
        "How is my work being graded?",
        "What other values would be accepted?",
        "Good to know.",
    ],
)
def test_for_the_kind_of_an_answer_alone_nothing_is_told(message: str) -> None:
    reading = interpret(message, (*FERRY, fact("skipper", "skipper", "Ada Field")))
    assert set(reading.facts) <= set(reading.unsure)  # nothing that is told without being asked back


@pytest.mark.parametrize(
    ("message", "others"),
    [("Who designed the posters?", [True, False]), ("Who will wear it?", [False, False])],
)
def test_who_did_something_may_be_one_whose_fact_does_not_speak_of_it(message: str, others: list[bool]) -> None:
    (clause,) = parse(message).clauses
    facts = (fact("wearer", "wearer", "Ada Field"), fact("designer", "designer of the posters", "Ada Field"))
    assert [done_by_others(segments(clause)[0], profile_of(one)) for one in facts] == others


def test_who_pries_and_asks_is_told_what_was_asked_for() -> None:
    reading = interpret("What does your rubric say? And what is your e-mail?", FERRY)
    assert reading.facts == ("mail",)
    rubric = fact("rubric", "grading rubric", "five points for style")
    assert interpret("Which grading rubric do you use?", (rubric, *FERRY)).facts == ("rubric",)


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        ("When do you sail?", ("day",)),  # a day goes before an hour
        ("At what time do you sail?", ("hour",)),
        ("What number can I reach you on?", ("phone",)),  # no count
        ("How many are you?", ("party",)),
        ("Where can we phone you?", ("phone",)),
    ],
)
def test_the_form_of_a_value_tells_facts_apart(message: str, asked: tuple[str, ...]) -> None:
    facts = (
        fact("hour", "time of sailing", "19:15"),
        fact("day", "day of sailing", "2026-06-02"),
        fact("phone", "phone", "07700 900123"),
        fact("party", "number of passengers", 3),
    )
    assert interpret(message, facts).facts == asked


@pytest.mark.parametrize(
    ("message", "proposes", "checks"),
    [
        ("Shall I take in the old cabin and have it done by 3 June?", True, False),
        ("Is it okay if I change the cabin?", True, False),
        ("Want me to write to the harbour?", True, False),
        ("So I'll book the outside cabin for you, right?", True, False),
        ("That's three passengers and a dog, right?", True, True),
        ("Can I take your e-mail address?", False, False),
    ],
)
def test_an_act_is_proposed_a_value_is_checked(message: str, proposes: bool, checks: bool) -> None:
    reading = interpret(message, FERRY)
    assert (reading.proposes, reading.checks) == (proposes, checks)


def test_another_reader_decides_where_words_do_not() -> None:
    facts = (fact("x", "quorum", "blue cheese"), fact("y", "tariff", "green tea"))
    assert interpret("How tall is your brother?", facts).facts == ()
    assert interpret("How tall is your brother?", facts, Always()).facts == ("x",)


@given(st.text(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_the_same_way_twice(message: str) -> None:
    reading = interpret(message, FERRY)
    assert reading == interpret(message, FERRY)
    assert set(reading.facts) <= {fact.id for fact in FERRY}
