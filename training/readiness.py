"""ImplicitRM's idea (arXiv 2603.23184): a click says that somebody wanted it *and* was ready to act.

Model. Every showing has two latent bits: preference P ~ Bernoulli(p), with logit(p) = x.b on what is shown, and
readiness R ~ Bernoulli(q), with logit(q) = z.c on who, when and where; independent given x and z. A click is
Y = P R. So four latent groups (wanting or not, ready or not) give only two outcomes, and a non-click mixes three.

Why a plain fit is wrong. E[Y|x,z] = p q < p: fitting Y by x estimates p times the readiness of whoever happened to
see it, and takes every busy person's silence for dislike.

Unbiased loss, q known. For any loss l(P) the weighted one

    l~(Y) = (Y/q) l(1) + (1 - Y/q) l(0)      has      E[l~ | x, z] = p l(1) + (1 - p) l(0) = E[l(P) | x],

since E[Y/q] = p q / q. It needs no preference label; its price is variance, at most 1/q per click.

Unbiased likelihood, q unknown. Summing the groups out gives the likelihood of what is seen,

    log L = sum Y log(p q) + (1 - Y) log(1 - p q),

whose score has mean zero at the true (b, c), since E[Y] = p q there and d/dt[pq log(pt qt) + (1-pq) log(1-pt qt)] = 0
at pt qt = pq: a maximum-likelihood estimate is consistent and its bias vanishes as 1/n. b and c are told apart only
where x and z differ: each needs a covariate that the other lacks, and an intercept in both rests on the curvature of
the logistic alone. `fit_readiness` maximises it directly (LBFGS in float64) rather than by EM, whose
fixed points are the same. The paper itself is known to us by description only (METHODS, section 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from mocktrial.mocktools.errors import UsageError

_STEPS = 200
_RIDGE = 1e-6  # keeps a direction that the data says nothing of at 0


@dataclass(frozen=True)
class Readiness:
    """Estimates b (D,) and c (E,), with their standard errors from the observed information."""

    preference: Tensor
    readiness: Tensor
    preference_error: Tensor
    readiness_error: Tensor


def unbiased_loss(clicked: Tensor, ready: Tensor, wanted: Tensor, unwanted: Tensor) -> Tensor:
    """`(Y/q) l(1) + (1 - Y/q) l(0)`, each (B,): mean over clicks E[l(P)]. ready: q in (0, 1], known."""
    share = clicked.to(ready.dtype) / ready
    return share * wanted + (1 - share) * unwanted


def log_likelihood(clicked: Tensor, shown: Tensor, state: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """`sum Y log(pq) + (1-Y) log(1-pq)`: scalar. clicked (B,) bool, shown x (B, D), state z (B, E)."""
    both = logsigmoid(shown @ b) + logsigmoid(state @ c)  # (B,) log pq
    neither = torch.log1p(-both.clamp(max=-1e-12).exp())
    return torch.where(clicked, both, neither).sum()


def groups(clicked: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """Posterior (B, 4) of wanting and ready, wanting only, ready only, neither. Rows sum to 1."""
    joint = torch.stack([p * q, p * (1 - q), (1 - p) * q, (1 - p) * (1 - q)], dim=1)
    seen = torch.where(clicked[:, None], joint.new_tensor([1.0, 0, 0, 0]), joint.new_tensor([0.0, 1, 1, 1]))
    return joint * seen / (joint * seen).sum(dim=1, keepdim=True)


def fit_readiness(clicked: Tensor, shown: Tensor, state: Tensor) -> Readiness:
    """Maximum likelihood of the model above. Raises `UsageError` where all or none were clicked."""
    if bool(clicked.all()) or not bool(clicked.any()):
        raise UsageError("clicks say nothing of readiness: all or none of the showings were clicked")
    x, z = shown.double(), state.double()
    width = x.shape[1]
    theta = torch.zeros(width + z.shape[1], dtype=torch.float64, requires_grad=True)

    def cost(value: Tensor) -> Tensor:
        likelihood = log_likelihood(clicked, x, z, value[:width], value[width:])
        return (_RIDGE * value.square().sum() - likelihood) / len(x)

    optimizer = torch.optim.LBFGS([theta], max_iter=_STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-8)

    def closure() -> float:
        optimizer.zero_grad()
        loss = cost(theta)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = theta.detach()
    information = torch.autograd.functional.hessian(cost, found)  # type: ignore[no-untyped-call]
    error = torch.linalg.inv(information * len(x)).diagonal().clamp(min=0).sqrt()
    return Readiness(found[:width], found[width:], error[:width], error[width:])
