"""What people say for dates, times, places and amounts, against a fixed Wednesday morning."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools.autoslurp.catalog import Kind, catalog
from mocktrial.mocktools.autoslurp.dataset import read
from mocktrial.mocktools.autoslurp.resolve import (
    Resolved,
    arguments,
    canonical_arguments,
    resolve,
    resolve_slots,
)

NOW = datetime(2025, 3, 12, 9, 15)  # noqa: DTZ001 - a world's virtual clock has no zone

moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))  # noqa: DTZ001
kinds = st.sampled_from(sorted(set(catalog().kinds.values())))


def value(kind: Kind, text: str, now: datetime = NOW) -> str:
    return resolve(kind, text, now).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "2025-03-12"),
        ("tomorrow's", "2025-03-13"),
        ("the day after tomorrow", "2025-03-14"),
        ("last night", "2025-03-11"),
        ("friday", "2025-03-14"),
        ("wednesday", "2025-03-19"),
        ("this wednesday", "2025-03-12"),
        ("next friday", "2025-03-21"),
        ("last friday", "2025-03-07"),
        ("last wednesday", "2025-03-05"),
        ("wednesday of next week", "2025-03-19"),
        ("next week monday", "2025-03-17"),
        ("this week", "2025-03-10/2025-03-16"),
        ("last week", "2025-03-03/2025-03-09"),
        ("this weekend", "2025-03-15/2025-03-16"),
        ("weekend after next", "2025-03-29/2025-03-30"),
        ("next month", "2025-04-01/2025-04-30"),
        ("last month", "2025-02-01/2025-02-28"),
        ("next year", "2026-01-01/2026-12-31"),
        ("july", "2025-07-01/2025-07-31"),
        ("february", "2026-02-01/2026-02-28"),
        ("tenth of march two thousand seventeen", "2017-03-10"),
        ("november third", "2025-11-03"),
        ("march the first", "2026-03-01"),
        ("on the fifth", "2025-04-05"),
        ("the thirty first", "2025-03-31"),
        ("fourteenth of next month", "2025-04-14"),
        ("february twenty ninth", "2028-02-29"),
        ("three days from now", "2025-03-15"),
        ("a week ago", "2025-03-05"),
        ("in two months", "2025-05-12"),
        ("next four days", "2025-03-12/2025-03-15"),
        ("last ten days", "2025-03-02/2025-03-11"),
        ("second monday of next month", "2025-04-14"),
        ("last sunday of the month", "2025-03-30"),
        ("first three days of next month", "2025-04-01/2025-04-03"),
        ("rest of the week", "2025-03-12/2025-03-16"),
        ("friday the thirteenth", "2025-06-13"),
        ("christmas", "2025-12-25"),
        ("3/15/2025", "2025-03-15"),
        ("2025-07-01/2025-07-01", "2025-07-01"),
    ],
)
def test_dates(text: str, expected: str) -> None:
    assert resolve("date", text, NOW) == Resolved("date", expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eight pm", "20:00"),
        ("eight", "08:00"),
        ("eight am", "08:00 am"),
        ("half past six", "06:30"),
        ("quarter to seven pm", "18:45"),
        ("twenty to three", "02:40"),
        ("twelve pm", "12:00 pm"),
        ("twelve am", "00:00"),
        ("noon", "12:00 pm"),
        ("midnight", "00:00"),
        ("five o'clock", "05:00"),
        ("6:05 p.m.", "18:05"),
        ("nineteen hundred", "19:00"),
        ("four hundred and fifteen pm", "16:15"),
        ("ten thirty at night", "22:30"),
        ("fifteen minutes before one pm", "12:45 pm"),
        ("afternoon", "12:00/17:00"),
        ("nine to eleven am", "09:00/11:00 am"),
        ("after two pm", "14:00/.."),
        ("before noon", "../12:00 pm"),
        ("in ten minutes", "2025-03-12T09:25"),
        ("two hours ago", "2025-03-12T07:15"),
        ("next three hours", "2025-03-12T09:15/2025-03-12T12:15"),
        ("for the last hour", "2025-03-12T08:15/2025-03-12T09:15"),
        ("two and a half hours", "PT2H30M"),
        ("half an hour", "PT30M"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert resolve("time", text, NOW) == Resolved("time", expected)


def test_less_than_a_minute_is_no_length() -> None:
    assert resolve("time", "half a minute", NOW).value == "half a minute"


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("amount", "fifty percent", "50%"),
        ("amount", "half", "50%"),
        ("amount", "one thousand and forty eight", "1048"),
        ("amount", "a thousand", "1000"),
        ("amount", "level nine", "9"),
        ("amount", "25.50", "25.5"),
        ("amount", "-1", "-1"),
        ("amount", "max", "maximum"),
        ("place", "my city", "new york"),
        ("place", "austin texas", "austin, texas"),
        ("place", "Austin, TX", "austin, texas"),
        ("place", "portland, or", "portland, oregon"),
        ("place", "near me", "near me"),
        ("place", "charleston west virginia", "charleston, west virginia"),
        ("place", "nyc", "new york"),
        ("place", "lyon france", "lyon, france"),
        ("currency", "us dollars", "USD"),
        ("currency", "canadian", "CAD"),
        ("timezone", "pacific standard time", "pacific"),
        ("relation", "my mom", "mother"),
        ("frequency", "every day", "daily"),
        ("frequency", "every two days", "every 2 days"),
        ("email", "ann at mail dot org", "ann@mail.org"),
        ("person", "Anna's", "anna"),
    ],
)
def test_places_amounts_and_vocabularies(kind: Kind, text: str, expected: str) -> None:
    assert resolve(kind, text, NOW) == Resolved(kind, expected)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("date", "when the cows come home"), ("time", "before they close"), ("amount", "a bit"),
     ("date", "february thirtieth"), ("date", "five thousand years ago"), ("time", "twenty six thirty"), ("currency", "seashells")],
)  # fmt: skip
def test_what_cannot_be_resolved_stays_text(kind: Kind, text: str) -> None:
    assert resolve(kind, text, NOW) == Resolved("text", text)


def test_dates_in_time_slots_and_times_in_date_slots_are_read_as_what_they_are() -> None:
    assert resolve("time", "this weekend", NOW) == Resolved("date", "2025-03-15/2025-03-16")
    assert resolve("date", "in two hours", NOW) == Resolved("time", "2025-03-12T11:15")


@given(moments, st.integers(-400, 400))
def test_any_written_out_day_is_that_day(now: datetime, away: int) -> None:
    day = now.date() + timedelta(days=away)
    assert value("date", f"{day:%B} {day.day} {day.year}", now) == day.isoformat()
    assert value("date", day.isoformat(), now) == day.isoformat()


@given(moments, st.sampled_from("monday tuesday wednesday thursday friday saturday sunday".split()))  # noqa: SIM905
def test_weekdays_keep_their_order_around_today(now: datetime, name: str) -> None:
    last, bare, following = (date.fromisoformat(value("date", form + name, now)) for form in ("last ", "", "next "))
    assert f"{last:%A}".casefold() == f"{bare:%A}".casefold() == f"{following:%A}".casefold() == name
    assert timedelta(days=1) <= now.date() - last <= timedelta(days=7)
    assert timedelta(days=1) <= bare - now.date() <= timedelta(days=7)
    assert following.isocalendar().week == (now.date() + timedelta(days=7)).isocalendar().week


@given(st.integers(0, 23), st.integers(0, 59))
def test_every_clock_time_has_one_canonical_form(hour: int, minute: int) -> None:
    marked = f"{(hour - 1) % 12 + 1}:{minute:02} {'pm' if hour >= 12 else 'am'}"
    canonical = value("time", marked)
    assert canonical[:5] == f"{hour:02}:{minute:02}"
    assert value("time", canonical) == canonical
    assert value("time", marked.replace(" ", "")) == canonical


@given(kinds, st.text(max_size=40), moments)
def test_any_text_resolves_without_error_and_only_once(kind: Kind, text: str, now: datetime) -> None:
    assert resolve(kind, text, now) == resolve(kind, text, now)


def test_a_part_of_the_day_settles_a_bare_time_and_goes() -> None:
    slots = [("time", "six"), ("timeofday", "evening")]
    assert canonical_arguments(slots, NOW) == {"time": "18:00"}
    assert canonical_arguments([("time", "six"), ("timeofday", "this morning")], NOW) == {"time": "06:00 am"}
    assert canonical_arguments([("timeofday", "afternoon")], NOW) == {"time": "12:00/17:00"}
    contrary = [("time", "seven pm"), ("timeofday", "morning")]
    assert canonical_arguments(contrary, NOW) == {"time": "19:00", "timeofday": "06:00/12:00"}


def test_ends_and_twins_are_folded() -> None:
    assert canonical_arguments([("from_time", "nine am"), ("to_time", "noon")], NOW) == {"time": "09:00 am/12:00 pm"}
    twins = resolve_slots([("currency_name", "euro"), ("currency_name2", "yen")], NOW)
    assert twins == resolve_slots([("currency_name", "euro"), ("currency_name", "yen")], NOW)


def test_empty_values_are_no_slots() -> None:
    assert resolve_slots([("date", ""), ("time", None), ("person", [])], NOW) == {}


def test_arguments_send_a_second_value_to_its_twin_or_in_an_array() -> None:
    assert arguments([("time", "ten"), ("time", "two")]) == {"time": "ten", "time2": "two"}
    assert arguments([("song_name", "a"), ("song_name", "b")]) == {"song_name": ["a", "b"]}


@pytest.mark.shared
@pytest.mark.parametrize("name", ["train.csv", "train_5k.csv"])
def test_canonical_values_of_released_rows_resolve_to_themselves(autoslurp_dir: Path, name: str) -> None:
    resolved, dates = 0, 0
    for row in read(autoslurp_dir / name).rows:
        for label, text in (slot for call in row.calls for slot in call.slots):
            kind = catalog().kind(label)
            found = resolve(kind, text, NOW)
            assert resolve(kind, found.value, NOW) == found
            if kind in ("date", "time", "timeofday"):
                dates += 1
                resolved += found.kind != "text"
    assert resolved / dates > 0.92
