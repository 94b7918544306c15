"""A comparison of two runs on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mocktrial.envs.console import counted
from mocktrial.envs.report.compare import RunComparison
from mocktrial.envs.report.model import AgentSummary
from mocktrial.envs.report.table import percent, print_users, signed, split_line
from mocktrial.envs.statistics import Estimate

_SHOWN = 20  # flipped tasks
_COUNTED = ("turns", "tokens", "cost")  # figures that are no rates


def print_comparison(found: RunComparison, console: Console) -> None:
    """Figures of both runs and their differences, the test, what flipped, and what varies."""
    console.print(_table(found))
    console.print(Text(_verdict(found)), soft_wrap=True)
    test, needed = found.success.test, found.success.runs_needed
    line = f"McNemar, exact, by task: {test.better} better, {test.worse} worse, p = {test.p:.3g}"
    if needed:
        line += f"; runs an arm to see this difference again: {needed}"
    console.print(Text(line), soft_wrap=True)
    for label, variance in (
        (found.first.label, found.first.variance),
        (found.second.label, found.second.variance),
        ("both, over the users' seeds", found.variance),
    ):
        if variance is not None:
            console.print(Text(f"variance of one result, {label}: {split_line(variance)}"))
    if any(found.alone):
        alone = " and ".join(counted(number, "task") for number in found.alone)
        console.print(Text(f"left out: {alone} with a result in the first and in the second run only"))
    for key, (before, after) in found.differing.items():
        console.print(Text(f"the runs differ in {key}: {before} -> {after}", style="dim"))
    print_users(found.users, console)
    _print_flips(found, console)


def _verdict(found: RunComparison) -> str:
    one = found.success.difference
    said = "a difference" if found.told_apart else "no difference that these tasks can show"
    return f"success: {said}, {signed(one)} on {counted(one.tasks, 'task')} ({one.method})"


def _table(found: RunComparison) -> Table:
    first, second = found.first, found.second
    table = Table(
        title="means over tasks with 95% intervals, %; second - first in points, paired", title_justify="left", box=None
    )
    table.add_column("")
    for label in (first.label, second.label, "difference"):
        table.add_column(Text(label), justify="right")
    table.add_row(
        "success", percent(first.success), percent(second.success), _difference("success", found.success.difference)
    )
    for name, difference in found.differences.items():
        table.add_row(name, _figure(first, name), _figure(second, name), _difference(name, difference))
    return table


def _figure(agent: AgentSummary, name: str) -> str:
    value = getattr(agent, name.replace("-", "_"))
    if isinstance(value, Estimate):
        return percent(value)
    return "-" if value is None else f"{value:,.4g}" if name == "cost" else f"{value:,.1f}"


def _difference(name: str, one: Estimate) -> str:
    if name not in _COUNTED:
        return signed(one).removesuffix(" points")
    return f"{one.value:+,.4g} [{one.low:+,.4g}, {one.high:+,.4g}]"


def _print_flips(found: RunComparison, console: Console) -> None:
    worse = [flip for flip in found.flips if flip.second < flip.first]
    better = [flip for flip in found.flips if flip.second > flip.first]
    for word, flips in (("worse", worse), ("better", better)):
        for flip in flips[:_SHOWN]:
            console.print(Text(f"{word}: {flip.task} {100 * flip.first:.0f}% -> {100 * flip.second:.0f}%"))
        if len(flips) > _SHOWN:
            console.print(Text(f"{word}: {len(flips) - _SHOWN} more; --json has all", style="dim"))
