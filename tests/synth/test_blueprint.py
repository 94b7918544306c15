"""Domains as files: what is wrong is named by file and key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import mocktrial.synth
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.synth.blueprint import Domains, load_blueprint, read_blueprint, shipped_domains

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


def test_shipped_domains_take_turns() -> None:
    source = Domains(("depot", "clinic"))
    units = [(source.blueprint(number).name, source.variant(number)) for number in range(5)]
    assert units == [("depot", 0), ("clinic", 0), ("depot", 1), ("clinic", 1), ("depot", 2)]
    assert Domains().names == shipped_domains()
    with pytest.raises(UsageError, match="'bakery'"):
        Domains(("bakery",))


def test_a_step_made_for_each_row_is_no_single_step(folder: Path) -> None:
    visits = {"call": "visits", "arguments": {"patient": {"fact": "patient"}}}
    each = {"call": "cancel", "each": "visits", "arguments": {"visit": {"step": "visits"}}}
    after = {"call": "cancel", "id": "again", "arguments": {"visit": {"step": "cancel"}}}
    change_goal(folder, plan=[visits, each, after])
    with pytest.raises(SpecError, match="again refers to 'cancel', which is made for each row"):
        read_blueprint(folder)
    change_goal(folder, plan=[visits, each, {**each, "id": "again", "each": "cancel"}])
    with pytest.raises(SpecError, match="again is made for each row of 'cancel', itself such a step"):
        read_blueprint(folder)


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
    ({"plan": []}, "plan is empty"),
    ({"plan": [{"call": "visits", "arguments": {"patient": {"facts": "patient"}}}]}, "one of the keys fact, bound"),
    ({"plan": [{"call": "visits", "each": "later"}]}, "visits refers to 'later', no earlier step"),
    ({"plan": [{"call": "visits", "where": {"day": "patient"}}]}, "visits has where, at_most or at_least without each"),
    ({"plan": [{"call": "visits", "when": {"step": "later"}}]}, "visits refers to 'later', no earlier step"),
    (
        {"plan": [{"call": "book", "arguments": {"slot": {"bound": "nobody"}}}]},
        "book names 'nobody', which bind does not",
    ),
    ({"plan": [{"call": "book", "arguments": {"slot": {"compute": ":nobody + 1"}}}]}, "book names 'nobody'"),
    ({"wish": "Change {nobody}."}, "wish or instructions names 'nobody'"),
    ({"instructions": ["Change it[|of {nobody}]."]}, "wish or instructions names 'nobody'"),
    ({"finish": "It is {later.id}."}, "finish refers to 'later', no step"),
    ({"forbidden": [{"id": "a", "kind": "state", "sql": "SELECT :nobody"}]}, "criterion a names 'nobody'"),
    ({"plan": [{"call": "dance"}]}, "dance calls 'dance', no tool of the world"),
    (
        {"plan": [{"call": "visits", "arguments": {"colour": {"value": 1}}}]},
        "gives 'colour', which visits does not take",
    ),
    ({"plan": [{"call": "visits"}]}, "does not give 'patient' to visits"),
    ({"faults": [{"tool": "dance", "kind": "timeout"}]}, "fault timeout of tool dance"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_a_broken_goal_is_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_goal(folder, **changes)
    with pytest.raises(SpecError, match=message) as caught:
        read_blueprint(folder)
    assert "goals.json" in str(caught.value)
