"""How a persona speaks: values survive, nothing comes in, no pattern is worn out, the grammar holds."""

from __future__ import annotations

import random
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mocktrial.synth.voice
from mocktrial.envs.task import Persona
from mocktrial.envs.users.base import says
from mocktrial.mocktools.values import fold
from mocktrial.synth.personas import Personas
from mocktrial.synth.voice.keyboard import slip
from mocktrial.synth.voice.masks import mask, pattern_of, unmask
from mocktrial.synth.voice.speech import realise, voice, with_article

HERE = Path(mocktrial.synth.voice.__file__).parent
DATA: dict[str, Any] = tomllib.loads((HERE / "speech.toml").read_text(encoding="utf-8"))
MANNERS: tuple[Literal["plain", "terse", "chatty"], ...] = ("plain", "terse", "chatty")

# Instructions as planners write them: values stand in braces.
PLANNED = [
    "Book {Ada} with a doctor at {10:30}.", "Change the delivery date of parcel {p12} to {2026-05-13}.", "{Ada Lee} cannot come. Cancel the visit.",
    "How many GB did a device of {Ilse} use?", "Where will the {small} parcel of {Bo} arrive?", "{Ilse}'s {tablet} must go offline. Block it.",
    "Order {12} must go back.", "Please refund order {A-7} to account {5511}.", "Can you look up the balance of {Dr. Lee}?", "I need you to cancel {Ada}'s order.",
    "A network needs a new password: {bluefish}.", "If the {Oak} room is taken, book the {Elm} room at {16:00}.", "Tell me what the cheapest offer of {Bo} is.",
    "Send {Bo} the invoice. Then close ticket {T-9}.", "Could you note that {Bo} is away? And please feed the cat.", "Which label do we have for the {red Zoe}?",
    "Increase the limit of {Ada} by {$12.50}.", "We have moved. Change the address of policy {o7} to {12 High Street}.", "Take {Bo}'s {tv} offline every night at {20:00}, please.",
    "Add {3} copies of {\"Dune\"} to the order.",
]  # fmt: skip


def spoken(planned: str) -> tuple[str, list[str]]:
    return re.sub(r"[{}]", "", planned), re.findall(r"\{([^}]*)\}", planned)


def sayings(count: int, seed: int = 1) -> list[tuple[Persona, str, str, list[str]]]:
    people = Personas(seed)
    found = []
    for number in range(count):
        persona = people.persona(number)
        text, values = spoken(PLANNED[number % len(PLANNED)])
        found.append((persona, text, realise(text, persona, values, (), random.Random(number)), values))
    return found


def test_every_value_survives_as_it_was_spoken() -> None:
    for _, text, said, values in sayings(3000):
        assert all(value in said for value in values), said
        assert set(re.findall(r"\d+", said)) == set(re.findall(r"\d+", text)), said


def test_hardly_an_instruction_falls_back_on_the_planned_words() -> None:
    same: Counter[str] = Counter()
    for persona, text, said, _ in sayings(4000):
        same[text] += said == text and persona.manner == "chatty"
    assert max(same.values()) < 0.05 * 4000 / len(PLANNED)


def test_equal_chance_gives_equal_words_and_other_chance_others() -> None:
    assert sayings(50) == sayings(50)
    persona = Persona(manner="chatty")
    assert len({voice(persona, "Book a slot.", random.Random(n)) for n in range(200)}) > 150


def test_no_pattern_above_two_percent_even_of_twenty_templates() -> None:
    said = sayings(5000)
    patterns = Counter(pattern_of(text, values) for _, _, text, values in said)
    sentences = Counter(one for pattern in patterns for one in set(re.split(r"(?<=[.?!])\s+", pattern)))
    assert max(patterns.values()) < 0.02 * len(said)
    assert len(patterns) > 0.75 * len(said)
    planned = " ".join(pattern_of(text, values) for _, text, _, values in said[: len(PLANNED)])
    around = Counter({sentence: n for sentence, n in sentences.items() if sentence.rstrip(".?!") not in planned})
    assert around.most_common(1)[0][1] < 0.02 * len(said)  # not even a single sentence around the request


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=80),
    st.text(min_size=1, max_size=12),
    st.integers(0, 10**6),
    st.sampled_from(MANNERS),
    st.sampled_from(["clean", "lower", "typos", "brief"]),
)
def test_any_text_is_said_with_its_value(text: str, value: str, seed: int, manner: Any, typing: Any) -> None:
    whole = f"Book {value} for me. {text}"
    said = realise(whole, Persona(manner=manner, typing=typing, occupation="usher"), [value], (), random.Random(seed))
    assert value in said


def test_no_hidden_value_comes_in() -> None:
    hidden = ["day", "help", "quick", "thank you", "hi", "request"]
    for number in range(600):
        persona = Personas(2).persona(number)
        said = realise("Book Ada with a doctor.", persona, ["Ada"], hidden, random.Random(number))
        assert not any(says(fold(said), value) for value in hidden), said


