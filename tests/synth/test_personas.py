"""Personas: equal for equal seeds, in their shares, and read from a file line by line."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.task import Persona
from mocktrial.mocktools.errors import SpecError
from mocktrial.synth.personas import Personas, read_personas


def test_a_persona_depends_on_seed_and_number_alone() -> None:
    forward = [Personas(3).persona(number) for number in range(40)]
    one = Personas(3)
    assert [one.persona(number) for number in reversed(range(40))] == forward[::-1]
    assert [Personas(4).persona(number) for number in range(40)] != forward
    assert len({persona.name for persona in forward}) > 20


def test_shares_are_those_of_the_file() -> None:
    people = [Personas(1).persona(number) for number in range(1500)]
    manners = Counter(person.manner for person in people)
    assert {manner: round(count / 1500, 1) for manner, count in manners.items()} == {
        "plain": 0.5,
        "terse": 0.2,
        "chatty": 0.3,
    }
    assert abs(sum(person.typing == "clean" for person in people) / 1500 - 0.6) < 0.05
    assert abs(sum(person.privacy == 2 for person in people) / 1500 - 0.15) < 0.04
    assert len({person.locale for person in people}) >= 10
    assert len({person.occupation for person in people}) >= 190
    assert {person.patience for person in people} == {3, 4, 5, 6}


def test_roles_are_the_worlds_and_move_nothing_else() -> None:
    anybody, clerk = Personas(2).persona(7), Personas(2).persona(7, ("clerk",))
    assert clerk == anybody.model_copy(update={"occupation": "clerk"})


def test_old_persona_files_stay_valid() -> None:
    old = Persona.model_validate({"name": "Ada", "occupation": "nurse", "manner": "terse", "patience": 3})
    assert (old.locale, old.privacy, old.typing) == ("en", 0, "clean")
    with pytest.raises(ValueError, match="locale"):
        Persona(locale="English")


@pytest.mark.parametrize(
    ("sentence", "occupation", "manner"),
    [
        ("A retired nurse who loves to garden", "retired nurse", None),
        ("an IT manager at a school, always busy", "IT manager", "terse"),
        ("The Talkative head chef of a hotel in Lyon.", "talkative head chef of a hotel", "chatty"),
        ("I'm a competitive swimmer specializing in butterfly", "competitive swimmer", None),
        ("x" * 200, "", None),
        ("A curt and polite clerk", "curt", "terse"),
        ("A formal, exact accountant", "formal", "plain"),
    ],
)
def test_a_sentence_gives_occupation_and_manner(
    sentence: str, occupation: str, manner: str | None, tmp_path: Path
) -> None:
    file = tmp_path / "hub.jsonl"
    file.write_text(json.dumps({"persona": sentence, "id": 4}) + "\n", encoding="utf-8")
    (persona,) = read_personas(file)
    assert persona.occupation == occupation
    assert manner in (None, persona.manner)


@pytest.mark.parametrize(
    ("sentence", "typing"),
    [
        ("A baker who uses no capitals", "lower"),
        ("A baker who makes typos", "typos"),
        ("A formal baker", None),
    ],
)
def test_a_sentence_gives_typing_habits(sentence: str, typing: str | None, tmp_path: Path) -> None:
    file = tmp_path / "hub.jsonl"
    file.write_text((json.dumps({"persona": sentence}) + "\n") * 40, encoding="utf-8")
    habits = {persona.typing for persona in read_personas(file)}
    assert habits == {typing} if typing else len(habits) > 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{oops", "not JSON"),
        (b"[1]", "no sentence"),
        (b'{"persona": 3}', "no sentence"),
        (b'{"persona": "  "}', "no sentence"),
        (b'{"persona": "\xff"}', "not JSON"),
        (b"[" * 30_000, "not JSON"),
        (b'{"persona": "' + b"x" * 70_000 + b'"}', "longer than"),
    ],
)
def test_a_broken_line_is_named(line: bytes, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "hub.jsonl"
    file.write_bytes(b'{"persona": "A nurse"}\n\n' + line + b"\n")
    people = read_personas(file)
    assert next(people).occupation == "nurse"
    with pytest.raises(SpecError, match=re.escape(f"{file}: line 3: ") + reason):
        next(people)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        next(read_personas(tmp_path / "none.jsonl"))


def test_the_file_is_read_as_far_as_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "hub.jsonl"
    file.write_bytes(b'{"persona": "A nurse"}\n' * 5000 + b"broken")
    people: Iterator[Persona] = read_personas(file)
    first = list(islice(people, 100))
    assert first == list(islice(read_personas(file), 100))
    assert len({person.name for person in first}) > 20  # one sentence, many people


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_sentence_gives_a_persona_or_an_error(tmp_path_factory: pytest.TempPathFactory, sentence: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.jsonl"
    file.write_text(json.dumps({"persona": sentence}), encoding="ascii")
    try:
        (persona,) = read_personas(file)
    except SpecError:
        assert not sentence.strip()
    else:
        assert len(persona.occupation) <= 60
        assert persona.occupation.isprintable()
