"""Domains as files: what is wrong is named by file and key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import mocktrial.synth
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.synth.blueprint import load_blueprint, read_blueprint, shipped_domains

DOMAINS = Path(mocktrial.synth.__path__[0]) / "domains"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped domain."""
    return Path(shutil.copytree(DOMAINS / "clinic", tmp_path / "clinic"))


def change_goal(folder: Path, **changes: Any) -> None:
    path = folder / "goals.json"
    body = json.loads(path.read_text())
    body["goals"][0] |= changes
    path.write_text(json.dumps(body))


def test_three_domains_ship_and_cover_every_difficulty() -> None:
    assert shipped_domains() == ("clinic", "depot", "network")
    for name in shipped_domains():
        goals = load_blueprint(name).goals.goals
        assert {goal.difficulty for goal in goals} == {1, 2, 3, 4}


def test_an_unknown_domain_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="'bakery'") as caught:
        load_blueprint("bakery")
    assert "clinic, depot, network" in caught.value.hint


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "rows.json").unlink()
    with pytest.raises(SpecError, match=r"rows\.json: No such file"):
        read_blueprint(folder)


BROKEN = [
    ({"colour": "red"}, r"goals\.0\.colour"),
    ({"plan": [{"call": "book", "arguments": {"slot": {"fact": "nobody"}}}]}, "'nobody', no fact"),
    ({"plan": [{"call": "book", "arguments": {"slot": {"step": "later"}}}]}, "'later', no earlier step"),
    ({"plan": [{"call": "visits"}, {"call": "visits"}]}, "two steps are called 'visits'"),
    ({"instructions": []}, r"goals\.0\.instructions"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_a_broken_goal_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_goal(folder, **changes)
    with pytest.raises(SpecError, match=message) as caught:
        read_blueprint(folder)
    assert "goals.json" in str(caught.value)
