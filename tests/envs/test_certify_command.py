"""`mocktrial certify-user` as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mocktrial.cli import app
from mocktrial.envs.users.certify.certificate import Certificate
from mocktrial.envs.users.certify.detect import FAULTS
from mocktrial.mocktools.errors import UsageError

FACTS = [
    {"id": "day", "label": "the day of the visit", "value": "2027-05-03"},
    {"id": "colour", "label": "the colour of the roof", "description": "of the house", "value": "red"},
]
ROWS = [
    {"facts": FACTS, "message": "What is the day of the visit?", "asked": ["day"]},
    {"facts": FACTS, "message": "Thank you, have a nice day.", "asked": []},
    {"facts": FACTS, "message": "What is the colour of the roof?", "asked": ["day"]},  # the row is wrong on purpose
]


def certify(*words: str) -> str:
    result = CliRunner().invoke(app, ["certify-user", *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_rates_stand_under_their_names() -> None:
    printed = json.loads(certify("scripted", "--conversations", "22", "--json"))
    for fault in FAULTS:
        assert printed[fault] == printed["rates"][fault]["rate"]
    assert (printed["user"], printed["conversations"], printed["seed"]) == ("scripted", 22, 0)


def test_the_certificate_is_written_and_the_table_printed(tmp_path: Path) -> None:
    out = tmp_path / "here" / "scripted.json"
    printed = certify("scripted", "--conversations", "22", "--seed", "5", "--out", str(out))
    written = Certificate.model_validate_json(out.read_bytes())
    assert written.seed == 5
    assert written.is_current
    assert all(fault in printed for fault in FAULTS)


def test_questions_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    printed = json.loads(certify("scripted", "--questions", str(path), "--json"))
    assert printed == {"rows": 3, "precision": 0.5, "recall": 0.5, "exact": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("row", "said"), [("{}", "line 1"), ("", "no rows"), (json.dumps(ROWS[0] | {"asked": ["hat"]}), "'hat'")]
)
def test_broken_rows_are_one_line(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(row)
    with pytest.raises(UsageError, match=said):
        certify("scripted", "--questions", str(path))


def test_an_unknown_user_is_wrong_usage() -> None:
    command = [sys.executable, "-m", "mocktrial.cli", "certify-user", "skripted"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "scripted" in done.stderr
    assert done.stderr.count("\n") == 1
