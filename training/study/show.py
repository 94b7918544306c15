"""A study on the terminal: what it would do, and what came of it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mocktrial.envs.report import percent, print_groups
from mocktrial.envs.report.table import signed
from mocktrial.envs.statistics import Estimate
from mocktrial.training.study.config import Study
from mocktrial.training.study.plan import Size, jobs_of, size_of
from mocktrial.training.study.result import StudyResult

_DOMAINS = 12  # of the held-out tasks, that are shown one by one
_RATES = ("success", "under_ask", "over_ask", "guess")


def plan_of(study: Study) -> dict[str, Any]:
    """Jobs by kind and name with what they come to at most, over all seeds; for `--dry-run --json` too."""
    sizes: dict[str, list[Size]] = {}
    for job in jobs_of(study):
        sizes.setdefault(f"{job.kind} {job.name}", []).append(size_of(study, job))
    everything = [one for own in sizes.values() for one in own]
    return {**{name: _counted(own) for name, own in sizes.items()}, "in all": _counted(everything)}


def _counted(sizes: list[Size]) -> dict[str, int]:
    return {
        "jobs": len(sizes),
        "episodes": sum(one.episodes for one in sizes),
        "rows": sum(one.rows for one in sizes),
        "steps": sum(one.steps for one in sizes),
    }


def print_plan(study: Study, console: Console) -> None:
    """A line for each dataset, stage and arm: how often, and how much of it at most."""
    table = Table("", title=f"{study.name}: {len(study.seeds)} seed(s), at most", title_justify="left", box=None)
    for key in ("jobs", "episodes", "rows", "steps"):
        table.add_column(key, justify="right")
    for name, counts in plan_of(study).items():
        table.add_row(Text(name), *(str(value) if value else "" for value in counts.values()))
    console.print(table)


def print_result(found: StudyResult, console: Console) -> None:
    """Arms, by domain where the held-out tasks are of several, then differences, then cost."""
    print_arms(found, console)
    domains = {group.name for group in found.groups if group.by == "domain"}
    if domains and any(arm.known for arm in found.arms) and any(arm.new for arm in found.arms):
        console.print(_lessons(found))
    if 0 < len(domains) <= _DOMAINS:
        print_groups(found.groups, "domain", console)
    elif domains:
        console.print(
            Text(f"{len(domains)} domains: mocktrial report STUDY/held-out/ARM --by domain has each", style="dim")
        )
    if found.differences:
        console.print(_differences(found))
    console.print(_costs(found))
    for one in found.machines:
        console.print(Text(f"done on: {one}", style="dim"))


def print_arms(found: StudyResult, console: Console) -> None:
    table = Table("arm", title="held-out worlds, %, with 95% intervals over tasks", title_justify="left", box=None)
    for name in ("tasks", *(rate.replace("_", "-") for rate in _RATES), "success by seed"):
        table.add_column(name, justify="right")
    for arm in found.arms:
        rates = (_stacked(percent(getattr(arm.figures, rate))) for rate in _RATES)
        by_seed = ", ".join(f"{100 * value:.0f}" for value in arm.success_by_seed.values())
        table.add_row(Text(arm.name), str(arm.figures.tasks), *rates, by_seed)
    console.print(table)


def _lessons(found: StudyResult) -> Table:
    """Each arm on domains that its lessons have, and on those that they do not."""
    title = "success on domains it has learned from, and on new ones"
    table = Table("arm", title=title, title_justify="left", box=None)
    for name in ("tasks", "known [95%]", "tasks", "new [95%]"):
        table.add_column(name, justify="right")
    for arm in found.arms:
        cells = ((str(one.tasks), percent(one)) if one else ("", "-") for one in (arm.known, arm.new))
        table.add_row(Text(arm.name), *(cell for pair in cells for cell in pair))
    return table


def _differences(found: StudyResult) -> Table:
    table = Table("second - first", title="in points, paired, 95%", title_justify="left", box=None)
    names = [rate.replace("_", "-") for rate in _RATES]
    for name in (*names, "success, over seeds"):
        table.add_column(name, justify="right")
    for one in found.differences:
        cells = [_points(one.over_tasks.get(name)) for name in names]
        table.add_row(Text(f"{one.second} - {one.first}"), *cells, _points(one.success_over_seeds))
    return table


def _points(one: Estimate | None) -> str:
    return "-" if one is None else _stacked(signed(one).removesuffix(" points"))


def _stacked(figure: str) -> str:
    """With its interval below it, for narrow terminals."""
    return figure.replace(" [", "\n[")


def _costs(found: StudyResult) -> Table:
    table = Table("", title="cost", title_justify="left", box=None)
    for name in ("jobs", "CPU-minutes", "episodes", "steps", "tokens"):
        table.add_column(name, justify="right")
    for one in found.costs:
        spent = one.spent
        counts = (f"{value:,}" if value else "" for value in (spent.episodes, spent.steps, spent.tokens))
        table.add_row(Text(f"{one.kind} {one.name}"), str(one.jobs), f"{spent.cpu_seconds / 60:.1f}", *counts)
    return table
