"""From ledgers to a `Report`. Counting reads only the episodes' rows; trajectories are read for pages."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from mocktrial.envs.report.model import AgentSummary, Comparison, Dimension, Group, Page, Report, Verdict
from mocktrial.envs.statistics import (
    Estimate,
    estimate,
    paired_difference,
    pass_at_k,
    pass_hat_k,
    run_spread,
    runs_needed,
)
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeRecord
from mocktrial.mocktools.errors import UsageError

Records: TypeAlias = list[EpisodeRecord]
_DIMENSIONS: tuple[Dimension, ...] = ("domain", "family", "difficulty")
_VERDICTS: tuple[Verdict, ...] = ("failed", "no result", "passed")  # the order of pages


def build_report(
    ledgers: Sequence[Ledger],
    *,
    title: str = "mocktrial",
    compare: Sequence[tuple[str, str]] = (),
    max_pages: int = 2000,
) -> Report:
    """Figures of every agent of every ledger, in the order played, and up to `max_pages` trajectories.

    compare: pairs of labels; when empty and there are exactly two agents, these two.
    Pages: failures first, then no result, then successes, taking turns between the agents.
    Raises `UsageError` when there are no episodes or a label is unknown.
    """
    owners: dict[str, tuple[Ledger, Records]] = {}
    records = [(ledger, ledger.episodes()) for ledger in ledgers]
    runs_of_agent = Counter(agent for _, rows in records for agent in {row.agent for row in rows})
    for ledger, rows in records:
        by_agent = _grouped(rows, lambda row: row.agent)
        in_order = sorted(by_agent.items(), key=lambda item: min(row.id for row in item[1]))
        for agent, own in in_order:
            label = agent if runs_of_agent[agent] == 1 else f"{agent} ({ledger.run})"
            owners[label if label not in owners else f"{label} #{len(owners) + 1}"] = (ledger, own)
    if not owners:
        raise UsageError("no episodes to report on", hint="mocktrial run plays some")
    played = {label: rows for label, (_, rows) in owners.items()}
    if not compare and len(played) == 2:
        first, second = played
        compare = [(first, second)]
    return Report(
        title=title,
        agents=tuple(_summary(label, rows) for label, rows in played.items()),
        groups=tuple(_groups(played)),
        comparisons=tuple(_comparisons(played, compare)),
        pages=tuple(_pages(owners, max_pages)),
        episodes=sum(map(len, played.values())),
    )


def _grouped(rows: Iterable[EpisodeRecord], key: Callable[[EpisodeRecord], str]) -> dict[str, Records]:
    groups: dict[str, Records] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _scored_by_task(rows: Records) -> dict[str, Records]:
    return _grouped((row for row in rows if row.outcome != "no_result"), lambda row: row.task_hash)


def _rate(
    by_task: dict[str, Records],
    count: Callable[[EpisodeRecord], float],
    out_of: Callable[[EpisodeRecord], float] = lambda row: 1.0,
) -> Estimate | None:
    """Mean over tasks of count/out_of, both summed over the task's trials; tasks with out_of 0 left out."""
    values = [
        math.fsum(map(count, rows)) / total for rows in by_task.values() if (total := math.fsum(map(out_of, rows))) > 0
    ]
    return estimate(values) if values else None


def _success(row: EpisodeRecord) -> float:
    return float(row.success or False)


def _summary(label: str, rows: Records) -> AgentSummary:
    scored = [row for row in rows if row.outcome != "no_result"]
    by_task = _scored_by_task(rows)
    reasons = Counter(row.reason for row in rows if row.outcome == "no_result")
    return AgentSummary(
        label=label,
        run=rows[0].run,
        agent=rows[0].agent,
        tasks=len({row.task_hash for row in rows}),
        episodes=len(rows),
        masked=sum(row.outcome == "masked" for row in rows),
        no_result=len(rows) - len(scored),
        success=_rate(by_task, _success),
        reward=_rate(by_task, lambda row: row.reward or 0.0),
        under_ask=_rate(by_task, lambda row: row.under_ask, lambda row: row.hidden),
        over_ask=_rate(by_task, lambda row: row.over_ask > 0),
        guess=_rate(by_task, lambda row: min(row.guess, row.hidden), lambda row: row.hidden),
        turns=sum(row.turns for row in scored) / len(scored) if scored else None,
        tokens=sum(row.tokens for row in scored) / len(scored) if scored else None,
        pass_at=_pass_k(by_task, pass_at_k),
        pass_hat=_pass_k(by_task, pass_hat_k),
        failures=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
    )


def _pass_k(by_task: dict[str, Records], formula: Callable[[int, int, int], float]) -> tuple[Estimate, ...]:
    """For k = 1 up to the most trials of a task; tasks with fewer than k scored trials are left out."""
    counts = [(len(rows), sum(row.success or False for row in rows)) for rows in by_task.values()]
    most = max((n for n, _ in counts), default=0)
    return tuple(estimate([formula(n, c, k) for n, c in counts if n >= k]) for k in range(1, most + 1))


def _groups(played: dict[str, Records]) -> Iterable[Group]:
    """Every dimension in which the tasks differ at all; numbers sorted as numbers."""
    for by in _DIMENSIONS:
        names = {getattr(row, by) for rows in played.values() for row in rows}
        if len(names) < 2:
            continue
        for name in sorted(names):
            for label, rows in played.items():
                own = [row for row in rows if getattr(row, by) == name]
                success = _rate(_scored_by_task(own), _success)
                if success is not None:
                    yield Group(by=by, name=str(name), label=label, success=success)


def _comparisons(played: dict[str, Records], pairs: Sequence[tuple[str, str]]) -> Iterable[Comparison]:
    for pair in pairs:
        for label in pair:
            if label not in played:
                raise UsageError(f"no agent {label!r} to compare", hint=f"there are {', '.join(played)}")
        first, second = (_scored_by_task(played[label]) for label in pair)
        if not first.keys() & second.keys():
            continue
        means = [
            {task: math.fsum(map(_success, rows)) / len(rows) for task, rows in side.items()}
            for side in (first, second)
        ]
        difference = paired_difference(*means)
        spreads = [run_spread([[*map(_success, rows)] for rows in side.values()]) for side in (first, second)]
        spread = max((spread for spread in spreads if spread is not None), default=None)
        needed = None if spread is None else runs_needed(difference.value, spread)
        yield Comparison(first=pair[0], second=pair[1], difference=difference, runs_needed=needed)


def _verdict(row: EpisodeRecord) -> Verdict:
    if row.outcome == "no_result":
        return "no result"
    return "passed" if row.success else "failed"


def _pages(owners: dict[str, tuple[Ledger, Records]], most: int) -> Iterable[Page]:
    queue = []
    for place, (label, (_, rows)) in enumerate(owners.items()):
        seen: Counter[Verdict] = Counter()
        for row in rows:
            verdict = _verdict(row)
            queue.append((_VERDICTS.index(verdict), seen[verdict], place, label, row))
            seen[verdict] += 1
    chosen = sorted(queue, key=lambda entry: entry[:3])[:most]
    pages: dict[tuple[str, int], Page] = {}
    for label, (ledger, _) in owners.items():
        own = [row for *_, owner, row in chosen if owner == label]
        tasks = ledger.tasks()
        for row, trajectory in zip(own, ledger.trajectories([row.id for row in own]), strict=True):
            pages[label, row.id] = Page(
                label=label, verdict=_verdict(row), task=tasks[row.task_hash], trajectory=trajectory
            )
    return [pages[label, row.id] for *_, label, row in chosen]
