"""How hard tasks turned out to be: pass rates of named agents beside what can be counted of a task.

    measured = measure(dataset.tasks, rates_by_agent(["runs/a", "runs/b"]));  within(measured, Band(0.2, 0.8))

Nothing is estimated: a task that nobody played has no rate and lies in no band.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mocktrial.envs.task import Task
from mocktrial.synth.curriculum import Band, Rates
from mocktrial.synth.plan.difficulty import difficulty_of

_BINS = 5  # of a measure with many values
_TOLD = 5  # pass rates that a message names


@dataclass(frozen=True)
class Measured:
    """One task: what is counted of it, and successes and trials of each agent that played it."""

    task: str  # id
    counted: Mapping[str, float]
    agents: Mapping[str, tuple[int, int]]

    @property
    def trials(self) -> int:
        return sum(trials for _, trials in self.agents.values())

    @property
    def rate(self) -> float | None:
        """Successes by trials over all agents; None where nobody played it."""
        return sum(won for won, _ in self.agents.values()) / self.trials if self.trials else None

    def row(self) -> dict[str, object]:
        """As JSON has it."""
        rates = {agent: won / trials for agent, (won, trials) in self.agents.items()}
        return {"task": self.task, **self.counted, "trials": self.trials, "rate": self.rate, "agents": rates}


def measure(tasks: Iterable[Task], rates: Mapping[str, Rates]) -> list[Measured]:
    """One for each task, in their order. rates: by agent, as `rates_by_agent` gives them."""
    return [
        Measured(task.id, difficulty_of(task), {agent: own[hashed] for agent, own in rates.items() if hashed in own})
        for task, hashed in ((task, task.content_hash()) for task in tasks)
    ]


def within(measured: Iterable[Measured], band: Band) -> list[str]:
    """Ids of the tasks whose pass rate lies in the band, both ends included."""
    return [one.task for one in measured if one.rate is not None and band.low <= one.rate <= band.high]


def told_rates(measured: Iterable[Measured]) -> str:
    """How many tasks have which pass rate, the commonest few: "5 have 0, 2 have 0.25"."""
    counts = Counter(one.rate for one in measured if one.rate is not None)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ranked[_TOLD:])
    told = [f"{count} have {rate:.4g}" for rate, count in ranked[:_TOLD]]
    return ", ".join([*told, *([f"{rest} have others"] if rest else [])])


def wider(measured: Iterable[Measured], band: Band) -> Band:
    """The band up to the pass rate that lies nearest to it, in whole hundredths."""
    rates = {one.rate for one in measured if one.rate is not None}
    near = min(rates, key=lambda rate: (max(band.low - rate, rate - band.high), rate))
    low, high = math.floor(100 * near) / 100, math.ceil(100 * near) / 100
    return replace(band, low=min(band.low, low), high=max(band.high, high))


def mean_rates(measured: Iterable[Measured]) -> dict[str, float]:
    """Successes by trials of each agent over all tasks."""
    total: dict[str, tuple[int, int]] = {}
    for one in measured:
        for agent, (won, trials) in one.agents.items():
            known = total.get(agent, (0, 0))
            total[agent] = (known[0] + won, known[1] + trials)
    return {agent: round(won / trials, 4) for agent, (won, trials) in total.items()}


def by_measure(measured: Sequence[Measured]) -> dict[str, dict[str, dict[str, float]]]:
    """For each thing counted its values, or ranges of about as many tasks, with tasks and mean pass rate."""
    played = [(one, one.rate) for one in measured if one.rate is not None]
    names = dict.fromkeys(name for one, _ in played for name in one.counted)
    return {name: _binned([(one.counted[name], rate) for one, rate in played if name in one.counted]) for name in names}


def _binned(pairs: Sequence[tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Mean of the second parts over ranges of the first, which never part equal values."""
    ranked = sorted(pairs)
    values = sorted({value for value, _ in ranked})
    if len(values) > 2 * _BINS:
        values = sorted({ranked[len(ranked) * number // _BINS][0] for number in range(_BINS)})  # where ranges start
    found = {}
    for low, above in zip(values, [*values[1:], float("inf")], strict=True):
        own = [(value, rate) for value, rate in ranked if low <= value < above]
        top = own[-1][0]
        label = f"{low:g}" if top == low else f"{low:g}-{top:g}"
        found[label] = {"tasks": len(own), "rate": round(sum(rate for _, rate in own) / len(own), 4)}
    return found
