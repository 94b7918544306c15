"""Shares, kappa and quality at the top, against known truth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.envs.agreement import Answer, kappa, share, top_share


def answers(*rows: tuple[bool, bool, float]) -> dict[str, list[Answer]]:
    return {f"task-{number}": [Answer(*row)] for number, row in enumerate(rows)}


def test_kappa_of_a_textbook_table() -> None:
    """Cohen's worked 2 x 2: 20 and 15 on the diagonal, 5 and 10 off it: p_o = 0.7, p_e = 0.5."""
    cells = [(True, True, 20), (True, False, 5), (False, True, 10), (False, False, 15)]
    found = kappa(answers(*((truth, said, 0.0) for truth, said, count in cells for _ in range(count))))
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high


def test_nothing_can_be_said_where_all_is_the_same() -> None:
    assert kappa(answers((True, True, 1.0), (True, True, 1.0))) is None
    assert share({}) is None
    assert share({"a": []}) is None


def test_perfect_agreement_is_not_certain() -> None:
    found = kappa(answers(*((bool(n % 2), bool(n % 2), 0.0) for n in range(20))))
    assert found is not None
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.5 < found.low < 0.9
    none = share({str(n): [False] for n in range(20)})
    assert none is not None
    assert (none.low, none.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=30))
def test_kappa_is_bounded_and_turns_with_the_answers(pairs: list[tuple[bool, bool]]) -> None:
    found = kappa(answers(*((truth, said, 0.0) for truth, said in pairs)))
    swapped = kappa(answers(*((said, truth, 0.0) for truth, said in pairs)))
    if found is None or swapped is None:
        assert found is swapped
        return
    assert found.low >= -1 - 1e-9
    assert found.high <= 1 + 1e-9
    assert found.value == pytest.approx(swapped.value)


def test_the_top_is_the_best_scored_and_ties_enter_by_their_mean() -> None:
    cases = answers((True, True, 0.9), (True, True, 0.5), (False, True, 0.5), (False, False, 0.1))
    assert [top_share(cases, eta).value for eta in (0.25, 0.5, 0.75, 1.0)] == [1.0, 0.75, pytest.approx(2 / 3), 0.5]  # type: ignore[union-attr]


def test_intervals_cover_and_are_wider_where_cases_of_a_task_go_together() -> None:
    """60 simulated judges of known share 0.7, 25 tasks of 5 cases each that agree within their task."""
    chance, covered = random.Random(5), 0
    for _ in range(60):
        together = {str(n): [chance.random() < 0.7] * 5 for n in range(25)}
        found = share(together)
        assert found is not None
        covered += found.low <= 0.7 <= found.high
    assert 51 <= covered <= 60
