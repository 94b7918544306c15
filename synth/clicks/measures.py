"""What a log says of itself: click rates of sets, suggestions and users, and who carries them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from mocktrial.mocktools.spec import Frozen
from mocktrial.synth.clicks.behaviour import Shown


class LogStatistics(Frozen):
    sets: int
    users: int
    suggestions: int
    clicks: int
    set_ctr: float  # share of sets with a click
    suggestion_ctr: float  # clicks a suggestion shown
    user_upper_quartile: float  # of the users' clicks a suggestion
    user_spread: float  # standard deviation of the same
    by_position: tuple[float, ...]  # clicks a showing at each place
    tool_share: float  # of the suggestions shown
    relevance: float  # mean true preference of what was shown


def statistics_of(log: Sequence[Shown]) -> LogStatistics:
    """Raises `ValueError` on an empty log."""
    if not log:
        raise ValueError("an empty log")
    shown = sum(len(one.suggestions) for one in log)
    clicks = sum(map(sum, (one.clicked for one in log)))
    rates = list(user_rates(log).values())
    places = range(max(len(one.suggestions) for one in log))
    at = [[one.clicked[place] for one in log if place < len(one.clicked)] for place in places]
    return LogStatistics(
        sets=len(log), users=len(rates), suggestions=shown, clicks=clicks,
        set_ctr=sum(any(one.clicked) for one in log) / len(log), suggestion_ctr=clicks / shown,
        user_upper_quartile=upper_quartile(rates), user_spread=statistics.pstdev(rates),
        by_position=tuple(round(sum(place) / len(place), 4) for place in at),
        tool_share=sum(bool(item.tool) for one in log for item in one.suggestions) / shown,
        relevance=sum(map(sum, (one.preferences for one in log))) / shown,
    )  # fmt: skip


class Clicked(Protocol):
    """A set with its user's clicks."""

    @property
    def user(self) -> int: ...
    @property
    def clicked(self) -> tuple[bool, ...]: ...


def user_rates(log: Iterable[Clicked]) -> dict[int, float]:
    """Clicks a suggestion of each user who was shown any."""
    shown: Counter[int] = Counter()
    clicks: Counter[int] = Counter()
    for one in log:
        shown[one.user] += len(one.clicked)
        clicks[one.user] += sum(one.clicked)
    return {user: clicks[user] / shown[user] for user in sorted(shown)}


def upper_quartile(values: Sequence[float]) -> float:
    """The value that three quarters do not exceed, by linear interpolation."""
    return values[0] if len(values) == 1 else statistics.quantiles(values, n=4, method="inclusive")[2]
