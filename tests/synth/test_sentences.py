"""Sentence patterns: what is masked, what is counted, and that a dataset which repeats itself is told so."""

from __future__ import annotations

import pytest

from mocktrial.envs.dataset import Dataset
from mocktrial.envs.task import Ask, Fact, Persona, Task
from mocktrial.synth.audit.sentences import Sentences, patterns_of

DAY = Fact(id="day", label="the day", value="2026-05-09", spoken="Saturday 9 May", question="Which day?", hidden=True)
WHO = Fact(id="who", label="the patient", value="Ann Lee", spoken="Ann", hidden=False)


def task(dataset: Dataset, instruction: str, *facts: Fact) -> Task:
    gold = tuple(Ask(ask=(fact.id,), text=fact.question) for fact in facts if fact.hidden)
    update = {"instruction": instruction, "facts": facts, "gold": gold, "persona": Persona(manner="terse"), "seed": 4}
    return dataset.tasks[0].model_copy(update=update)


@pytest.mark.parametrize(
    ("instruction", "patterns"),
    [
        ("Hi! Move Ann to Monday 4 May, please.", ("hi", "move _ to _ please")),
        ("Call Dr. Roy for ANN at 12:30.", ("call dr roy for _ at _",)),
        ("Anniversary of Ann Lee. 12.", ("anniversary of _",)),
        ("Ann. 3 May 2026.", ()),
    ],
)
def test_values_numbers_and_dates_are_masked(dataset: Dataset, instruction: str, patterns: tuple[str, ...]) -> None:
    assert list(patterns_of([task(dataset, instruction, WHO)])) == [patterns]


def test_the_users_reply_and_the_spoken_value_count(dataset: Dataset) -> None:
    spoken = DAY.model_copy(update={"value": "9 May", "spoken": "on 9 May or so"})
    found = {pattern for seed in range(40) for pattern in _said(dataset, spoken, seed)}
    assert "on _ or so" in found
    assert "here _" in found  # a reply of the terse
    assert not any("9 may" in pattern for pattern in found)


def _said(dataset: Dataset, fact: Fact, seed: int) -> tuple[str, ...]:
    return next(iter(patterns_of([task(dataset, "Move it.", fact).model_copy(update={"seed": seed})])))


def test_a_pattern_counts_once_a_task_and_the_commonest_comes_first() -> None:
    seen = Sentences()
    for number in range(10):
        seen.add(["always", "even" if number % 2 == 0 else "odd"])
    assert seen.commonest(2) == [("always", 1.0), ("even", 0.5)]
    assert Sentences().commonest() == []


def test_memory_is_bounded_and_the_common_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mocktrial.synth.audit.sentences._KEPT", 50)
    seen = Sentences()
    for number in range(1000):
        seen.add(["common", f"rare {number}"] if number % 3 == 0 else [f"rare {number}"])
    assert seen.commonest() == [("common", 0.334)]
