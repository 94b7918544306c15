"""Kits: all that ship can be read and are varied; a broken one is an error that names file and key."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.synth.kits import Kit, kit_names, load_kit, read_kit

GOOD = """
title = "a tool shed"
roles = ["keeper", "gardener"]
beyond = ["paint a fence", "sing a song", "feed the cat"]

[[things]]
name = "neighbour"
people = true
count = [3, 4]
fields = [{ name = "trusted", flag = "trusted" }]

[[things]]
name = "tool"
called = ["Saw", "Spade", "Rake", "Drill"]
count = [3, 4]
fields = [{ name = "weight", whole = [1, 9], low = "lightest", high = "heaviest" }]

[[records]]
name = "loan"
links = [{ thing = "neighbour" }, { thing = "tool", prep = "of" }]
create = ["arrange"]
fields = [{ name = "due", day = [1, 9], prep = "until" }]
states = ["out", "back"]
moves = [{ verb = "close", of = ["out"], to = "back" }]
rules = [{ limit = "neighbour", most = [1, 2] }, { needs = "neighbour", by = "trusted" }]
"""


def kit_of(tmp_path: Path, text: str) -> Kit:
    file = tmp_path / "shed.toml"
    file.write_text(text, encoding="utf-8")
    return read_kit(file)


def test_the_example_is_good(tmp_path: Path) -> None:
    kit = kit_of(tmp_path, GOOD)
    assert [record.name for record in kit.records] == ["loan"]
    assert kit.records[0].rules[1].kind == "needs"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("title =", "titel =", "titel: unknown key"),
        ("whole = [1, 9]", "whole = [1, 9], money = [1, 2]", "field weight: needs exactly one"),
        ('low = "lightest"', 'low = "lightest", name2 = 1', "name2: unknown key"),
        ("people = true", 'people = true\ncalled = ["A"]', "either people = true or called"),
        ('thing = "tool"', 'thing = "hammer"', "links to 'hammer', which is no thing"),
        ('to = "back"', 'to = "gone"', "'gone' is no state"),
        ('limit = "neighbour"', 'limit = "keeper"', "names no link"),
        ('by = "trusted"', 'by = "weight"', "must be a flag or choices field"),
        ('name = "due"', 'name = "status"', "reserved"),
        ("count = [3, 4]\nfields = [{ name = \"weight\"", "count = [3, 9]\nfields = [{ name = \"weight\"", "fewer than 9"),
        ('roles = ["keeper", "gardener"]', "roles = [", "shed.toml"),
    ],
)  # fmt: skip
def test_a_broken_kit_is_an_error_that_says_where(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(SpecError) as error:
        kit_of(tmp_path, GOOD.replace(old, new, 1))
    assert "shed.toml" in str(error.value)
    assert says in str(error.value)


def test_shipped_kits_are_many_and_of_many_sectors() -> None:
    sectors = Counter(kit_names().values())
    assert sum(sectors.values()) >= 60
    assert len(sectors) >= 12


@pytest.mark.parametrize("name", sorted(kit_names()))
def test_each_shipped_kit_is_whole(name: str) -> None:
    kit = load_kit(name)
    named = [thing.called for thing in kit.things if thing.called]
    for names in named:
        inside = [(a, b) for a in names for b in names if a != b and a.casefold() in b.casefold()]
        assert not inside, "one name within another: a search for it finds both"
    for record in kit.records:
        reached = {record.states[0]} if record.create else set(record.states)
        for _ in record.states:
            reached |= {move.to for move in record.moves if reached & set(move.of)}
        assert set(record.states) <= reached, f"{record.name}: no way to {set(record.states) - reached}"


def test_an_unknown_kit_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="vett"):
        load_kit("vett")