def test_the_words_around_hold_no_value() -> None:
    texts = " ".join(str(DATA[part]) for part in ("phrases", "frames", "parts"))
    assert not re.search(r"\d", texts)
    plain = fold(re.sub(r"[^\w\s]", " ", texts))
    for word in ("today", "tomorrow", "tonight", "monday", "friday", "january", "three", "confirm", "cheapest"):
        assert not says(plain, word), word


def test_there_is_enough_to_say() -> None:
    def of(tree: Any) -> list[str]:
        return (
            [tree]
            if isinstance(tree, str)
            else [text for item in (tree.values() if isinstance(tree, dict) else tree) for text in of(item)]
        )

    phrases = DATA["phrases"]
    assert len(set(of(phrases["greeting"]) + of(phrases["lead"]))) >= 60
    assert len(set(of(phrases["aside"]))) >= 30
    closers = {
        realise("X.", Persona(manner="chatty"), ["X."], (), random.Random(n)).partition("X.")[2] for n in range(3000)
    }
    assert len(closers) >= 100


@pytest.mark.parametrize("manner", MANNERS)
def test_every_part_that_is_named_is_there(manner: str) -> None:
    parts, given = set(DATA["parts"]), {"x", "X", "S", "a_occupation"}
    for slot in re.findall(r"\{(\w+)\}", str(DATA["phrases"]) + str(DATA["frames"]) + str(DATA["parts"])):
        assert slot in parts | given
    assert set(DATA["shapes"][manner]) == {"greeting", "lead", "frame", "aside", "closer", "contract"}


def test_a_statement_is_never_made_a_command() -> None:
    for number in range(300):
        said = realise("Order 12 must go back.", Persona(manner=MANNERS[number % 3]), ["12"], (), random.Random(number))
        assert "rder 12 must go back." in said, said


def test_grammar_of_a_thousand() -> None:
    wrong = re.compile(
        r"\ba [aeio]\w|\ban [bcdfgjklmnpqrstvwz]\w|\b(\w+) \1\b(?!, tv)|[.!?] [.,]|,,|\bi\b(?= (?:needs|wants))|\{|\}|you to please|please please"
        r"|(?:[Cc]ould|[Cc]an|[Ww]ould) you (?:could|can|would|please could|I|i) ",
    )  # fmt: skip
    for persona, _, said, _ in sayings(3000, seed=5):
        if persona.typing in ("clean", "lower"):
            assert not wrong.search(said.replace("Dr. Lee", "")), said


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("nurse", "a nurse"),
        ("usher", "an usher"),
        ("union official", "a union official"),
        ("X-ray technician", "an X-ray technician"),
        ("honest broker", "an honest broker"),
        ("undertaker", "an undertaker"),
        ("IT technician", "an IT technician"),
        ("university clerk", "a university clerk"),
        ("uninsured driver", "an uninsured driver"),
        ("optician", "an optician"),
        ("one-man band", "a one-man band"),
    ],
)
def test_articles(noun: str, phrase: str) -> None:
    assert with_article(noun) == phrase


def test_habits() -> None:
    def said(**fields: Any) -> list[str]:
        return [
            realise(
                "Please cancel Ada's booking and tell me about the deposit.",
                Persona(**fields),
                ["Ada"],
                (),
                random.Random(n),
            )
            for n in range(200)
        ]

    assert all(text == text.lower().replace("ada", "Ada") for text in said(manner="plain", typing="lower"))
    assert any("pls" in text or "plz" in text for text in said(manner="plain", typing="brief"))
    clean, slips = said(manner="terse"), said(manner="terse", typing="typos")
    assert sum(a != b for a, b in zip(clean, slips, strict=True)) > 190
    assert any("favor " in text for text in said(manner="chatty", locale="en"))
    assert not any("favor " in text for text in said(manner="chatty", locale="en-GB"))
    open_, private = (" ".join(said(manner="chatty", occupation="usher", privacy=p)) for p in (0, 1))
    assert "an usher" in open_
    assert "an usher" not in private
    terse, chatty = (sum(map(len, said(manner=manner))) for manner in ("terse", "chatty"))
    assert chatty > 1.6 * terse


def test_slips_hit_no_value_and_no_word_that_decides() -> None:
    for seed in range(300):
        text, spans = mask("Book the latest cheapest flight from Zürich before Monday for customer b12c", ["Monday"])
        said = unmask(slip(text, random.Random(seed), DATA["slips"]["never"]), spans)
        for word in ("latest", "cheapest", "from", "before", "Monday", "b12c", "Zürich"):
            assert word in said


def test_masks_come_off_again() -> None:
    masked, spans = mask('Send "two words" to a@b.org at 10:30, Ada Lee and Ada.', ["Ada", "Ada Lee"])
    assert spans == ("Ada Lee", "Ada", '"two words"', "a@b.org", "10:30")
    assert unmask(masked, spans) == 'Send "two words" to a@b.org at 10:30, Ada Lee and Ada.'
    assert unmask(*mask('Add "Dune" and "Dune II".', ["Dune"])) == 'Add "Dune" and "Dune II".'
    assert pattern_of("Book Ada at 10:30!", ["Ada"]) == pattern_of("book  Bo at 09:15!", ["Bo"]) == "book _ at _:_!"
    assert pattern_of("Adamant", ["Ada"]) == "adamant"
