"""`clicks` and `recommend` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Run, runner

SMALL = ("--set", "users=40", "--set", "sessions=12", "--set", "visits=3")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `mocktrial ARGS` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    return runner(monkeypatch, capsys)


def test_a_log_is_made_once_and_gives_rows(cli: Run, tmp_path: Path) -> None:
    code, out, _ = cli("clicks", "small", *SMALL, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["sets"] == len((tmp_path / "clicks/small/sets.jsonl").read_text().splitlines())
    code, _, err = cli("clicks", "small", *SMALL)
    assert (code, "exists already" in err) == (2, True)
    rows = ("recommend", "rows", "clicks/small", "rows.jsonl", "--method", "kto", "--json")
    assert json.loads(cli(*rows)[1])["rows"] == found["sets"] * 4  # a row a suggestion
    assert json.loads(cli(*rows, "--unit", "set")[1])["rows"] == found["sets"]


def test_next_queries_work_in_the_state_at_hand(cli: Run) -> None:
    code, out, _ = cli("recommend", "next", "Wake me at 06:30.", "--call", "lock_phone", "-k", "3", "--json")
    assert code == 0
    assert len(json.loads(out)["suggestions"]) == 3
    code, _, err = cli("recommend", "next", "x", "--call", "no_such_tool")
    assert (code, "no_such_tool" in err) == (2, True)


def test_an_evaluation_knows_floor_and_ceiling(cli: Run) -> None:
    code, out, _ = cli("recommend", "eval", "base", "retrieval", "oracle", *SMALL, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["oracle"]["relevance"] > found["base"]["relevance"] + 0.05
    assert found["oracle"]["ndcg"] > max(found["base"]["ndcg"], found["retrieval"]["ndcg"])
    assert found["base"]["executable"] is None
    assert 0 < found["retrieval"]["executable"] <= 1


def test_an_online_test_tells_the_oracle_from_the_base(cli: Run) -> None:
    code, out, _ = cli("recommend", "ab", "base", "oracle", *SMALL, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["base"]["ctr_lift"] is None
    assert found["oracle"]["ctr_lift"]["low"] > 0
    assert found["oracle"]["sets"] == found["base"]["sets"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ab", "base", "base"), "two different arms"),
        (("eval", "magic", *SMALL), "no recommender 'magic'"),
        (("ablation", "--unit", "week"), "no unit 'week'"),
        (("rows", "nowhere", "rows.jsonl"), "no log at nowhere"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Run, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = cli("recommend", *arguments)
    assert (code, message in err, err.count("mocktrial:")) == (2, True, 1)


def test_an_unknown_method_of_rows_is_one_line(cli: Run) -> None:
    cli("clicks", "small", *SMALL, "--json")
    code, _, err = cli("recommend", "rows", "clicks/small", "rows.jsonl", "--method", "best")
    assert (code, "no method 'best'" in err) == (2, True)
