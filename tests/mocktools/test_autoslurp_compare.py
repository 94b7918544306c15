"""The comparison accepts what means the same, forgives what its rules name, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.change import change_one_slot
from mocktrial.mocktools.autoslurp.compare import PUBLISHED, RULES, compare
from mocktrial.mocktools.autoslurp.dataset import read
from mocktrial.mocktools.autoslurp.resolve import arguments, canonical_arguments
from mocktrial.mocktools.values import JSON

NOW = datetime(2025, 3, 12, 9, 15)  # noqa: DTZ001 - a world's virtual clock has no zone
Gold = Sequence[tuple[str, str]]

labels = st.sampled_from(sorted(catalog().kinds))
texts = st.text("abcdefghij klmnop 0123456789", min_size=1, max_size=12).filter(str.strip)


def passes(gold: Gold, actual: Mapping[str, JSON], rules: frozenset[str] = PUBLISHED) -> bool:
    return compare(gold, actual, now=NOW, rules=rules).ok


@pytest.mark.parametrize(
    ("gold", "actual"),
    [
        ([("date", "tomorrow")], {"date": "2025-03-13"}),
        ([("date", "this week")], {"date": {"from": "2025-03-10", "to": "2025-03-16"}}),
        ([("time", "eight pm")], {"time": "20:00"}),
        ([("time", "noon")], {"time": "12:00"}),
        ([("time", "six"), ("timeofday", "morning")], {"time": "06:00 am"}),
        ([("timeofday", "afternoon")], {"from_time": "12:00", "to_time": "17:00"}),
        ([("time", "in ten minutes")], {"time": "09:25"}),
        ([("amount", "twenty")], {"amount": 20}),
        ([("place_name", "my city")], {"place_name": "New York"}),
        (
            [("currency_name", "euro"), ("currency_name", "yen")],
            {"currency_name": "EUR", "currency_name2": "JPY"},
        ),
        ([("song_name", "one"), ("song_name", "two")], {"song_name": ["One", "Two"]}),
        ([("amout", "ten")], {"amount": "10"}),
        ([], {"date": ""}),
    ],
)
def test_the_same_meaning_passes_without_any_leniency_but_the_half_of_the_day(
    gold: Gold, actual: dict[str, JSON]
) -> None:
    assert passes(gold, actual, frozenset({"am_pm"}))


@pytest.mark.parametrize(
    ("rule", "gold", "actual"),
    [
        ("am_pm", [("time", "eight pm")], {"time": "08:00"}),
        ("am_pm", [("time", "eight")], {"time": "20:00"}),
        ("am_pm", [("time", "midnight")], {"time": "12:00"}),
        ("event_name", [("event_name", "dentist appointment")], {"event_name": "the dentist's"}),
        ("event_name", [("event_name", "meetings")], {"event_name": "a budget meeting"}),
        ("event_name", [("event_name", "lunch with bob"), ("date", "today")], {"date": "2025-03-12"}),
        ("event_name", [("event_name", "dinner reminder")], {"event_name": "my dinner event"}),
        ("list_name", [("list_name", "grocery list")], {"list_name": "my groceries"}),
        ("list_name", [("list_name", "shopping")], {}),
        ("descriptor_all", [("descriptor", "all")], {}),
        ("person", [("to_person", "john")], {"person": "john"}),
        ("person", [("person", "john")], {"from_person": "john"}),
        ("spoken", [("date", "tomorrow")], {"date": "tomorrow"}),
        ("spoken", [("date", "tomorrow")], {"date": "thursday"}),
        ("spoken", [("time", "eight pm")], {"time": "eight in the evening"}),
        ("spoken", [("time", "one pm"), ("time", "two pm")], {"time": "13:00", "time2": "two pm"}),
        ("spoken", [("from_time", "noon"), ("to_time", "one pm")], {"from_time": "noon", "to_time": "13:00"}),
        ("place_region", [("place_name", "boston")], {"place_name": "boston, massachusetts"}),
        ("place_region", [("place_name", "paris france")], {"place_name": "paris"}),
        ("event_name_any", [("event_name", "lunch")], {"event_name": "zoning hearing"}),
        ("list_name_any", [("list_name", "shopping")], {"list_name": "novels"}),
    ],
)
def test_each_rule_forgives_its_own_difference_and_can_be_switched_off(
    rule: str, gold: Gold, actual: dict[str, JSON]
) -> None:
    verdict = compare(gold, actual, now=NOW, rules=frozenset({rule}))
    assert verdict.ok
    assert verdict.rules == (rule,)
    assert not passes(gold, actual, frozenset(RULES) - {rule, f"{rule}_any"})


@pytest.mark.parametrize(
    ("gold", "actual"),
    [
        ([("date", "tomorrow")], {"date": "2025-03-14"}),
        ([("date", "tomorrow")], {}),
        ([], {"date": "tomorrow"}),
        ([("date", "today")], {"date": "today", "place_name": "rome"}),
        ([("time", "eight pm")], {"time": "eight am"}),
        ([("time", "eight")], {"time": "nine pm"}),
        ([("time", "eight thirty")], {"time": "8:15"}),
        ([("time", "noon")], {"time": "midnight"}),
        ([("time", "six"), ("timeofday", "morning")], {"time": "six", "timeofday": "evening"}),
        ([("time", "seven pm"), ("timeofday", "tonight")], {"time": "seven pm", "timeofday": "morning"}),
        ([("event_name", "lunch")], {"event_name": "zoning hearing"}),
        ([("event_name", "event")], {"event_name": "reminder to call"}),
        ([("list_name", "shopping")], {"list_name": "novels"}),
        ([("event_name", "lunch")], {"event_name": "lunch", "list_name": "shopping"}),
        ([("descriptor", "next")], {}),
        ([("descriptor", "all")], {"descriptor": "next"}),
        ([("to_person", "john")], {"from_person": "jane"}),
        ([("from_person", "john"), ("to_person", "jane")], {"from_person": "jane", "to_person": "john"}),
        ([("place_name", "portland maine")], {"place_name": "portland, oregon"}),
        ([("place_name", "georgia")], {"place_name": "savannah, georgia"}),
        ([("currency_name", "euro"), ("currency_name", "yen")], {"currency_name": ["yen", "euro"]}),
        ([("song_name", "one"), ("song_name", "two")], {"song_name": "one"}),
        ([("change_to", "fifty percent")], {"change_to": "fifty"}),
    ],
)
def test_other_differences_fail_under_the_published_rules(gold: Gold, actual: dict[str, JSON]) -> None:
    assert not passes(gold, actual)


def test_the_evidence_names_slot_values_and_rule() -> None:
    gold = [("time", "eight pm"), ("date", "tomorrow"), ("place_name", "rome")]
    verdict = compare(gold, {"time": "8:00", "date": "friday", "person": "ann"}, now=NOW)
    assert [(one.slot, one.expected, one.actual, one.ok, one.rule) for one in verdict.evidence] == [
        ("time", ("20:00",), ("08:00",), True, "am_pm"),
        ("date", ("2025-03-13",), ("2025-03-14",), False, ""),
        ("place_name", ("rome",), (), False, ""),
        ("person", (), ("ann",), False, ""),
    ]
    assert not verdict.ok


def test_unknown_rules_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="am_or_pm"):
        compare([], {}, now=NOW, rules=frozenset({"am_or_pm"}))


@given(st.lists(st.tuples(labels, texts), max_size=4))
def test_every_call_equals_itself_and_no_changed_call_does(gold: list[tuple[str, str]]) -> None:
    assert passes(gold, arguments(gold), frozenset())
    assert not passes(gold, arguments(change_one_slot(gold, 1, NOW)))


def test_a_change_keeps_the_other_slots_and_depends_on_the_seed_alone() -> None:
    gold = [("event_name", "lunch"), ("date", "tomorrow"), ("time", "noon"), ("person", "ann")]
    changed = [change_one_slot(gold, seed, NOW) for seed in range(20)]
    assert changed == [change_one_slot(gold, seed, NOW) for seed in range(20)]
    assert len(set(changed)) > 5
    for one in changed:
        assert [label for label, _ in one] == [label for label, _ in gold]
        assert sum(new != old for new, old in zip(one, gold, strict=True)) == 1
    assert change_one_slot([], 1, NOW, labels=["color_type"])[0][0] == "color_type"


@pytest.mark.shared
@pytest.mark.parametrize("name", ["train.csv", "train_5k.csv", "test.csv"])
def test_every_released_call_equals_its_resolved_self_and_no_changed_one(autoslurp_dir: Path, name: str) -> None:
    for seed, row in enumerate(read(autoslurp_dir / name).rows):
        for call in row.calls:
            assert passes(call.slots, canonical_arguments(call.slots, NOW), frozenset()), row.id
            changed = change_one_slot(call.slots, seed, NOW)
            assert not passes(call.slots, arguments(changed)), (row.id, changed)
            assert not passes(call.slots, canonical_arguments(changed, NOW)), (row.id, changed)
