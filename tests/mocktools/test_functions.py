"""The functions that SQL may call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools.functions import (
    Runtime,
    add_minutes,
    convert_unit,
    date_add,
    days_between,
    distance_km,
    minutes_between,
    weekday,
)


def test_examples() -> None:
    assert date_add("2026-02-27", 2) == "2026-03-01"
    assert days_between("2026-05-11", "2026-05-18") == 7
    assert weekday("2026-05-11") == "Monday"
    assert add_minutes("23:50", 20) == "00:10"
    assert add_minutes("2026-05-11T23:50:00", 20) == "2026-05-12T00:10:00"
    assert minutes_between("2026-05-11T09:00", "2026-05-11T10:30") == 90
    assert distance_km(52.52, 13.405, 48.8566, 2.3522) == pytest.approx(877.5, abs=1.0)  # Berlin to Paris
    assert convert_unit(1, "mi", "km") == pytest.approx(1.609344)
    assert convert_unit(1, "mi", "kg") is None


@pytest.mark.parametrize("bad", [None, "", "soon", "2026-99-99"])
def test_bad_dates_give_null(bad: str | None) -> None:
    assert date_add(bad, 1) is None
    assert weekday(bad) is None
    assert days_between(bad, "2026-05-11") is None
    assert minutes_between(bad, "2026-05-11T00:00") is None


@given(st.text(max_size=20), st.integers())
def test_date_add_never_raises(text: str, days: int) -> None:
    date_add(text, days)


def test_ids_are_distinct_and_follow_the_seed() -> None:
    runtime = Runtime(seed=3)
    ids = [runtime.new_id("x") for _ in range(20_000)]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == [Runtime(seed=3).new_id("x"), *ids[1:3]]
    assert Runtime(seed=4).new_id("x") != ids[0]
