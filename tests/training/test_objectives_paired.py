"""DPO and OTPO against closed forms, and the transport plan against what makes it the optimum."""

from __future__ import annotations

import math

import pytest
import torch
from tests.support.objectives import f64
from torch import Tensor

from mocktrial.training.objectives.paired import dpo_loss, otpo_weights, transport


def states(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_dpo_closed_form() -> None:
    loss = dpo_loss(f64(-1.0, -2.0), f64(-4.0, -1.0), f64(-2.0, -2.0), f64(-3.0, -1.0), f64(3.0, 1.0), 4.0, beta=0.5)
    first = -math.log(1 / (1 + math.exp(-0.5 * 2.0)))
    assert loss.item() == pytest.approx((3 * first + math.log(2)) / 4, abs=1e-12)


def objective(plan: Tensor, cost: Tensor, reg: float, reg_m: float) -> Tensor:
    """What unbalanced transport minimises; a, b and the prior are uniform with total 1."""

    def divergence(one: Tensor, size: int) -> Tensor:
        return (one * (one * size).log() - one + 1 / size).sum()

    m, n = plan.shape
    spread = divergence(plan, m * n)
    return (plan * cost).sum() + reg * spread + reg_m * (divergence(plan.sum(1), m) + divergence(plan.sum(0), n))


@pytest.mark.parametrize(("reg", "reg_m"), [(1.0, 0.2), (0.3, 2.0)])
def test_the_plan_is_the_optimum_up_to_its_total(reg: float, reg_m: float) -> None:
    cost = torch.cdist(states(4, 3), states(6, 3, seed=1))
    plan = transport(cost[None], torch.ones(1, 4, 6, dtype=torch.bool), reg=reg, reg_m=reg_m, steps=400)[0]
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(200):  # the best total for this shape, by gradient descent
        (slope,) = torch.autograd.grad(objective(plan * scale.exp(), cost, reg, reg_m), scale)
        scale = (scale - 0.5 * slope).detach().requires_grad_()
    best = (plan * scale.exp()).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(objective(best, cost, reg, reg_m), best)
    assert slopes.abs().max() < 1e-8


def test_weights_sum_to_the_shorter_side_and_favour_shared_tokens() -> None:
    chosen, rejected = states(1, 4, 8), states(1, 3, 8, seed=1)
    rejected[0, 2] = chosen[0, 1]
    ours, theirs = otpo_weights(chosen, rejected, torch.ones(1, 4), torch.ones(1, 3))
    assert ours.sum().item() == pytest.approx(3.0, abs=1e-12)
    assert theirs.sum().item() == pytest.approx(3.0, abs=1e-12)
    assert (int(ours.argmax()), int(theirs.argmax())) == (1, 2)


def test_weights_do_not_see_padding_or_tool_tokens() -> None:
    chosen, rejected = states(2, 5, 8), states(2, 6, 8, seed=1)
    mask, other = torch.ones(2, 5), torch.ones(2, 6)
    mask[0, 3:], other[0, 1], other[1] = 0.0, 0.0, 0.0
    ours, theirs = otpo_weights(chosen, rejected, mask, other)
    kept = [0, 2, 3, 4, 5]
    alone = otpo_weights(chosen[:1, :3], rejected[:1, kept], torch.ones(1, 3), torch.ones(1, 5))
    torch.testing.assert_close((ours[:1, :3], theirs[:1, kept]), alone, rtol=0, atol=1e-12)
    assert ours[0, 3:].tolist() == [0.0, 0.0]
    assert theirs[0, 1] == 0.0
    assert ours[1].tolist() == [0.0] * 5  # nothing to carry to


def test_equal_tokens_get_equal_weights_and_far_ones_stay_finite() -> None:
    same = torch.ones(1, 3, 2, dtype=torch.float64)
    ours, theirs = otpo_weights(same, same[:, :2], torch.ones(1, 3), torch.ones(1, 2))
    torch.testing.assert_close(ours, torch.full_like(ours, 2 / 3))
    torch.testing.assert_close(theirs, torch.ones_like(theirs))
    far, _ = otpo_weights(1e4 * states(1, 3, 8), -1e4 * states(1, 2, 8, seed=1), torch.ones(1, 3), torch.ones(1, 2))
    assert far.isfinite().all()
    assert far.sum().item() == pytest.approx(2.0)
