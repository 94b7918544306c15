"""How well a model orders what people were shown: the held-out clicks of a log, simulated or an operator's own.

A set counts where some of its suggestions were clicked and some not. A suggestion's score is log pi(y | x), its line
after the situation as `records` writes both; with a reference model it is log pi(y | x) - log pi_ref(y | x), which is
KTO's implicit reward over beta (METHODS section 3). Figures are means over a user's sets, then over users, so that a
busy user counts once. Clicks lean to the first places (position bias), hence `as shown` beside the models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import LoadedModel
from mocktrial.agents.recommender.written import answer_of, prompt
from mocktrial.envs.statistics.estimates import Estimate, estimate
from mocktrial.envs.statistics.pairs import paired_difference
from mocktrial.mocktools.spec import Frozen
from mocktrial.synth.clicks.files import LoggedSet
from mocktrial.training.data import Example
from mocktrial.training.forward import token_table
from mocktrial.training.packing import micro_batches
from mocktrial.training.records import Record
from mocktrial.training.run import examples_of
from mocktrial.training.suggesting.rows import usage_percentiles

AS_SHOWN, MOST_USED = "as shown", "most used tool"
_TOKENS = 4096  # computed in a forward pass
Scores = Sequence[float]  # one a suggestion of a set


class Ranking(Frozen):
    """Over users, in [0, 1]. difference: of the AUC to that of the order as shown."""

    sets: int
    auc: Estimate  # a clicked suggestion stands before one that was not clicked; 0.5 = by chance
    reciprocal_rank: Estimate  # of the first clicked one
    first: Estimate  # the first one was clicked
    difference: Estimate | None = None


@dataclass(frozen=True)
class _Order:
    auc: float
    reciprocal_rank: float
    first: float


def decided(log: Iterable[LoggedSet]) -> list[LoggedSet]:
    """The sets of which some suggestions were clicked and some not."""
    return [one for one in log if any(one.clicked) and not all(one.clicked)]


def as_shown(sets: Iterable[LoggedSet]) -> Iterator[Scores]:
    return ([-float(place) for place in range(len(one.suggestions))] for one in sets)


def most_used(sets: Iterable[LoggedSet], before: Sequence[LoggedSet]) -> Iterator[Scores]:
    """By how often people asked for the tool by themselves `before`; chat stands last."""
    uses = usage_percentiles(before)
    return ([uses.get(shown.tool, 0.0) if shown.tool else -1.0 for shown in one.suggestions] for one in sets)


def by_model(
    loaded: LoadedModel, sets: Sequence[LoggedSet], advance: Callable[[int], None] = lambda done: None
) -> Iterator[list[float]]:
    """log pi(y | x) in nats of each suggestion. Call `agents.local.attention.install` on the model first."""
    renderer = Renderer(loaded.tokenizer)
    for done, one in enumerate(sets, 1):
        records = [
            Record(messages=(*prompt(one.situation, 1), answer_of([shown])), group=f"{place}")
            for place, shown in enumerate(one.suggestions)
        ]
        yield _scored(loaded, examples_of(records, renderer))
        advance(done)


def log_ratios(scores: Iterable[Scores], reference: Iterable[Scores]) -> list[Scores]:
    return [[own - other for own, other in zip(*pair, strict=True)] for pair in zip(scores, reference, strict=True)]


def ranking(sets: Sequence[LoggedSet], scores: Iterable[Scores], against: Iterable[Scores] | None = None) -> Ranking:
    """Figures of an order. against: another one's scores, for the paired difference."""
    orders = _by_user(sets, scores)
    auc, other = _auc(orders), _auc(_by_user(sets, against)) if against else {}
    return Ranking(
        sets=len(sets),
        auc=estimate(list(auc.values())),
        reciprocal_rank=estimate([_mean(one.reciprocal_rank for one in found) for found in orders.values()]),
        first=estimate([_mean(one.first for one in found) for found in orders.values()]),
        difference=paired_difference(other, auc) if other else None,
    )


def order_of(scores: Scores, clicked: Sequence[bool]) -> _Order:
    """Figures of one set; suggestions of equal score share what their orders would give."""
    yes = [score for score, hit in zip(scores, clicked, strict=True) if hit]
    no = [score for score, hit in zip(scores, clicked, strict=True) if not hit]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in yes for b in no]
    best = max(yes)
    above, level, hits = sum(b > best for b in no), sum(b == best for b in no), sum(a == best for a in yes)
    ranks = _first_of(hits, level)  # chance that the first clicked one is that far down among its equals
    return _Order(
        auc=_mean(pairs),
        reciprocal_rank=sum(chance / (above + place) for place, chance in enumerate(ranks, 1)),
        first=ranks[0] if not above else 0.0,
    )


def _first_of(hits: int, others: int) -> list[float]:
    """Chance that the first of `hits` is at place 1, 2, ... of all in a random order."""
    chances, left = [], 1.0
    for drawn in range(others + 1):
        here = hits / (hits + others - drawn)
        chances.append(left * here)
        left *= 1 - here
    return chances


def _auc(orders: Mapping[str, list[_Order]]) -> dict[str, float]:
    return {user: _mean(one.auc for one in found) for user, found in orders.items()}


def _by_user(sets: Sequence[LoggedSet], scores: Iterable[Scores]) -> Mapping[str, list[_Order]]:
    found: dict[str, list[_Order]] = {}
    for one, own in zip(sets, scores, strict=True):
        found.setdefault(f"{one.user}", []).append(order_of(own, one.clicked))
    return found


def _scored(loaded: LoadedModel, rows: Sequence[Example]) -> list[float]:
    found = [0.0] * len(rows)
    with torch.no_grad():
        for pack in micro_batches(rows, _TOKENS):
            table = token_table(loaded.model, pack)
            sums = (table.logps * table.mask).sum(dim=1).tolist()
            for row, value in zip(pack.rows, sums, strict=True):
                found[row] = value
    return found


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)
