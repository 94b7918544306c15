"""Typed, canonical equality."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools.values import JSON, canonical, same


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (25, 25.0, True),
        (7, 10**400, False),
        (2**53, 2**53 + 1, False),
        ("25", 25, True),
        ("25", "25.0", False),  # two texts: an id may look like a number
        ("09:30", "9:30", True),
        ("09:30:00", "09:30", True),
        ("2026-05-11 09:30", "2026-05-11T09:30:00", True),
        ("2026-05-11", "2026-05-11T00:00:00", False),
        ("Ada  Byron", "ada byron", True),
        ("STRASSE", "straße", True),
        (True, 1, False),
        (None, "", False),
        ([1, "a"], [1.0, "A"], True),
        ({"x": 1, "y": None}, {"y": None, "x": 1.0}, True),
        ("2026-13-45", "2026-13-45 ", True),  # no date: compared as text
    ],
)
def test_same(a: JSON, b: JSON, equal: bool) -> None:
    assert same(a, b) is equal
    assert same(b, a) is equal


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(VALUES)
def test_everything_equals_itself_and_has_a_hash(value: JSON) -> None:
    assert same(value, value)
    hash(canonical(value))
