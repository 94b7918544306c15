"""Parts of the reader: word vectors, how a fact stands among others, and how a message is cut up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.envs.task import Fact
from mocktrial.envs.users.interpret import interpret
from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.acts import parse
from mocktrial.envs.users.reading.clauses import sentences
from mocktrial.envs.users.reading.facts import written_out
from mocktrial.envs.users.reading.likeness import Source, likeness
from mocktrial.envs.users.reading.match import Evidence
from mocktrial.envs.users.reading.vectors import answer, load_vectors, nearness, question
from mocktrial.envs.users.reading.weights import Weights, candidates, clear, load_weights, probabilities

LEXICAL = {"evidence": 0.0, "yesno": 0.0, "offer": 0.0, "stated": 0.0, "kind_fails": 0.0, "kind_fits": 1.0}


def test_words_that_share_no_letter_may_be_near() -> None:
    facts = [answer((("physician", 1.0),)), answer((("vehicle", 1.0),))]
    doctor, car = nearness("which doctor", facts), nearness("what car is it", facts)
    assert doctor[0] > doctor[1]
    assert car[1] > car[0]


def test_a_text_without_known_words_is_near_to_nothing() -> None:
    assert question("zzxq 12 ?") == ()
    assert nearness("zzxq", [answer((("physician", 1.0),))]) == [0]
    assert nearness("which doctor", [answer((("", 1.0),))]) == [0]


@given(st.text(max_size=60))
def test_a_question_has_length_one_or_nothing(text: str) -> None:
    vector = question(text)
    assert not vector or math.isclose(sum(value * value for value in vector), 1.0, rel_tol=1e-9)


def test_every_word_has_a_whole_vector() -> None:
    table = load_vectors()
    assert len(table.mixing) == len(table.mixing[0]) == len(question("which doctor"))
    assert all(len(line.split()) == 3 for line in table.lines.values())


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=6), st.floats(-10, 10))
def test_shares_are_probabilities(scores: list[float], none: float) -> None:
    source = Source("words", scores, scores, none)
    found = [dict(likeness(source, own, LEXICAL)) for own in range(len(scores))]
    assert sum(one["words_share"] for one in found) <= 1.0 + 1e-9
    assert math.isclose(sum(one["words_likeliest"] for one in found), 1.0, rel_tol=1e-6)
    assert any(one["words_first"] for one in found) or len(scores) == 1


@pytest.mark.parametrize("reader", ["lexical", "dense"])
def test_the_limits_are_in_order(reader: str) -> None:
    weights = load_weights(reader)  # type: ignore[arg-type]
    assert 0 < weights.maybe < weights.threshold <= weights.sure < 1


def test_candidates_are_named_only_where_none_is_beyond_doubt() -> None:
    weights = Weights(0.6, 0.3, 0.85, 0.1, {"evidence": 1.0})
    assert candidates([0.9, 0.5], weights) == []
    assert candidates([0.4, 0.02, 0.7], weights) == [2, 0]
    assert candidates([0.05, 0.02], weights) == []
    assert candidates([], weights) == []


def test_words_alone_settle_a_statement_that_is_near_no_fact_and_a_question_that_is_near_one() -> None:
    weights = Weights(0.6, 0.3, 0.85, 0.1, {"evidence": 1.0})
    far, open_, near = ([Evidence({"evidence": logit}, frozenset())] for logit in (-5.0, 0.0, 5.0))
    assert [clear(found, weights, asks=False) for found in (far, open_, near)] == [True, False, True]
    assert [clear(found, weights) for found in (far, open_, near)] == [False, False, True]


def test_a_feature_without_a_weight_counts_nothing() -> None:
    evidence = [Evidence({"evidence": 0.0, "strange": 9.0}, frozenset())]
    assert probabilities(evidence, Weights(0.6, 0.3, 0.85, 0.1, {"evidence": 1.0})) == [0.5]


def test_a_line_of_the_grammar_may_use_an_earlier_one() -> None:
    assert lexicon.grammar("wh_start").match("by which day")
    assert all(found.pattern.count("{") == found.pattern.count("}") for found in lexicon.named("grammar").values())


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("Two more details: the room and the date.", ["the room and the date"]),
        ("For the register: make of the car, colour.", ["make of the car, colour"]),
        ("Booking form\n1. guest ____\n2. nights ____", ["guest", "nights"]),
        ("Set up your box:\n- people\n- delivery day", ["people", "delivery day"]),
        ("Two things I should say: the shop is shut on Mondays.", []),
        ("For your file: we have moved.", []),
        ("Your booking: room 12, two nights.", []),
        ("Pick a room type.", ["pick a room type"]),
        ("Red or white", ["red or white"]),
        ("Thank you for the details.", []),
        ("Before we start: breed, and the state of the coat.", ["breed, and the state of the coat"]),
        ("In order to help you we ask you to state your name.", ["we ask you to state your name"]),
        ("I need the number before anything else.", ["i need the number before anything else"]),
        ("Please put down your name.", ["please put down your name"]),
        ("Please put the key back.", ["please put the key back"]),
        ("Is rain coming in, and since when?", ["is rain coming in", "since when"]),
        ("Two safety questions: does Ada swim, and is she well?", ["does ada swim", "is she well"]),
    ],
)
def test_what_a_message_asks_for_without_a_question(message: str, wanted: list[str]) -> None:
    assert [clause.text for clause in parse(message).clauses if clause.asks] == wanted


def test_a_sentence_that_only_names_things_alone_asks_for_nothing() -> None:
    parsed = parse("The name of the guest and the room.")
    assert [clause.mode for clause in parsed.clauses] == ["named"]
    assert not parsed.asks


@pytest.mark.parametrize(
    ("message", "mode"),
    [
        ("Shall we wrap it for you?", "offer"),
        ("It is for three people, right?", "offer"),
        ("We open at nine.", "stated"),
        ("Have you tried turning it off?", "stated"),
    ],
)
def test_what_does_not_look_like_a_question_is_kept_and_asks_for_nothing(message: str, mode: str) -> None:
    parsed = parse(message)
    assert [clause.mode for clause in parsed.clauses] == [mode]
    assert parsed.asks == (mode == "offer")  # for a yes


def test_titles_and_times_end_no_sentence() -> None:
    assert [one.text for one in sentences("Is Dr. Lee in? Ask at 5.30 p.m. please.")] == [
        "is dr lee in?",
        "ask at 5.30 p.m please.",
    ]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("no_of_pieces", "no of pieces"),
        ("pickUpTime", "pick Up Time"),
        ("Qty", "quantity"),
        ("firing_temp", "firing temperature"),
        ("Tel. (home)", "telephone (home)"),
        ("name of the guest", "name of the guest"),
    ],
)
def test_a_label_is_written_out(label: str, words: str) -> None:
    assert written_out(label) == words


@pytest.mark.parametrize(("message", "asked"), [("What temperature does it need?", ("a",)), ("How many?", ("b",))])
def test_names_of_fields_are_labels_too(message: str, asked: tuple[str, ...]) -> None:
    oven = Fact(id="a", label="firing_temp", value="1200 degrees", spoken="1200 degrees")
    pots = Fact(id="b", label="Qty", value=9, spoken="9")
    assert interpret(message, (oven, pots)).facts == asked
