"""What a report says: frozen data, the same for the terminal, the HTML file and `--json`.

Rates are means over tasks with 95% intervals (`statistics`). Episodes without a result are counted apart
and enter no rate. None stands for "nothing to say", for example no hidden facts or no scored episode.
"""

from __future__ import annotations

from typing import Literal

from mocktrial.envs.statistics import Estimate
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.spec import Frozen

Verdict = Literal["failed", "no result", "passed"]
Dimension = Literal["domain", "family", "difficulty"]


class AgentSummary(Frozen):
    """One agent in one run."""

    label: str  # the agent's name, with its run where two runs have an agent of that name
    run: str
    agent: str
    tasks: int
    episodes: int
    masked: int  # scored, but not for training
    no_result: int
    success: Estimate | None  # share of trials with R = 1
    reward: Estimate | None  # mean R
    under_ask: Estimate | None  # share of hidden facts never asked for
    over_ask: Estimate | None  # share of episodes with a needless question
    guess: Estimate | None  # share of hidden facts used before they were told
    turns: float | None  # mean assistant messages an episode
    tokens: float | None  # mean tokens an episode, prompt and completion
    pass_at: tuple[Estimate, ...] = ()  # pass@1, pass@2, ... up to the number of trials
    pass_hat: tuple[Estimate, ...] = ()  # pass^1, pass^2, ...
    failures: tuple[tuple[str, int], ...] = ()  # reasons of no_result with counts, most frequent first


class Group(Frozen):
    """Success of one agent on the tasks of one domain, family or difficulty."""

    by: Dimension
    name: str
    label: str
    success: Estimate


class Comparison(Frozen):
    """Success of `second` minus success of `first` on the tasks that both played."""

    first: str
    second: str
    difference: Estimate
    runs_needed: int | None  # runs an arm to see it again (95%, 80% power); None without repeated trials


class Page(Frozen):
    """A trajectory with what it belongs to."""

    label: str
    verdict: Verdict
    task: Task
    trajectory: Trajectory


class Report(Frozen):
    title: str
    agents: tuple[AgentSummary, ...]
    groups: tuple[Group, ...]
    comparisons: tuple[Comparison, ...]
    pages: tuple[Page, ...]
    episodes: int  # of which `pages` shows some
