"""One agent's figures in one run, from the rows of its episodes and what `Examined` found in their trajectories."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from mocktrial.envs.report.blame import Finding, blame, blames, met_a_fault
from mocktrial.envs.report.model import AgentSummary
from mocktrial.envs.statistics import Estimate, VarianceSplit, estimate, pass_at_k, pass_hat_k, variance_split
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeRecord
from mocktrial.envs.task import Task

Records: TypeAlias = list[EpisodeRecord]
SCRIPTED = "scripted"  # the user of a run that names none


class Examined(NamedTuple):
    """What only the trajectories tell, by the episode's id."""

    findings: Mapping[int, Finding]  # of the failed episodes
    faulty: frozenset[int]  # episodes that met an injected fault


def examine(ledger: Ledger, rows: Records, tasks: Mapping[str, Task]) -> Examined:
    """Read the trajectories of failed episodes and of those on tasks with faults; no others."""
    scored = [row for row in rows if row.outcome != "no_result"]
    wanted = [row for row in scored if not row.success or tasks[row.task_hash].faults]
    findings, faulty = {}, set()
    for row, trajectory in zip(wanted, ledger.trajectories([row.id for row in wanted]), strict=True):
        task = tasks[row.task_hash]
        if not row.success:
            findings[row.id] = blame(task, trajectory)
        if task.faults and met_a_fault(task, trajectory):
            faulty.add(row.id)
    return Examined(findings, frozenset(faulty))


def summarize(label: str, user: str, rows: Records, examined: Examined) -> AgentSummary:
    """All figures of one agent in one run."""
    scored = [row for row in rows if row.outcome != "no_result"]
    by_task = scored_by_task(rows)
    reasons = Counter(row.reason for row in rows if row.outcome == "no_result")
    costs = [row.cost for row in scored]
    failed = [row for row in scored if row.id in examined.findings]
    return AgentSummary(
        label=label,
        run=rows[0].run,
        agent=rows[0].agent,
        user=user,
        tasks=len({row.task_hash for row in rows}),
        episodes=len(rows),
        masked=sum(row.outcome == "masked" for row in rows),
        no_result=len(rows) - len(scored),
        success=rate(by_task, success),
        reward=rate(by_task, lambda row: row.reward or 0.0),
        under_ask=rate(by_task, lambda row: row.under_ask, lambda row: row.hidden),
        over_ask=rate(by_task, lambda row: row.over_ask > 0),
        guess=rate(by_task, lambda row: min(row.guess, row.hidden), lambda row: row.hidden),
        recovery=rate(grouped((row for row in scored if row.id in examined.faulty), _task), success),
        turns=_mean([row.turns for row in scored]),
        tokens=_mean([row.tokens for row in scored]),
        cost=_mean([cost for cost in costs if cost is not None]) if None not in costs else None,
        pass_at=_pass_k(by_task, pass_at_k),
        pass_hat=_pass_k(by_task, pass_hat_k),
        variance=variance_split({task: [[success(row)] for row in own] for task, own in by_task.items()}),
        failures=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        blames=tuple(blames((f"{row.task_id}, trial {row.trial}", examined.findings[row.id]) for row in failed)),
    )


def grouped(rows: Iterable[EpisodeRecord], key: Callable[[EpisodeRecord], str]) -> dict[str, Records]:
    groups: dict[str, Records] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _task(row: EpisodeRecord) -> str:
    return row.task_hash


def by_name(rows: Records) -> Records:
    """Where tasks may differ, one that was changed is still the task of its name."""
    return [row._replace(task_hash=row.task_id) for row in rows]


def scored_by_task(rows: Records) -> dict[str, Records]:
    return grouped((row for row in rows if row.outcome != "no_result"), _task)


def ratios(
    by_task: Mapping[str, Records],
    count: Callable[[EpisodeRecord], float],
    out_of: Callable[[EpisodeRecord], float] = lambda row: 1.0,
) -> dict[str, float]:
    """count/out_of by task, both summed over the task's trials; tasks with out_of 0 left out."""
    totals = {task: math.fsum(map(out_of, rows)) for task, rows in by_task.items()}
    return {task: math.fsum(map(count, by_task[task])) / total for task, total in totals.items() if total > 0}


def rate(
    by_task: Mapping[str, Records],
    count: Callable[[EpisodeRecord], float],
    out_of: Callable[[EpisodeRecord], float] = lambda row: 1.0,
) -> Estimate | None:
    """The mean of `ratios` with its interval; None without a task."""
    values = [*ratios(by_task, count, out_of).values()]
    return estimate(values) if values else None


def success(row: EpisodeRecord) -> float:
    return float(row.success or False)


def _mean(values: list[int] | list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _pass_k(by_task: Mapping[str, Records], formula: Callable[[int, int, int], float]) -> tuple[Estimate, ...]:
    """For k = 1 up to the most trials of a task; tasks with fewer than k scored trials are left out."""
    counts = [(len(rows), sum(row.success or False for row in rows)) for rows in by_task.values()]
    most = max((n for n, _ in counts), default=0)
    return tuple(estimate([formula(n, c, k) for n, c in counts if n >= k]) for k in range(1, most + 1))


def split_over_users(first: Records, second: Records) -> VarianceSplit | None:
    """Of two runs that differ in the user's seed alone: the k-th trials of a task are the same but for the user."""
    trials: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in (*first, *second):
        if row.outcome != "no_result":
            trials[row.task_hash][row.trial].append(success(row))
    return variance_split({task: list(own.values()) for task, own in trials.items()})
