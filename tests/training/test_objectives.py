"""The losses against closed forms and finite differences, all in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mocktrial.training.objectives.grpo import grpo_advantages, grpo_loss
from mocktrial.training.objectives.kto import kto_loss, kto_reference_point
from mocktrial.training.objectives.sft import sft_loss, sft_normaliser

B, T = 5, 7


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Case:
    """Random inputs of all three losses; each loss as a function of logps and of chosen rows."""

    def __init__(self, seed: int) -> None:
        make = torch.Generator().manual_seed(seed)
        self.logps = -5 * torch.rand(B, T, dtype=torch.float64, generator=make)
        self.mask = torch.rand(B, T, generator=make) < 0.6
        self.mask[:, 0] = True
        self.weight = 0.1 + 2 * torch.rand(B, dtype=torch.float64, generator=make)
        self.other = self.logps + 0.4 * torch.randn(B, T, dtype=torch.float64, generator=make)
        self.desirable = torch.rand(B, generator=make) < 0.5
        self.advantages = torch.randn(B, dtype=torch.float64, generator=make)

    def sums(self, logps: Tensor) -> Tensor:
        return (logps * self.mask).sum(dim=1)

    def loss(self, name: str, logps: Tensor, rows: list[int], weight: Tensor | None = None) -> Tensor:
        """The share of `rows` (repeats allowed) in the loss of all rows under `weight`."""
        weight = self.weight if weight is None else weight
        if name == "sft":
            whole = sft_normaliser(self.mask, weight)
            return sft_loss(logps[rows], self.mask[rows], weight[rows], whole)
        whole = float(weight.sum())
        if name == "kto":
            z = kto_reference_point(self.sums(self.other) + 1.0, self.sums(self.other), weight)
            return kto_loss(
                self.sums(logps)[rows],
                self.sums(self.other)[rows],
                self.desirable[rows],
                weight[rows],
                z,
                whole,
            )
        return grpo_loss(
            logps[rows],
            self.other[rows],
            self.mask[rows],
            self.advantages[rows],
            weight[rows],
            whole,
            kl_weight=0.1,
            reference=self.other[rows] - 0.3,
        )


LOSSES = pytest.mark.parametrize("name", ["sft", "kto", "grpo"])


def gradient(case: Case, name: str, parts: list[list[int]], weight: Tensor | None = None) -> Tensor:
    logps = case.logps.clone().requires_grad_()
    for part in parts:
        case.loss(name, logps, part, weight).backward()
    assert logps.grad is not None
    return logps.grad


@LOSSES
def test_gradient_equals_finite_differences(name: str) -> None:
    case = Case(1)
    logps = case.logps.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: case.loss(name, given, list(range(B))), logps)


@LOSSES
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), labels=st.lists(st.integers(0, 3), min_size=B, max_size=B))
def test_any_split_gives_the_same_gradient(name: str, seed: int, labels: list[int]) -> None:
    case = Case(seed)
    parts = [[row for row in range(B) if labels[row] == label] for label in sorted(set(labels))]
    whole = gradient(case, name, [list(range(B))])
    torch.testing.assert_close(gradient(case, name, parts), whole, rtol=0, atol=1e-12)


@LOSSES
def test_masked_tokens_have_no_gradient_whatever_they_hold(name: str) -> None:
    case = Case(2)
    grad = gradient(case, name, [list(range(B))])
    assert grad[~case.mask].abs().max() == 0
    assert grad[case.mask].abs().max() > 0


@pytest.mark.parametrize("name", ["sft", "grpo"])
def test_a_nan_at_a_masked_place_does_not_spread(name: str) -> None:
    case = Case(3)
    clean = case.loss(name, case.logps, list(range(B)))
    dirty = case.logps.masked_fill(~case.mask, math.nan)
    torch.testing.assert_close(case.loss(name, dirty, list(range(B))), clean)


@LOSSES
def test_weight_zero_is_a_row_removed(name: str) -> None:
    case = Case(4)
    weight = case.weight.clone()
    weight[2] = 0.0
    full = gradient(case, name, [list(range(B))], weight)
    kept = gradient(case, name, [[0, 1, 3, 4]], weight)
    torch.testing.assert_close(full, kept, rtol=0, atol=1e-12)
    assert full[2].abs().max() == 0


@LOSSES
def test_weight_two_is_a_row_twice(name: str) -> None:
    case = Case(5)
    weight = torch.ones(B, dtype=torch.float64)
    weight[1] = 2.0
    once = case.loss(name, case.logps, list(range(B)), weight)
    twice = Case(5)
    again = [0, 1, 1, 2, 3, 4]
    for field in ("logps", "mask", "other", "desirable", "advantages"):
        setattr(twice, field, getattr(case, field)[again])
    torch.testing.assert_close(
        twice.loss(name, twice.logps, list(range(6)), torch.ones(6, dtype=torch.float64)),
        once,
        rtol=0,
        atol=1e-12,
    )


def test_sft_closed_form() -> None:
    logps = torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -9.0, -4.0]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]])
    weight = f64(1.0, 0.5)
    whole = sft_normaliser(mask, weight)
    assert whole == 3.0
    assert sft_loss(logps, mask, weight, whole).item() == pytest.approx((3 + 0.5 * 7) / 3, abs=1e-12)


def test_kto_closed_form() -> None:
    policy, reference = f64(-1.0, -5.0), f64(-3.0, -4.0)
    loss = kto_loss(
        policy,
        reference,
        torch.tensor([True, False]),
        f64(2.0, 3.0),
        f64(0.5)[0],
        5.0,
        beta=0.2,
        desirable_weight=1.5,
        undesirable_weight=0.7,
    )
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    first = 2.0 * 1.5 * (1 - sigmoid(0.2 * (2.0 - 0.5)))
    second = 3.0 * 0.7 * (1 - sigmoid(0.2 * (0.5 + 1.0)))
    assert loss.item() == pytest.approx((first + second) / 5.0, abs=1e-12)


def test_kto_at_the_reference_costs_half_a_unit_of_weight() -> None:
    policy = f64(-2.0, -7.0, -1.0)
    z = kto_reference_point(policy, policy, f64(1.0, 1.0, 1.0))
    weight = f64(0.3, 1.0, 4.0)
    loss = kto_loss(policy, policy, torch.tensor([True, False, True]), weight, z, float(weight.sum()))
    assert loss.item() == pytest.approx(0.5, abs=1e-12)


def test_kto_reference_point_is_a_clamped_weighted_mean_without_gradient() -> None:
    policy = f64(-1.0, -2.0).requires_grad_()
    z = kto_reference_point(policy, f64(-2.0, -6.0), f64(3.0, 1.0))
    assert z.item() == pytest.approx((3 * 1 + 1 * 4) / 4, abs=1e-12)
    assert not z.requires_grad
    assert kto_reference_point(policy - 9, f64(-2.0, -6.0), f64(1.0, 1.0)).item() == 0.0
    assert kto_reference_point(f64(), f64(), f64()).item() == 0.0


def test_grpo_closed_form_with_both_clips() -> None:
    behaviour = -torch.ones(2, 3, dtype=torch.float64)
    ratio = torch.tensor([[1.5, 0.5, 9.0], [0.5, 1.5, 9.0]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    loss = grpo_loss(behaviour + ratio.log(), behaviour, mask, f64(2.0, -1.0), f64(1.0, 1.0), 2.0)
    first = (1.28 * 2 + 0.5 * 2) / 2  # a gain is cut at 1 + high, a loss is not cut
    second = (-0.8 - 1.5) / 2  # likewise at 1 - low
    assert loss.item() == pytest.approx(-(first + second) / 2, abs=1e-12)


def test_grpo_k3_is_zero_at_the_reference_and_positive_off_it() -> None:
    logps = f64(-1.0, -2.0).view(1, 2)
    same = {"mask": torch.ones(1, 2), "advantages": f64(0.0), "weight": f64(1.0), "normaliser": 1.0}

    def divergence(reference: Tensor) -> float:
        return grpo_loss(logps, logps, **same, kl_weight=1.0, reference=reference).item()  # type: ignore[arg-type]

    assert divergence(logps) == 0.0
    assert divergence(logps + 0.5) == pytest.approx(math.exp(0.5) - 0.5 - 1, abs=1e-12)
    with pytest.raises(ValueError, match="reference"):
        grpo_loss(logps, logps, **same, kl_weight=1.0)  # type: ignore[arg-type]


def test_grpo_advantages_closed_form_and_dropped_groups() -> None:
    rewards = f64(0.0, 1.0, 1.0, 0.7, 0.7, 5.0)
    advantages, kept = grpo_advantages(
        rewards, ["a", "a", "a", "b", "b", "a"], f64(1.0, 1.0, 1.0, 1.0, 1.0, 0.0), eps=1e-6
    )
    std = math.sqrt(2 / 9)
    expected = [-(2 / 3) / (std + 1e-6), (1 / 3) / (std + 1e-6), (1 / 3) / (std + 1e-6)]
    assert advantages[:3].tolist() == pytest.approx(expected, abs=1e-12)
    assert kept.tolist() == [True, True, True, False, False, False]


def test_grpo_weight_two_is_a_rollout_twice_in_its_group() -> None:
    once, _ = grpo_advantages(f64(0.0, 1.0, 0.5), ["a"] * 3, f64(1.0, 2.0, 1.0))
    twice, _ = grpo_advantages(f64(0.0, 1.0, 1.0, 0.5), ["a"] * 4, f64(1.0, 1.0, 1.0, 1.0))
    torch.testing.assert_close(once, twice[[0, 1, 3]], rtol=0, atol=1e-12)
