"""From a log to weighted samples: label, history of the user, the tool that is invoked, the weight of a method.

Only what a log shows goes in (`Feedback`): no true preference, no readiness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Literal, Protocol, TypeVar, get_args

from mocktrial.agents.recommender.base import Suggestion
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.synth.clicks.measures import user_rates
from mocktrial.training.calibration import NONE, Calibration, Sample, percentiles, sample_weight, spread_of_users

Unit = Literal["suggestion", "shared", "set"]
UNITS: tuple[Unit, ...] = get_args(Unit)

METHODS: Mapping[str, Calibration] = {  # KTO's; s and mu are the log's own, by `calibrated`
    "kto": NONE,
    "kto+user": Calibration(user=True, system="none"),
    "kto+static": Calibration(user=False, system="static"),
    "kto+both": Calibration(user=True, system="static"),
    "full": Calibration(user=True, system="frequency"),
}


class Feedback(Protocol):
    """A set with its clicks: `Shown`, or a `LoggedSet` read from a file."""

    @property
    def user(self) -> int: ...
    @property
    def query(self) -> Suggestion: ...
    @property
    def suggestions(self) -> tuple[Suggestion, ...]: ...
    @property
    def clicked(self) -> tuple[bool, ...]: ...


F = TypeVar("F", bound=Feedback)


@dataclass(frozen=True)
class Row(Generic[F]):
    """One sample: the suggestions at `places` of the set `shown`, after those before them."""

    shown: F
    places: tuple[int, ...]
    sample: Sample
    weight: float = 1.0


def parted(log: Sequence[F], held_out: float) -> tuple[Sequence[F], Sequence[F]]:
    """A log's earlier part, to learn from, and its last share of `held_out`, in time."""
    cut = len(log) - round(len(log) * held_out)
    return log[:cut], log[cut:]


def rows_of(log: Sequence[F], unit: Unit = "shared") -> list[Row[F]]:
    """Unweighted rows of a log in time.

    unit suggestion: each suggestion, clicked or not. shared: each suggestion, clicked where any of its set was, as
    METHODS section 3 labels sets. set: the whole set so labelled, one sample; it invokes a tool when a clicked one
    does (positive; the most used, where there are two), or when any does (negative).
    """
    uses = usage_percentiles(log)
    shown: Counter[int] = Counter()
    clicks: Counter[int] = Counter()
    rows = []
    for one in log:
        rate = clicks[one.user] / shown[one.user] if shown[one.user] else None
        every = tuple(range(len(one.suggestions)))
        for places in [every] if unit == "set" else [(place,) for place in every]:
            clicked = any(one.clicked[place] for place in (every if unit == "shared" else places))
            rows.append(Row(one, places, _sample(one, places, clicked, rate, uses)))
        shown[one.user] += len(one.suggestions)
        clicks[one.user] += sum(one.clicked)
    return rows


def usage_percentiles(log: Iterable[Feedback]) -> dict[str, float]:
    """p of every tool, the toolkit's and the log's own, by how often people asked for it by themselves in the log."""
    uses = Counter(dict.fromkeys(catalog().tools, 0))
    for one in log:
        uses.update(dict.fromkeys((shown.tool for shown in one.suggestions if shown.tool), 0))
        uses.update([one.query.tool] if one.query.tool else [])
    return percentiles(uses)


def calibrated(calibration: Calibration, log: Iterable[Feedback]) -> Calibration:
    """With mu and s of the log's users."""
    mu, s = spread_of_users(list(user_rates(log).values()))
    return replace(calibration, mu=mu, s=s)


def weighted(rows: Sequence[Row[F]], calibration: Calibration) -> list[Row[F]]:
    """Rows with the weights of a method."""
    return [replace(row, weight=sample_weight(row.sample, calibration)) for row in rows]


def _sample(
    one: Feedback, places: Sequence[int], clicked: bool, rate: float | None, uses: Mapping[str, float]
) -> Sample:
    meant = [place for place in places if one.clicked[place]] or places
    tools = [tool for place in meant if (tool := one.suggestions[place].tool)]
    return Sample(clicked, rate, max((uses[tool] for tool in tools), default=None))
