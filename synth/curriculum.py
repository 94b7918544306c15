"""`Curriculum`: which tasks a policy should meet next, so that it neither always fails nor always succeeds.

Tasks fall into cells of equal domain, family and number of calls. For a cell c with s_c successes and f_c
failures so far, old ones forgotten by a factor gamma at each `observe`, the success rate p_c is believed to be

    p_c ~ Beta(m q + s_c, m (1 - q) + f_c),     q = (1 + sum s) / (2 + sum s + sum f) over cells of as many calls

so that a cell not yet tried is judged by its equals. A place of the batch goes to cell c with probability

    w_c = e / C + (1 - e) g_c / sum g,          g_c = P(low <= p_c <= high) + r exp(-d_c / r)

C the number of cells, e the share of exploration, d_c the distance of E[p_c] from the band, r = 0.05: Thompson
sampling of the event "in the band" (Thompson 1933), which where no cell is believed to be there leans to the
nearest. Within a cell the task that was drawn least comes first. So no weight is zero and no task starves.

Pure: the state is frozen data, and equal states and seeds give equal batches. Playing tasks is not done here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from mocktrial.envs.seeds import derive
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen

Cell = tuple[str, str, int]  # domain, family, calls
Rates = Mapping[str, tuple[int, int]]  # task hash: successes, trials
_NEAR = 0.05  # r above
_TINY = 1e-300
_STEPS = 300  # of the continued fraction; it settles in a few dozen


class State(Frozen):
    """What a curriculum remembers; JSON, so that a training run can be resumed."""

    round: int = 0  # batches chosen so far
    outcomes: dict[str, tuple[float, float]] = Field(
        default_factory=dict
    )  # cell: successes, failures, forgotten ones off
    drawn: dict[str, int] = Field(default_factory=dict)  # task hash: times chosen


@dataclass(frozen=True)
class Band:
    """The success rates to keep a policy between, and how beliefs are formed (letters as above)."""

    low: float = 0.2
    high: float = 0.8
    forget: float = 0.8  # gamma a batch, (0, 1]
    explore: float = 0.1  # e, (0, 1]
    prior: float = 1.0  # m, in outcomes

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            text = f"low {self.low:g} and high {self.high:g} are no band of success rates"
            raise UsageError(text, hint="low is below high, both lie in 0 to 1")
        if not 0 < self.forget <= 1 or not 0 < self.explore <= 1 or self.prior <= 0:
            text = f"no curriculum has forget {self.forget:g}, explore {self.explore:g} and prior {self.prior:g}"
            raise UsageError(text, hint="forget and explore are above 0 and at most 1, prior is above 0")


class Curriculum:
    """Chooses among `tasks`. Raises `UsageError` when there are none."""

    def __init__(self, tasks: Sequence[Task], band: Band | None = None, *, seed: int = 0) -> None:
        if not tasks:
            raise UsageError("a curriculum needs tasks", hint="mocktrial synth NAME")
        self.band = band or Band()
        self._seed = seed
        self._tasks = {task.content_hash(): task for task in tasks}
        self._cells: dict[Cell, list[str]] = {}
        for hashed in sorted(self._tasks):
            self._cells.setdefault(cell_of(self._tasks[hashed]), []).append(hashed)
        self._cells = dict(sorted(self._cells.items()))

    def start(self, rates: Rates | None = None) -> State:
        """The first state; with `pass_rates` of an agent much like the policy, not without knowledge."""
        results = [
            (hashed, number < won)
            for hashed, (won, trials) in sorted((rates or {}).items())
            if hashed in self._tasks
            for number in range(trials)
        ]
        return self.observe(State(), results)

    def observe(self, state: State, results: Iterable[tuple[str, bool]]) -> State:
        """The state after `results`: task hash and success, in any order. Raises `UsageError` for an unknown task."""
        counts = {
            cell: (won * self.band.forget, lost * self.band.forget) for cell, (won, lost) in state.outcomes.items()
        }
        for hashed, success in results:
            if hashed not in self._tasks:
                raise UsageError(f"task {hashed} is not in this curriculum", hint="give it the tasks that are played")
            key = _key(cell_of(self._tasks[hashed]))
            won, lost = counts.get(key, (0.0, 0.0))
            counts[key] = (won + success, lost + (not success))
        return state.model_copy(update={"outcomes": dict(sorted(counts.items()))})

    def batch(self, state: State, size: int) -> tuple[list[Task], State]:
        """`size` tasks to play next, a task twice only where its cell has no other left, and the state after that."""
        chance = random.Random(derive(self._seed, "batch", state.round))
        weights = self.weights(state)
        drawn = dict(state.drawn)
        chosen: list[Task] = []
        for cell in chance.choices(list(weights), weights=list(weights.values()), k=size):
            least = min(drawn.get(hashed, 0) for hashed in self._cells[cell])
            hashed = chance.choice([one for one in self._cells[cell] if drawn.get(one, 0) == least])
            drawn[hashed] = least + 1
            chosen.append(self._tasks[hashed])
        return chosen, state.model_copy(update={"round": state.round + 1, "drawn": dict(sorted(drawn.items()))})

    def weights(self, state: State) -> dict[Cell, float]:
        """w_c of each cell; they sum to 1."""
        band = self.band
        scores = {}
        for cell, (a, b) in self.beliefs(state).items():
            inside = max(0.0, beta_cdf(band.high, a, b) - beta_cdf(band.low, a, b))
            mean = a / (a + b)
            distance = max(band.low - mean, mean - band.high, 0.0)
            scores[cell] = inside + _NEAR * math.exp(-distance / _NEAR)
        total = sum(scores.values())
        return {cell: band.explore / len(scores) + (1 - band.explore) * score / total for cell, score in scores.items()}

    def beliefs(self, state: State) -> dict[Cell, tuple[float, float]]:
        """Both parameters of each cell's Beta distribution."""
        counts = {cell: state.outcomes.get(_key(cell), (0.0, 0.0)) for cell in self._cells}
        level: dict[int, tuple[float, float]] = {}
        for (_, _, calls), (won, lost) in counts.items():
            known = level.get(calls, (0.0, 0.0))
            level[calls] = (known[0] + won, known[1] + lost)
        beliefs = {}
        for cell, (won, lost) in counts.items():
            one, none = level[cell[2]]
            q = (1 + one) / (2 + one + none)
            beliefs[cell] = (self.band.prior * q + won, self.band.prior * (1 - q) + lost)
        return beliefs


