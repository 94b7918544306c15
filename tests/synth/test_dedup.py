"""Duplicates (FAULTS 26): paraphrases are found, other values and other wishes are no duplicates."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.envs.dataset import Dataset
from mocktrial.envs.task import Fact, Task
from mocktrial.synth.audit.dedup import Duplicates, grams, normalised, sample_of

BEFORE = ("Please, ", "Hi there! Could you please ", "Hello, would you mind: ", "Good morning. I'd like you to ")
AFTER = (" Thanks!", " Thank you so much.", ", if possible", " Many thanks in advance")


def typo(text: str, chance: random.Random) -> str:
    """Two neighbouring letters of one long word change places."""
    words = text.split(" ")
    place = chance.choice([at for at, word in enumerate(words) if word.isalpha() and len(word) > 3])
    word, at = words[place], chance.randrange(1, len(words[place]) - 2)
    words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def clauses(text: str, chance: random.Random) -> str:
    """The last half goes first."""
    words = text.rstrip("?.!").split(" ")
    at = chance.randint(len(words) // 3, 2 * len(words) // 3)
    return " ".join([*words[at:], *words[:at]])


def paraphrases(text: str, chance: random.Random) -> list[str]:
    punctuation = text.rstrip("?.!").replace(" for ", ", for ").replace(" on ", " - on ") + " ..."
    polite = chance.choice(BEFORE) + text[0].lower() + text[1:] + chance.choice(AFTER)
    return [
        typo(text, chance),
        chance.choice([text.upper(), text.lower(), text.title()]),
        punctuation,
        polite,
        clauses(text, chance),
    ]


def test_a_hundred_planted_paraphrases_are_found(dataset: Dataset) -> None:
    """Within and across splits; each of the five kinds twenty times."""
    chance = random.Random(26)
    seen = Duplicates()
    for task in dataset.tasks:
        assert seen.take(sample_of(task)) is None
    found = []
    for at, task in enumerate(chance.sample(dataset.tasks, 100)):
        text = paraphrases(task.instruction, chance)[at % 5]
        planted = task.model_copy(update={"id": f"planted-{at}", "instruction": text})
        repeats = seen.take(sample_of(planted))
        found.append(repeats is not None and (repeats[1] == task.id or repeats[0] == "near"))
    assert sum(found) >= 95, [at % 5 for at, hit in enumerate(found) if not hit]


def test_another_value_is_another_task(dataset: Dataset) -> None:
    task = next(
        task for task in dataset.tasks if any(not fact.hidden and isinstance(fact.value, str) for fact in task.facts)
    )
    public = next(fact for fact in task.facts if not fact.hidden and isinstance(fact.value, str))
    other = public.model_copy(update={"value": "zed", "spoken": "zed"})
    changed = task.model_copy(update={
        "id": "other", "instruction": task.instruction.replace(public.spoken, "zed"),
        "facts": tuple(other if fact.id == public.id else fact for fact in task.facts),
    })  # fmt: skip
    seen = Duplicates()
    assert seen.take(sample_of(task)) is None
    assert seen.take(sample_of(changed)) is None


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("Book slot 3 for Ann.", "could you please book slot 3 for ANN?!", "exact"),
        (
            "Move the visit of Ann Lee with Dr Roy from Monday to Friday at ten and tell her brother Tom about it by mail today",
            "Move the visit of Ann Lee with Dr Roy from Monday to Friday at ten and tell her brother Tom about it by mail now",
            "near",
        ),
        ("Book slot 3 for Ann.", "Bokk slot 3 for Ann.", "reworded"),
        ("Book slot 3 for Ann.", "Book slot 4 for Ann.", None),
        ("Book slot 3 for Ann.", "Which visits does Ann have?", None),
        ("Please.", "Thanks.", None),
    ],
)
def test_kinds(dataset: Dataset, first: str, second: str, kind: str | None) -> None:
    def sample(name: str, text: str) -> Task:
        other = Fact(id="other", label="another", value=name, spoken=name)  # else they were the same task
        return dataset.tasks[0].model_copy(update={"id": name, "instruction": text, "facts": (other,)})

    seen = Duplicates()
    seen.take(sample_of(sample("first", first)))
    assert seen.knows(second) is (kind == "exact")
    repeats = seen.take(sample_of(sample("second", second)))
    assert repeats == (None if kind is None else (kind, "first"))


def test_one_task_in_words_that_share_nothing_is_the_same(dataset: Dataset) -> None:
    task = next(task for task in dataset.tasks if task.hidden())
    hidden = task.hidden()[0]
    other = {"id": "other", "instruction": "Zebra xylophone quartz."}
    facts = tuple(fact.model_copy(update={"value": "zed"}) if fact == hidden else fact for fact in task.facts)
    seen = Duplicates()
    seen.take(sample_of(task))
    assert seen.take(sample_of(task.model_copy(update={**other, "facts": facts}))) is None
    assert seen.take(sample_of(task.model_copy(update={**other, "instruction": "Quite so."}))) == ("same", task.id)


@given(st.text())
def test_any_text_has_a_normal_form_and_grams(text: str) -> None:
    normal = normalised(text)
    assert normalised(normal) == normal or not normal
    assert grams(normal)
