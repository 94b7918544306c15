"""ImplicitRM: on simulated logs, where preference and readiness are known, the estimates hold the truth."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mocktrial.mocktools.errors import UsageError
from mocktrial.training.readiness import fit_readiness, groups, log_likelihood, unbiased_loss

B = torch.tensor([0.4, 1.2], dtype=torch.float64)  # of preference: intercept, fit
LOGS = 12
C = torch.tensor([-0.8, 1.5], dtype=torch.float64)  # of readiness: intercept, activity


def _log(seed: int, n: int = 20_000) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """clicked, x, z and whether it was wanted. Those who are ready see what fits less: a plain fit is led astray."""
    generator = torch.Generator().manual_seed(seed)
    activity = torch.randn(n, generator=generator, dtype=torch.float64)
    fit = torch.randn(n, generator=generator, dtype=torch.float64) - 0.5 * activity
    ones = torch.ones(n, dtype=torch.float64)
    x, z = torch.stack([ones, fit], 1), torch.stack([ones, activity], 1)
    draws = torch.rand(2, n, generator=generator, dtype=torch.float64)
    wanted, ready = draws[0] < torch.sigmoid(x @ B), draws[1] < torch.sigmoid(z @ C)
    return wanted & ready, x, z, wanted


def test_the_unbiased_loss_averages_to_the_loss_on_what_was_wanted() -> None:
    clicked, x, z, wanted = _log(1)
    score = torch.sigmoid(x @ torch.tensor([0.1, 0.5], dtype=torch.float64))  # any model's
    losses = unbiased_loss(clicked, torch.sigmoid(z @ C), -score.log(), -(1 - score).log())
    truth = torch.where(wanted, -score.log(), -(1 - score).log())
    error = float((losses - truth).std()) / len(x) ** 0.5
    assert abs(float((losses - truth).mean())) < 3 * error
    naive = torch.where(clicked, -score.log(), -(1 - score).log())
    assert abs(float((naive - truth).mean())) > 10 * float((naive - truth).std()) / len(x) ** 0.5


def test_the_likelihood_estimates_are_unbiased_and_a_plain_fit_is_not() -> None:
    """Over some logs the mean estimate lies within 3 standard errors of the truth; taking readiness as given does not."""
    found, plain, within = [], [], 0
    for seed in range(LOGS):
        clicked, x, z, _ = _log(seed, 6_000)
        estimate = fit_readiness(clicked, x, z)
        got = torch.cat([estimate.preference, estimate.readiness])
        error = torch.cat([estimate.preference_error, estimate.readiness_error])
        within += int(((got - torch.cat([B, C])).abs() < 1.96 * error).sum())
        found.append(got)
        plain.append(fit_readiness(clicked, x, 30 * torch.ones(len(x), 1)).preference)  # sigmoid(30): always ready
    middle = torch.stack(found).median(dim=0).values
    spread = torch.stack(found).std(dim=0) / LOGS**0.5
    assert bool(((middle - torch.cat([B, C])).abs() < 3 * 1.25 * spread).all()), (middle, spread)
    assert within >= 0.87 * 4 * LOGS  # of nominal 95% intervals
    assert abs(float(torch.stack(plain).mean(dim=0)[1] - B[1])) > 0.2


def test_the_score_is_zero_on_average_at_the_truth() -> None:
    clicked, x, z, _ = _log(5, 50_000)
    rows = []
    for start in range(0, 50_000, 1000):
        part = slice(start, start + 1000)
        b, c = B.clone().requires_grad_(), C.clone().requires_grad_()
        log_likelihood(clicked[part], x[part], z[part], b, c).backward()
        assert b.grad is not None
        assert c.grad is not None
        rows.append(torch.cat([b.grad, c.grad]))
    score = torch.stack(rows)
    assert bool((score.mean(dim=0).abs() < 3.5 * score.std(dim=0) / 50**0.5).all())


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.booleans())
def test_four_groups_share_a_showing(p: float, q: float, clicked: bool) -> None:
    share = groups(torch.tensor([clicked]), torch.tensor([p]), torch.tensor([q]))[0]
    assert float(share.sum()) == pytest.approx(1, abs=1e-5)
    if clicked:
        assert share.tolist() == [1, 0, 0, 0]
    else:
        assert float(share[0]) == 0
        assert float(share[1]) == pytest.approx(p * (1 - q) / (1 - p * q), rel=1e-3)


def test_clicks_that_say_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="all or none"):
        fit_readiness(torch.zeros(3, dtype=torch.bool), torch.ones(3, 1), torch.ones(3, 1))
