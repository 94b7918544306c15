"""A value is said where it stands by itself: held against the pattern that says so."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mocktrial.envs.users.base import says, without
from mocktrial.mocktools.values import fold

letters = st.sampled_from(list("ab12_-.,: é٣"))
texts = st.text(letters, max_size=12)


def pattern(value: str) -> re.Pattern[str]:
    before = r"(?<!\d[.,:])(?<!\s-)(?<!^-)" if value[0].isdigit() else ""
    after = r"(?![.,:]\d)" if value[-1].isdigit() else ""
    return re.compile(rf"(?<!\w){before}{re.escape(value)}(?!\w){after}")


@settings(max_examples=300, deadline=None)
@given(text=texts, value=st.text(letters, min_size=1, max_size=3))
@example("a a a", "a a")
@example("-1 and 1", "1")
def test_it_agrees_with_the_pattern(text: str, value: str) -> None:
    text, value = fold(text), fold(value)
    if value:
        assert says(text, value) == (pattern(value).search(text) is not None)
        assert without(text, value) == pattern(value).sub("_", text)


@pytest.mark.parametrize("text", ["-5", "5.50", "10:05", "15", "x5", "1,5", "from -5 on"])
def test_five_is_not_said(text: str) -> None:
    assert not says(text, "5")
    assert without(text, "5") == text


def test_nothing_is_never_said() -> None:
    assert not says("anything", " ")
    assert without("anything", " ") == "anything"
