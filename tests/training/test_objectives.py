"""Identities that every loss keeps, all in float64: weights, splits, order, padding, masks, finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.objectives import LOSSES, B, Case, f64, gradient
from torch import Tensor
from torch.nn.functional import pad

from mocktrial.training.objectives.sft import idft_loss, idft_weights, sft_loss, sft_normaliser

EVERY = pytest.mark.parametrize("name", LOSSES)


def same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "idft"])  # its weights have no gradient
def test_gradient_equals_finite_differences(name: str) -> None:
    case = Case(1)
    logps = case.logps.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: case.loss(name, given), logps)


@EVERY
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), labels=st.lists(st.integers(0, 3), min_size=B, max_size=B))
def test_any_split_gives_the_same_gradient(name: str, seed: int, labels: list[int]) -> None:
    case = Case(seed)
    parts = [[row for row in range(B) if labels[row] == label] for label in sorted(set(labels))]
    same(gradient(case, name, parts), gradient(case, name))


@EVERY
@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(B)))
def test_any_order_gives_the_same_gradient(name: str, order: list[int]) -> None:
    case = Case(2)
    same(gradient(case.only(order), name), gradient(case, name)[list(order)])


@EVERY
def test_padding_changes_nothing_whatever_it_holds(name: str) -> None:
    case, padded = Case(3), Case(3)
    for field in ("logps", "other", "entropy"):
        setattr(padded, field, pad(getattr(case, field), (0, 2), value=math.nan))
    padded.mask = pad(case.mask, (0, 2))
    same(gradient(padded, name), pad(gradient(case, name), (0, 2)))


@EVERY
def test_tool_tokens_have_no_gradient_and_no_influence(name: str) -> None:
    case, dirty = Case(4), Case(4)
    tool = case.mask == 0
    grad = gradient(case, name)
    assert grad[tool].abs().max() == 0
    assert grad[~tool].abs().max() > 0
    for field in ("logps", "other", "entropy"):
        setattr(dirty, field, getattr(case, field).masked_fill(tool, math.nan))
    same(gradient(dirty, name), grad)


@EVERY
def test_weight_zero_is_a_row_removed(name: str) -> None:
    case, kept = Case(5), [0, 1, 3, 4, 5]
    case.weight[2] = 0.0
    full = gradient(case, name)
    same(full[kept], gradient(case.only(kept), name))
    assert full[2].abs().max() == 0


@EVERY
def test_weight_two_is_a_row_twice(name: str) -> None:
    case = Case(6)
    case.weight[:] = 1.0
    twice = case.only([0, 1, 1, 2, 3, 4, 5])
    case.weight[1] = 2.0
    same(case.loss(name), twice.loss(name))
    merged = gradient(twice, name)
    merged[1] += merged[2]
    same(gradient(case, name), merged[[0, 1, 3, 4, 5, 6]])


@pytest.mark.parametrize("name", ["sft", "kto", "dpo", "reinforce", "dapo", "dr_grpo"])
def test_a_token_of_weight_zero_is_a_tool_token(name: str) -> None:
    case = Case(7)
    case.mask *= 0.5
    half = gradient(case, name)
    case.mask[0, 0] = 0.0
    assert half[0, 0] != 0
    assert gradient(case, name)[0, 0] == 0


def test_sft_closed_form() -> None:
    logps = torch.tensor([[-1.0, -2.0, -9.0], [-3.0, -9.0, -4.0]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]])
    weight = f64(1.0, 0.5)
    whole = sft_normaliser(mask, weight)
    assert whole == 3.0
    assert sft_loss(logps, mask, weight, whole).item() == pytest.approx((3 + 0.5 * 7) / 3, abs=1e-12)


def test_idft_weights_closed_form() -> None:
    logps, entropy = torch.log(f64(0.5, 0.9, 0.01)), f64(0.7, 0.1, 0.5)
    weights = idft_weights(logps, entropy)
    phi = math.log(0.5) + 0.7
    assert weights[0].item() == pytest.approx(0.5 ** math.exp(-phi), abs=1e-12)
    assert weights[2].item() == pytest.approx(0.01**2, abs=1e-12)  # gamma is cut at 2
    assert idft_weights(logps, entropy + 9)[1].item() == pytest.approx(0.9**0.1, abs=1e-12)  # and at 0.1
    half = idft_weights(logps, entropy, scale=2.0)
    assert half[0].item() == pytest.approx(0.5 ** math.exp(-phi / 2), abs=1e-12)


def test_idft_gradient_is_minus_its_weight() -> None:
    logps = torch.log(f64(0.5, 0.9)).view(1, 2).requires_grad_()
    entropy = f64(0.7, 0.1).view(1, 2)
    (grad,) = torch.autograd.grad(idft_loss(logps, entropy, torch.ones(1, 2), f64(1.0), 2.0), logps)
    same(grad, -idft_weights(logps, entropy) / 2)
