"""Two runs side by side: figures of both, paired differences, which tasks flipped, what varies.

Runs are compared only where what matters to a score is the same in both: tasks, worlds, user, limits, grader.
What may differ is named (`MAY_DIFFER`, and what the caller adds); anything else raises `UsageError` with both
values. Tasks are paired by content, or by name where `tasks` may differ. Keys are those of a run's config; one covers
all keys below it ("limits" covers "limits.turns").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mocktrial.envs.fingerprint import SOURCE, differences, shown
from mocktrial.envs.places import RunPlace
from mocktrial.envs.report.build import Played, comparison, user_card
from mocktrial.envs.report.figures import by_name, examine, ratios, scored_by_task, split_over_users, success, summarize
from mocktrial.envs.report.model import AgentSummary, Comparison, UserCard
from mocktrial.envs.report.runs import read_run
from mocktrial.envs.statistics import Estimate, VarianceSplit, bootstrap, paired_difference
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeRecord
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen

_TASKS = "tasks"
MAY_DIFFER = ("agent", "temperature", "max_new_tokens", "base_url")  # what makes an agent another agent
_BOUNDED: dict[str, tuple[Callable[[EpisodeRecord], float], Callable[[EpisodeRecord], float]]] = {
    "reward": (lambda row: row.reward or 0.0, lambda row: 1.0),
    "under-ask": (lambda row: row.under_ask, lambda row: row.hidden),
    "over-ask": (lambda row: row.over_ask > 0, lambda row: 1.0),
    "guess": (lambda row: min(row.guess, row.hidden), lambda row: row.hidden),
}
_UNBOUNDED: dict[str, Callable[[EpisodeRecord], float | None]] = {
    "turns": lambda row: row.turns,
    "tokens": lambda row: row.tokens,
    "cost": lambda row: row.cost,
}


class Flip(Frozen):
    """A task that went otherwise: success over its trials in the first run and in the second."""

    task: str
    first: float
    second: float


class RunComparison(Frozen):
    first: AgentSummary
    second: AgentSummary
    users: tuple[UserCard, ...]
    differing: dict[str, tuple[str, str]]  # keys of the configs that differ, as they may
    success: Comparison
    differences: dict[str, Estimate]  # second - first of the other figures, paired by task
    flips: tuple[Flip, ...]  # worse ones first
    variance: VarianceSplit | None  # over both, where they differ in the user's seed alone
    alone: tuple[int, int]  # tasks that only one of them has results for

    @property
    def told_apart(self) -> bool:
        """Whether the interval of the difference leaves 0 out."""
        return self.success.difference.low > 0 or self.success.difference.high < 0


def compare_runs(first: Path | str, second: Path | str, *, differ: Iterable[str] = ()) -> RunComparison:
    """Compare two runs, named as in `places`. Raises `UsageError` for unlike ones, or without a task in common."""
    places = [RunPlace.named(first), RunPlace.named(second)]
    with read_run(places[0]) as one, read_run(places[1]) as two:
        changed = _allowed(one.config, two.config, differ)
        sides = [_only_agent(one, places[0]), _only_agent(two, places[1])]
        labels = [place.name for place in places]
        labels[1] += " #2" if labels[0] == labels[1] else ""
        paired = [by_name(side.rows) if _TASKS in changed else side.rows for side in sides]
        found = comparison((labels[0], paired[0]), (labels[1], paired[1]))
        if found is None:
            raise UsageError(
                f"{places[0].address} and {places[1].address} have no task with a result in common",
                hint="let both finish, or play the same dataset in both",
            )
        before, after = map(scored_by_task, paired)
        alike = sides[0].is_under_another_user_seed(sides[1])
        summaries = [
            summarize(label, own.user, own.rows, own.examined) for label, own in zip(labels, sides, strict=True)
        ]
        return RunComparison(
            first=summaries[0],
            second=summaries[1],
            users=tuple(user_card(name) for name in dict.fromkeys(side.user for side in sides)),
            differing=changed,
            success=found,
            differences=_differences(before, after),
            flips=tuple(_flips(before, after)),
            variance=split_over_users(*paired) if alike else None,
            alone=(len(before.keys() - after.keys()), len(after.keys() - before.keys())),
        )


def _allowed(
    first: Mapping[str, object], second: Mapping[str, object], differ: Iterable[str]
) -> dict[str, tuple[str, str]]:
    """What differs between two configs. Raises `UsageError` for what may not, and for a key of neither."""
    may = {*MAY_DIFFER, *differ}
    paths = {key for config in (first, second) for key in differences({}, config)}
    known = {*paths, *map(_top, paths)}
    if strange := sorted(may - known - {*MAY_DIFFER}):
        hint = ", ".join(sorted({*map(_top, known)} - {SOURCE, ""}))
        raise UsageError(f"no run has a key {strange[0]!r} that could differ", hint=f"keys are: {hint}")
    changed = {key: pair for key, pair in differences(first, second).items() if _top(key) != SOURCE}
    unlike = {key: pair for key, pair in changed.items() if not {key, _top(key)} & may}
    if unlike:
        keys = ",".join(dict.fromkeys(map(_top, unlike)))
        raise UsageError(
            f"the runs are not alike ({shown(unlike)})", hint=f"if that is what you compare: --differ {keys}"
        )
    return changed


def _top(key: str) -> str:
    return key.partition(".")[0]


def _only_agent(ledger: Ledger, place: RunPlace) -> Played:
    rows, tasks = ledger.episodes(), ledger.tasks()
    agents = sorted({row.agent for row in rows})
    if len(agents) != 1:
        raise UsageError(f"{place.address} has {len(agents)} agents, not one", hint="mocktrial report takes several")
    return Played(ledger, rows, tasks, examine(ledger, rows, tasks))


def _differences(
    first: Mapping[str, list[EpisodeRecord]], second: Mapping[str, list[EpisodeRecord]]
) -> dict[str, Estimate]:
    """Of each figure that both runs have on some task."""
    found = {}
    for name, (count, out_of) in _BOUNDED.items():
        before, after = (ratios(side, count, out_of) for side in (first, second))
        if before.keys() & after.keys():
            found[name] = paired_difference(before, after)
    for name, value in _UNBOUNDED.items():
        before, after = (_means(side, value) for side in (first, second))
        common = sorted(before.keys() & after.keys())
        if common and any(before[task] or after[task] for task in common):
            found[name] = bootstrap([after[task] - before[task] for task in common])
    return found


def _means(side: Mapping[str, list[EpisodeRecord]], value: Callable[[EpisodeRecord], float | None]) -> dict[str, float]:
    """Means by task, of tasks where every trial has the figure."""
    values = {task: [value(row) for row in rows] for task, rows in side.items()}
    known = {task: [one for one in own if one is not None] for task, own in values.items()}
    return {task: math.fsum(own) / len(own) for task, own in known.items() if len(own) == len(values[task])}


def _flips(first: Mapping[str, list[EpisodeRecord]], second: Mapping[str, list[EpisodeRecord]]) -> list[Flip]:
    before, after = ratios(first, success), ratios(second, success)
    flips = [
        Flip(task=first[task][0].task_id, first=before[task], second=after[task])
        for task in before.keys() & after.keys()
        if before[task] != after[task]
    ]
    return sorted(flips, key=lambda flip: (flip.second - flip.first, flip.task))
