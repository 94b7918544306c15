"""Weights of click samples: ToolRec's formulas (METHODS, section 3) and what must hold of any log."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.training.calibration import (
    NONE,
    Calibration,
    Sample,
    effective_size,
    percentiles,
    sample_weight,
    spread_of_users,
    system_weight,
    user_weight,
)

share = st.floats(0, 1)
samples = st.builds(Sample, st.booleans(), st.none() | share, st.none() | share)
calibrations = st.builds(
    Calibration, user=st.booleans(), system=st.sampled_from(["none", "static", "frequency"]),
    a=st.floats(0, 0.99), g=st.floats(0, 5), k=st.floats(0.1, 9), mu=share, s=st.floats(0.001, 1),
)  # fmt: skip
LEVEL = 0.25 * math.tanh(1)


@pytest.mark.parametrize(
    ("sample", "user", "static", "frequency"),
    [
        (Sample(True, 0.14), 1 - LEVEL, 1, 1),  # a frequent clicker's click
        (Sample(True, 0.0), 1 + LEVEL, 1, 1),
        (Sample(False, 0.14), 1 + LEVEL, 1, 1),
        (Sample(False, 0.0), 1 - LEVEL, 1, 1),
        (Sample(True, 0.07, 1.0), 1, 2.25, 2.25),
        (Sample(True, 0.07, 0.5), 1, 2.25, 2.25**0.125),
        (Sample(True, 0.07, 0.0), 1, 2.25, 1),
        (Sample(False, 0.14, 0.5), 1 + LEVEL, 0, 0),
        (Sample(True, None), 1, 1, 1),
    ],
)
def test_each_level_is_the_papers(sample: Sample, user: float, static: float, frequency: float) -> None:
    whole = Calibration()
    assert user_weight(sample, whole) == pytest.approx(user)
    assert system_weight(sample, replace(whole, system="static")) == pytest.approx(static)
    assert system_weight(sample, whole) == pytest.approx(frequency)
    pick = max if sample.clicked else min
    assert sample_weight(sample, whole) == pytest.approx(pick(user, frequency))
    assert sample_weight(sample, replace(whole, system="none")) == pytest.approx(user)
    assert sample_weight(sample, replace(whole, user=False)) == pytest.approx(frequency)
    assert sample_weight(sample, NONE) == 1


@given(samples, calibrations)
def test_an_unclicked_tool_suggestion_weighs_exactly_nothing(sample: Sample, calibration: Calibration) -> None:
    if not sample.clicked and sample.percentile is not None and calibration.system != "none":
        assert sample_weight(sample, calibration) == 0.0
    else:
        assert sample_weight(sample, calibration) > 0.0


@given(st.floats(0, 0.0699), st.none() | share, st.sampled_from(["none", "static", "frequency"]))
def test_a_rare_clickers_click_weighs_more_than_one(rate: float, percentile: float | None, system: str) -> None:
    calibration = Calibration(user=True, system=system)  # type: ignore[arg-type]
    assert sample_weight(Sample(True, rate, percentile), calibration) > 1.0


@given(samples, calibrations)
def test_a_weight_stays_within_its_bounds(sample: Sample, calibration: Calibration) -> None:
    weight = sample_weight(sample, calibration)
    top = max(1 + calibration.a, 1 + calibration.g if sample.clicked else 0)
    assert 0 <= weight <= top + 1e-9
    if sample.clicked:
        assert weight >= 1 - calibration.a


@given(share, share, st.booleans(), calibrations)
def test_who_clicks_more_is_believed_less_when_clicking(
    low: float, high: float, clicked: bool, calibration: Calibration
) -> None:
    low, high = sorted((low, high))
    first, second = (user_weight(Sample(clicked, rate), calibration) for rate in (low, high))
    assert first >= second if clicked else first <= second


@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=50))
def test_effective_size_is_between_one_and_all(weights: list[float]) -> None:
    size = effective_size(weights)
    assert size == 0 if not any(weights) else 1 - 1e-9 <= size <= len(weights) + 1e-9


def test_effective_size_counts_equals_in_full_and_zeros_not_at_all() -> None:
    assert effective_size([2.0] * 8 + [0.0] * 5) == pytest.approx(8)
    assert effective_size([]) == 0
    with pytest.raises(ValueError, match="finite"):
        effective_size([1.0, math.nan])


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9), min_size=2))
def test_percentiles_keep_the_order_of_use(uses: dict[str, int]) -> None:
    found = percentiles(uses)
    assert all(0 <= p <= 1 for p in found.values())
    assert sorted(uses, key=lambda tool: (uses[tool], tool)) == sorted(
        uses, key=lambda tool: (found[tool], uses[tool], tool)
    )
    assert all((uses[a] < uses[b]) == (found[a] < found[b]) for a in uses for b in uses)


def test_the_spread_of_users_and_what_has_none() -> None:
    assert spread_of_users([0.0, 0.1, 0.2, 0.3, 0.4]) == (pytest.approx(0.3), pytest.approx(math.sqrt(0.02)))
    with pytest.raises(ValueError, match="differ"):
        spread_of_users([0.1, 0.1])


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="a < 1"):
        Calibration(a=1.0)
    with pytest.raises(ValueError, match="click rate"):
        user_weight(Sample(True, 1.5), Calibration())
    with pytest.raises(ValueError, match="percentile"):
        system_weight(Sample(True, 0.1, -0.1), Calibration())
