"""The measure of a reader: rows of a file, figures over asked ids, errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mocktrial.envs.task import Fact
from mocktrial.envs.users.interpret import Reading, interpret
from mocktrial.envs.users.questions import evaluate_questions, read_questions
from mocktrial.mocktools.errors import UsageError

FACTS = [{"id": "a", "label": "day", "value": "Monday"}, {"id": "B-2", "label": "fee", "value": 3, "description": None}]


def write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_precision_and_recall_are_over_asked_ids(tmp_path: Path) -> None:
    rows = read_questions(
        write(
            tmp_path / "q.jsonl",
            {"facts": FACTS, "message": "both", "asked": ["a", "B-2"]},
            "",
            {"facts": FACTS, "message": "none", "asked": []},
            {"facts": FACTS, "message": "one", "asked": ["a"]},
        )
    )

    def read(message: str, facts: tuple[Fact, ...]) -> Reading:
        assert [fact.spoken for fact in facts] == ["Monday", "3"]
        return Reading(facts={"both": ("a",), "none": ("B-2",), "one": ("a",)}[message])

    figures = evaluate_questions(rows, read)
    assert (figures.rows, figures.precision, figures.recall) == (3, 2 / 3, 2 / 3)
    assert figures.exact == 1 / 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "line 2"),
        ({"facts": FACTS, "message": "x", "asked": ["c"]}, "line 2: asked names 'c'"),
        ({"facts": FACTS, "asked": []}, "message"),
        ({"facts": [*FACTS, FACTS[0]], "message": "x", "asked": []}, "one id"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, row: object, said: str) -> None:
    path = write(tmp_path / "q.jsonl", {"facts": FACTS, "message": "x", "asked": []}, row)
    with pytest.raises(UsageError, match="line 2") as caught:
        read_questions(path)
    assert said in str(caught.value)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rows"):
        read_questions(write(tmp_path / "q.jsonl", ""))


def test_keys_of_somebody_else_are_passed_over(tmp_path: Path) -> None:
    strange = {"facts": [{**FACTS[0], "kind": "day"}], "message": "x", "asked": ["a"], "domain": "zoo"}
    assert read_questions(write(tmp_path / "q.jsonl", strange))[0].asked == ("a",)


@pytest.mark.parametrize(("name", "precision", "recall"), [("sealed", 0.94, 0.81), ("other", 0.89, 0.77)])
def test_questions_of_other_hands_are_read_no_worse_than_before(name: str, precision: float, recall: float) -> None:
    """A floor, not a mark: oblique questions of domains that the joint reader was not trained on."""
    rows = read_questions(Path(__file__).parents[1] / "data" / f"questions_{name}.jsonl")
    figures = evaluate_questions(rows, interpret)
    assert figures.precision >= precision
    assert figures.recall >= recall
