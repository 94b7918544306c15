"""KTO against closed forms; who is paired with whom for z."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from tests.support.objectives import f64

from mocktrial.training.objectives.kto import (
    kto_loss,
    kto_reference_point,
    shifted_partners,
    shuffled_partners,
    weighted_logp,
)

ROWS, PROMPTS = ["a", "b", "c", "d", "e"], [0, 0, 1, 1, 2]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def loss_of(log_ratio: float, desirable: bool, z: float = 0.0, **options: Any) -> float:
    zero = f64(0.0)
    return kto_loss(f64(log_ratio), zero, torch.tensor([desirable]), f64(1.0), f64(z)[0], 1.0, **options).item()


def test_closed_form() -> None:
    loss = kto_loss(
        f64(-1.0, -5.0),
        f64(-3.0, -4.0),
        torch.tensor([True, False]),
        f64(2.0, 3.0),
        f64(0.5)[0],
        5.0,
        beta=0.2,
        desirable_weight=1.5,
        undesirable_weight=0.7,
    )
    first = 2.0 * 1.5 * (1 - sigmoid(0.2 * (2.0 - 0.5)))
    second = 3.0 * 0.7 * (1 - sigmoid(0.2 * (0.5 + 1.0)))
    assert loss.item() == pytest.approx((first + second) / 5.0, abs=1e-12)


def test_at_the_reference_a_unit_of_weight_costs_half() -> None:
    policy = f64(-2.0, -7.0, -1.0)
    z = kto_reference_point(policy, policy, f64(1.0, 1.0, 1.0))
    weight = f64(0.3, 1.0, 4.0)
    loss = kto_loss(policy, policy, torch.tensor([True, False, True]), weight, z, float(weight.sum()))
    assert loss.item() == pytest.approx(0.5, abs=1e-12)


def test_clip_bounds_the_log_ratio_to_both_sides() -> None:
    assert loss_of(9.0, True, clip=2.0) == pytest.approx(1 - sigmoid(0.2), abs=1e-12)
    assert loss_of(-9.0, True, clip=2.0) == pytest.approx(1 - sigmoid(-0.2), abs=1e-12)
    assert loss_of(1.5, False, clip=2.0) == loss_of(1.5, False)
    z = kto_reference_point(f64(9.0, 1.0), f64(0.0, 0.0), f64(1.0, 1.0), clip=2.0)
    assert z.item() == pytest.approx(1.5, abs=1e-12)


def test_z_is_a_clamped_weighted_mean_without_gradient() -> None:
    policy = f64(-1.0, -2.0).requires_grad_()
    z = kto_reference_point(policy, f64(-2.0, -6.0), f64(3.0, 1.0))
    assert z.item() == pytest.approx((3 * 1 + 1 * 4) / 4, abs=1e-12)
    assert not z.requires_grad
    assert kto_reference_point(policy - 9, f64(-2.0, -6.0), f64(1.0, 1.0)).item() == 0.0
    assert kto_reference_point(f64(), f64(), f64()).item() == 0.0


def test_token_weights_scale_a_completions_parts() -> None:
    logps = torch.tensor([[-1.0, -2.0, math.nan]], dtype=torch.float64)
    assert weighted_logp(logps, torch.tensor([[1.0, 0.5, 0.0]])).tolist() == [-2.0]


def test_partners_are_of_other_prompts_and_new_each_step() -> None:
    draws = [shuffled_partners(ROWS, PROMPTS, seed=1, step=step) for step in range(20)]
    for draw in draws:
        assert all(partner is not None and PROMPTS[partner] != PROMPTS[row] for row, partner in enumerate(draw))
    assert len({tuple(draw) for draw in draws}) > 10
    assert draws[0] == shuffled_partners(ROWS, PROMPTS, seed=1, step=0) != shuffled_partners(ROWS, PROMPTS, 2, 0)


def test_partners_are_uniform_over_the_rows_of_other_prompts() -> None:
    drawn = Counter(shuffled_partners(ROWS, PROMPTS, seed=0, step=step)[0] for step in range(900))
    assert set(drawn) == {2, 3, 4}
    assert sum((count - 300) ** 2 / 300 for count in drawn.values()) < 13.8  # chi-square, 2 degrees, p = 0.001


def test_partners_do_not_depend_on_order_or_repeats() -> None:
    names = [ROWS[partner or 0] for partner in shuffled_partners(ROWS, PROMPTS, 0, 5)]
    order = [4, 1, 1, 0, 3, 2, 2]
    rows, prompts = [ROWS[row] for row in order], [PROMPTS[row] for row in order]
    again = [rows[partner or 0] for partner in shuffled_partners(rows, prompts, 0, 5)]
    assert again == [names[row] for row in order]


def test_one_prompt_has_no_partners() -> None:
    assert shuffled_partners(["a", "b"], [0, 0], 0, 0) == [None, None]


def test_shifted_partners_go_round() -> None:
    assert shifted_partners(3) == [2, 0, 1]
    assert shifted_partners(1) == [0]
