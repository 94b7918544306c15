"""Parts of the reader: how evidence is weighed, and how a message is cut up."""

from __future__ import annotations

import pytest

from mocktrial.envs.task import Fact
from mocktrial.envs.users.interpret import interpret
from mocktrial.envs.users.reading import lexicon
from mocktrial.envs.users.reading.acts import parse
from mocktrial.envs.users.reading.clauses import sentences
from mocktrial.envs.users.reading.facts import written_out
from mocktrial.envs.users.reading.segments import pieces
from mocktrial.envs.users.reading.weights import Weights, beside, by_words, candidates, load_weights, probabilities


@pytest.mark.parametrize("reader", ["lexical", "dense"])
def test_the_limits_are_in_order(reader: str) -> None:
    weights = load_weights(reader)  # type: ignore[arg-type]
    assert 0 < weights.maybe < weights.threshold <= weights.sure < 1


def test_candidates_are_named_only_where_none_is_beyond_doubt() -> None:
    weights = Weights({}, threshold=0.6, sure=0.85, maybe=0.1)
    assert candidates([0.9, 0.5], weights) == []
    assert candidates([0.4, 0.02, 0.7], weights) == [2, 0]
    assert candidates([0.05, 0.02], weights) == []
    assert candidates([], weights) == []


def test_of_the_parts_of_a_message_the_likeliest_counts() -> None:
    weights = Weights({"evidence": 2.0})
    parts = [[{"evidence": 1.0}, {"evidence": -1.0}], [{"evidence": 0.5, "strange": 9.0}, {"evidence": 0.0}]]
    assert by_words(parts, 2, weights) == [2.0, 0.0]
    assert by_words([], 1, weights)[0] < -5


def test_a_fact_is_weighed_beside_the_others() -> None:
    first, second = beside([1.0, 3.0], [[99.0, 0.0]])
    assert (first["words"], first["words_lead"], first["joint"], first["joint_lead"]) == (1.0, -2.0, 10.0, 10.0)
    assert (second["words_lead"], second["joint_lead"]) == (2.0, -10.0)
    assert first["joint_share"] + second["joint_share"] == pytest.approx(1, abs=1e-3)
    assert probabilities([1.0, 3.0], [[0.0, 0.0]], Weights({"words_lead": 1.0}))[1] == pytest.approx(0.881, abs=1e-3)


def test_of_two_things_in_one_sentence_the_plainer_does_not_hide_the_other() -> None:
    together = [[4.0, 1.0]]
    assert [fact["piece"] for fact in beside([0.0, 0.0], together)] == [3.0, -3.0]
    apart = [*together, [4.0, -6.0], [-6.0, 2.0]]
    assert [fact["piece"] for fact in beside([0.0, 0.0], apart)] == [4.0, 2.0]


def test_a_message_is_cut_where_it_lists() -> None:
    assert pieces("They want your name, a phone number and where to ring. Which day?") == (
        "They want your name", "a phone number", "where to ring.", "Which day?",
    )  # fmt: skip
    assert pieces("Salt and pepper?") == pieces("Which day do you leave?") == ()


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
