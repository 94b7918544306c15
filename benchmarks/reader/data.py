"""What the reader is fitted on: rows of facts with messages, a phrasebook, and sentence vectors that are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mocktrial.envs.task import Fact
from mocktrial.envs.users.questions import Question
from mocktrial.envs.users.reading.acts import parse
from mocktrial.envs.users.reading.segments import Segment, segments
from mocktrial.mocktools.minilm import HINT, load_encoder

ROWS = Path(__file__).parents[2] / "tests/data/questions_fit.jsonl"
PHRASEBOOK = Path(__file__).parent / "phrasebook.txt"
FOLDS = 4


@dataclass
class Row:
    """A message with its facts. `segments` are the parts that may ask; `leaves` those that list nothing further."""

    facts: tuple[Fact, ...]
    asked: NDArray[np.bool_]  # (facts,)
    domain: str  # rows that share a fact are of one domain, and in one fold
    segments: list[Segment] = field(default_factory=list)
    leaves: list[Segment] = field(default_factory=list)

    @property
    def fold(self) -> int:
        return int(hashlib.sha256(self.domain.encode()).hexdigest(), 16) % FOLDS


@dataclass(frozen=True)
class Entry:
    """A line of the phrasebook."""

    fact: Fact
    questions: tuple[str, ...]


def read_rows(path: Path = ROWS) -> list[Row]:
    questions = [Question.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    domains = _domains(questions)
    rows = []
    for question, domain in zip(questions, domains, strict=True):
        asked = np.array([fact.id in question.asked for fact in question.facts])
        row = Row(tuple(fact.fact() for fact in question.facts), asked, domain)
        for clause in parse(question.message).clauses:
            found = segments(clause)
            row.segments += found
            if clause.mode not in ("offer", "stated"):
                row.leaves += found if len(found) == 1 else found[1:]
        rows.append(row)
    return rows


def _domains(questions: Sequence[Question]) -> list[str]:
    """Rows that share a fact, by label and value, are of one domain, and so on from row to row."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            name = above[name]
        return name

    named = [[f"{fact.label}|{fact.value}" for fact in question.facts] for question in questions]
    for first, *others in named:
        for other in others:
            above[top(other)] = top(first)
    return [top(names[0]) for names in named]


def read_phrasebook() -> list[Entry]:
    entries = []
    for line in PHRASEBOOK.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            named, _, asked = line.partition(" = ")
            label, _, about = named.partition("; ")
            fact = Fact.model_construct(id="x", label=label, description=about, value="", spoken="")
            entries.append(Entry(fact, tuple(question.strip(" ?") for question in asked.split("|"))))
    return entries


class Sentences:
    """Sentence vectors by text, computed once and kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._vectors: dict[str, NDArray[np.float32]] = {}
        if path.is_file():
            kept = np.load(path)
            self._vectors = dict(zip(json.loads(str(kept["texts"])), kept["vectors"], strict=True))

    def add(self, texts: Iterable[str]) -> None:
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if not missing:
            return
        encoder = load_encoder()
        if encoder is None:
            raise SystemExit(HINT)
        self._vectors.update(zip(missing, encoder.vectors(missing), strict=True))
        np.savez(self._path, texts=json.dumps(list(self._vectors)), vectors=np.stack(list(self._vectors.values())))

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, 384)"""
        return np.stack([self._vectors[text] for text in texts])
