"""A report on the terminal. Text from agents and worlds is never read as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mocktrial.envs.console import counted
from mocktrial.envs.report.model import AgentSummary, Dimension, Group, Report, UserCard
from mocktrial.envs.statistics import EXACT, Estimate, VarianceSplit


def print_report(report: Report, console: Console) -> None:
    """Print the overview, pass@k where there are several trials, comparisons, and what failed."""
    console.print(_overview(report))
    estimates = [agent.success for agent in report.agents if agent.success]
    note = "Means over tasks with 95% intervals (Wilson's score over tasks)."
    if any(one.method == EXACT for one in estimates):
        note += " Where all tasks agree: Clopper-Pearson."
    console.print(Text(note, style="dim"))
    if any(len(agent.pass_at) > 1 for agent in report.agents):
        console.print(_pass_k(report))
    for one in report.comparisons:
        line = f"{one.second} - {one.first}: {signed(one.difference)} on {counted(one.difference.tasks, 'task')}"
        line += f"; McNemar p = {one.test.p:.3g} ({one.test.better} better, {one.test.worse} worse)"
        if one.runs_needed:
            line += f"; runs an arm to see it again: {one.runs_needed}"
        console.print(Text(line))
    for agent in report.agents:
        _print_agent(agent, console)
    print_users(report.users, console)


def _print_agent(agent: AgentSummary, console: Console) -> None:
    """What stands in no column: recovery, what varies, who failed, what had no result."""
    if agent.recovery is not None:
        on = counted(agent.recovery.tasks, "task")
        console.print(Text(f"{agent.label}: recovery after a tool's fault: {percent(agent.recovery)} on {on}"))
    if agent.variance is not None and agent.variance.shares:
        console.print(Text(f"{agent.label}: variance of one result: {split_line(agent.variance)}"))
    if agent.blames:
        failed = sum(blame.count for blame in agent.blames)
        parts = ", ".join(f"{blame.who} {blame.count}" for blame in agent.blames)
        console.print(Text(f"{agent.label}: {failed} failed, by culprit: {parts}"))
    for blame in agent.blames:
        kinds = ", ".join(f"{kind} {count}" for kind, count in blame.kinds[:4])
        console.print(Text(f"  {blame.who}: {kinds}; for example {blame.examples[0]}", style="dim"), soft_wrap=True)
    for reason, count in agent.failures[:3]:
        console.print(Text(f"{agent.label}: {count} x no result: {reason}", style="yellow"))


def print_groups(groups: Iterable[Group], by: Dimension, console: Console) -> None:
    """Success by domain, family or difficulty, a line for each and each agent; says so where all tasks are of one."""
    shown = [group for group in groups if group.by == by]
    if not shown:
        console.print(Text(f"all tasks are of one {by}", style="dim"))
        return
    table = Table(by, "agent", title=f"success by {by}", title_justify="left", box=None)
    for name in ("tasks", "success [95%]"):
        table.add_column(name, justify="right", no_wrap=True)
    for group in shown:
        table.add_row(Text(group.name), Text(group.label), str(group.success.tasks), percent(group.success))
    console.print(table)


def print_users(users: Iterable[UserCard], console: Console) -> None:
    """The certified rates of the users that agents met."""
    for user in users:
        if user.certificate is None:
            console.print(Text(f"user {user.name}: not certified (mocktrial certify-user {user.name})", style="yellow"))
            continue
        rates = ", ".join(
            f"{name.replace('_', ' ')} {100 * one.rate:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]"
            for name, one in user.certificate.rates.items()
        )
        old = "" if user.current else " (the user has changed since)"
        said = (
            f"user {user.name}, certified over {counted(user.certificate.conversations, 'conversation')}{old}: {rates}"
        )
        console.print(Text(said, style="dim"), soft_wrap=True)


def split_line(split: VarianceSplit) -> str:
    """ "task 71%, trial 29%" """
    if not split.shares:
        return "none"
    line = ", ".join(f"{name} {100 * share:.0f}%" for name, share in split.shares.items())
    return line + (f" ({' and '.join(split.negative)}: below 0, taken as 0)" if split.negative else "")


def percent(one: Estimate | None) -> str:
    """ "85.0% [75.1, 92.0]" """
    if one is None:
        return "-"
    return f"{100 * one.value:.1f}% [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def signed(one: Estimate) -> str:
    """A difference in percentage points, "+12.5 [+3.0, +21.0] points"."""
    return f"{100 * one.value:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}] points"


def short(one: Estimate | None, *, scale: int = 100, digits: int | None = None) -> str:
    """The value alone: "85.0", or "0.850" at scale 1."""
    if one is None:
        return "-"
    digits = (1 if scale > 1 else 3) if digits is None else digits
    return f"{scale * one.value:.{digits}f}"


def _overview(report: Report) -> Table:
    """Narrow enough for 80 columns; the HTML file has the rest."""
    broken = any(agent.no_result for agent in report.agents)
    table = Table(title=Text(report.title), title_justify="left", caption="asking: under / over / guess, %")
    table.add_column("agent", no_wrap=True)
    for name in ("tasks", "success [95%]", "reward", "asking", "turns", *(["no result"] if broken else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for agent in report.agents:
        asking = " / ".join(short(one, digits=0) for one in (agent.under_ask, agent.over_ask, agent.guess))
        table.add_row(
            Text(agent.label),
            str(agent.tasks),
            percent(agent.success),
            short(agent.reward, scale=1, digits=2),
            asking,
            "-" if agent.turns is None else f"{agent.turns:.1f}",
            *([str(agent.no_result)] if broken else []),
        )
    return table


def shown_k(agents: Iterable[AgentSummary]) -> list[int]:
    """1, 2, 4, 8, ... and the most trials: what of pass@k fits on a page."""
    most = max(1, *(len(agent.pass_at) for agent in agents))
    return [*(2**power for power in range((most - 1).bit_length())), most]


def at_k(series: Sequence[Estimate], shown: Iterable[int]) -> list[Estimate | None]:
    """Of pass@1, pass@2, ... those that are shown; None beyond the last."""
    return [series[k - 1] if k <= len(series) else None for k in shown]


def _pass_k(report: Report) -> Table:
    shown = shown_k(report.agents)
    table = Table("agent", "k", title="pass@k and pass^k, %", title_justify="left")
    for k in shown:
        table.add_column(str(k), justify="right", no_wrap=True)
    for agent in report.agents:
        for name, series in (("pass@k", agent.pass_at), ("pass^k", agent.pass_hat)):
            table.add_row(Text(agent.label), name, *map(short, at_k(series, shown)))
    return table
