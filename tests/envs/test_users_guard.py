"""What the guard lets a model say: planted bad phrases (FAULTS 12), good ones, and goals without untold values."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import pytest

from mocktrial.envs.task import Fact, Persona
from mocktrial.envs.users.base import Needless
from mocktrial.envs.users.decision import Decision
from mocktrial.envs.users.forms import forms
from mocktrial.envs.users.guard import flaws_of, sayable
from mocktrial.envs.users.templates import Report, Script, phrases
from tests.envs.test_users import DAY, FACTS, REASON

DATA = Path(__file__).parent.parent / "data"
TELL = Script(Decision(tells=("day",)), Persona(), (DAY,), message="Which day would you like for the visit?")
BAD = tomllib.loads((DATA / "bad_phrases.toml").read_text(encoding="utf-8"))
GOOD = (DATA / "good_phrases.txt").read_text(encoding="utf-8").splitlines()


def flaws(text: str, script: Script = TELL, untold: tuple[Fact, ...] = (REASON,)) -> tuple[str, ...]:
    return flaws_of(text.replace("{day}", DAY.spoken).strip(), script, FACTS, untold)


@pytest.mark.parametrize("kind", BAD["known"])
def test_planted_bad_phrases_are_caught_for_what_they_are(kind: str) -> None:
    missed = [text for text in BAD["known"][kind] if kind not in flaws(text)]
    assert not missed


def test_planted_bad_phrases_that_no_list_was_made_for_are_caught() -> None:
    new, known = ([text for group in BAD[part].values() for text in group] for part in ("new", "known"))
    assert sum(bool(flaws(text)) for text in new) >= 0.95 * len(new)
    assert len(new) + len(known) >= 200
    assert sum(bool(flaws(text)) for text in new + known) >= 0.99 * (len(new) + len(known))


def test_most_of_what_a_person_would_say_passes() -> None:
    assert sum(not flaws(text) for text in GOOD) >= 0.8 * len(GOOD)


@pytest.mark.parametrize(
    ("decision", "text", "flaw"),
    [
        (Decision(confirmed=True), "No, please don't.", "consent"),
        (Decision(confirmed=True), "Maybe later.", "consent"),
        (Decision(confirmed=True), "Yes, please.", ""),
        (Decision(corrects=True, tells=("day",)), "Yes, {day}.", "consent"),
        (Decision(corrects=True, tells=("day",)), "No, {day}.", ""),
        (Decision(answers="no", tells=("day",)), "{day}.", "consent"),
        (Decision(needless=("unknown",), leaves=True), "I give up, goodbye.", ""),
        (Decision(needless=("unknown",)), "I don't know, goodbye.", "early_goodbye"),
        (Decision(needless=("unknown",)), "I do not know that. " * 30, "too_long"),
        (Decision(needless=("unknown",)), "My number is 0171 5550192.", "strays"),
    ],
)
def test_the_words_must_agree_with_what_was_decided(decision: Decision, text: str, flaw: str) -> None:
    found = flaws(text, Script(decision, Persona(), (DAY,) if decision.tells else ()))
    assert (flaw in found) if flaw else ("consent" not in found and "early_goodbye" not in found)


def test_a_report_must_be_there_and_may_hold_any_word() -> None:
    script = Script(Decision(does=("restart",)), Persona(), reports=(Report("restart", True, "Shall I book? Bye!"),))
    assert flaws("Okay: Shall I book? Bye!", script) == ()
    assert "missing_value" in flaws("Okay.", script)


NEEDLESS: tuple[Needless, ...] = ("unknown", "everything", "statement", "empty")
DECISIONS = (
    Decision(tells=("day",)), Decision(confirmed=True), Decision(tells=("day",), confirmed=True),
    Decision(tells=("day",), corrects=True), Decision(corrects=True), Decision(tells=("day",), answers="yes"),
    Decision(tells=("day",), answers="no"), Decision(withholds=("phone",)), Decision(needless=("unknown",), leaves=True),
    *(Decision(needless=(kind,)) for kind in NEEDLESS),
)  # fmt: skip


@pytest.mark.parametrize(("manner", "privacy"), list(itertools.product(("plain", "terse", "chatty"), (0, 2))))
def test_the_templates_keep_to_what_models_must(manner: str, privacy: int) -> None:
    persona = Persona.model_validate({"manner": manner, "privacy": privacy})
    for decision in DECISIONS:
        withheld = ("the phone number",) if decision.withholds else ()
        script = Script(decision, persona, (DAY,) if decision.tells else (), withheld)
        wrong = {text: found for text in phrases(script) if (found := flaws(text, script))}
        assert not wrong


def test_a_goal_is_shown_without_what_is_untold() -> None:
    goal = "Book a check-up with Dr. Lee on May 14th."
    assert sayable(goal, [DAY]) == "Book a check-up with Dr. Lee on (...)."
    assert sayable(goal, [DAY, REASON]) == "Book (...) with Dr. Lee on (...)."
    assert sayable("Book it for next week.", [DAY]) == ""  # the day may hide in it
    assert sayable(goal, []) == goal


def test_dates_and_times_are_known_in_several_forms() -> None:
    assert {"14 May", "May 14th", "14th of May"} <= set(forms("2026-05-14"))
    assert {"2:30 pm", "2:30pm"} <= set(forms("14:30"))
    assert {"9am", "9:00 am"} <= set(forms("09:00"))
    assert forms("22-30-99") == ("22-30-99",)
    assert forms(7) == ("7",)