def cell_of(task: Task) -> Cell:
    return task.domain, task.family, task.difficulty


def pass_rates(places: Iterable[Path | str], *, agent: str = "") -> dict[str, tuple[int, int]]:
    """Successes and trials of each task in the runs of some ledgers: difficulty as `agent` (or any agent) met it.

    Places, what does not count and errors: as `rates_by_agent`.
    """
    total: dict[str, tuple[int, int]] = {}
    for name, rates in rates_by_agent(places).items():
        for hashed, (won, trials) in rates.items() if agent in ("", name) else ():
            known = total.get(hashed, (0, 0))
            total[hashed] = (known[0] + won, known[1] + trials)
    return dict(sorted(total.items()))


def rates_by_agent(places: Iterable[Path | str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Successes and trials by agent and task hash.

    places: ledgers, or folders of runs with a `ledger.sqlite`. Episodes without a result do not count (DESIGN,
    invariant 3). Raises `UsageError` for what is no ledger.
    """
    rates: dict[str, dict[str, tuple[int, int]]] = {}
    for place in places:
        path = place if isinstance(place, str) and "://" in place else Path(place)
        if isinstance(path, Path) and path.is_dir():
            path = path / "ledger.sqlite"
        for run in Ledger.runs(path):
            with Ledger.read(path, run=run) as ledger:
                for episode in ledger.episodes():
                    if episode.success is not None:
                        own = rates.setdefault(episode.agent, {})
                        won, trials = own.get(episode.task_hash, (0, 0))
                        own[episode.task_hash] = (won + episode.success, trials + 1)
    return dict(sorted(rates.items()))


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(p <= x) for p ~ Beta(a, b): the regularised incomplete beta function, by Lentz's continued fraction.

    Press et al., Numerical Recipes, section 6.4. Exact to about 1e-10 for parameters up to thousands.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _STEPS):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + step * d)
            c = _away(1 + step / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return math.exp(log_front) * fraction / a


def _away(value: float) -> float:
    """Not zero."""
    return value if abs(value) > _TINY else _TINY


def _key(cell: Cell) -> str:
    return "/".join(str(part) for part in cell)
