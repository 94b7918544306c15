"""What the reader is fitted on: settings (facts that stand together, with messages about them) and a phrasebook.

Settings stand in `questions/`, a file a hand, in the form in which they were written; "\\n" in a message ends a line.

    # domain: what the errand is
    id | label | description or nothing | value
    > message => ids of the facts that it asks for
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mocktrial.envs.task import Fact
from mocktrial.envs.users.questions import Question, QuestionFact, read_questions

FOLDER = Path(__file__).parents[2] / "tests/data"
HANDS = Path(__file__).parent / "questions"
PHRASEBOOK = Path(__file__).parent / "phrasebook.txt"
_GROUP, _ASKED = 6, 2  # entries of the phrasebook that stand together, and questions of each


@dataclass
class Setting:
    facts: tuple[Fact, ...]
    messages: list[tuple[str, frozenset[int]]] = field(default_factory=list)  # with the places of the facts asked for


@dataclass(frozen=True)
class Entry:
    """A line of the phrasebook."""

    fact: Fact
    questions: tuple[str, ...]


def read_rows(*names: str) -> list[Question]:
    return [row for name in names for row in read_questions(FOLDER / f"{name}.jsonl")]


def read_hands() -> list[Question]:
    return [row for path in sorted(HANDS.glob("*.txt")) for row in _read_hand(path.read_text(encoding="utf-8"))]


def _read_hand(text: str) -> Iterator[Question]:
    facts: list[QuestionFact] = []
    for line in text.splitlines():
        if line.startswith("#"):
            facts = []
        elif line.startswith("> "):
            message, _, asked = line.removeprefix("> ").rpartition("=>")
            ids = tuple(name for part in asked.split(",") if (name := part.strip()))
            yield Question(facts=tuple(facts), message=message.strip().replace("\\n", "\n"), asked=ids)
        elif line:
            name, label, about, value = (part.strip() for part in line.split("|"))
            facts.append(QuestionFact(id=name, label=label, description=about or None, value=value))


def settings(rows: Iterable[Question]) -> list[Setting]:
    """Rows that have the same facts in one order are one setting."""
    found: dict[str, Setting] = {}
    for row in rows:
        key = "\n".join(fact.model_dump_json() for fact in row.facts)
        setting = found.setdefault(key, Setting(tuple(fact.fact() for fact in row.facts)))
        ids = [fact.id for fact in row.facts]
        setting.messages.append((row.message, frozenset(ids.index(name) for name in row.asked)))
    return list(found.values())


def read_phrasebook() -> list[Entry]:
    entries = []
    for line in PHRASEBOOK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            named, _, asked = line.partition(" = ")
            label, _, about = named.partition("; ")
            fact = Fact.model_construct(id="x", label=label, description=about, value="", spoken="")
            entries.append(Entry(fact, tuple(f"{question.strip(' ?')}?" for question in asked.split("|"))))
    return entries


def grouped(book: list[Entry], rng: random.Random) -> Iterator[Setting]:
    """The phrasebook as settings of entries that chance puts together."""
    shuffled = rng.sample(book, len(book))
    for start in range(0, len(book) - _GROUP + 1, _GROUP):
        group = shuffled[start : start + _GROUP]
        asked = [
            (question, frozenset((place,)))
            for place, entry in enumerate(group)
            for question in rng.sample(entry.questions, min(_ASKED, len(entry.questions)))
        ]
        yield Setting(tuple(entry.fact for entry in group), asked)
