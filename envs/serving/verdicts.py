"""`Verdicts`: the run of a ledger into which the verdicts on served episodes go, that of each trial once."""

from __future__ import annotations

from collections.abc import Sequence

from mocktrial.envs.runner import trial_seed
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeKey
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory


class Verdicts:
    """ledger: of the run, opened with what its episodes are played under. agent: the player's name there.

    trials: of each task. user_seed: of every episode's user.
    """

    def __init__(
        self, ledger: Ledger, tasks: Sequence[Task], *, agent: str, trials: int = 1, user_seed: int = 0
    ) -> None:
        self._ledger, self.agent, self._trials, self._user_seed = ledger, agent, trials, user_seed
        ledger.add_tasks(tasks)
        done = ledger.done()
        planned = [(task, trial) for task in tasks for trial in range(trials)]
        self._owed = {(task.content_hash(), trial) for task, trial in planned if self._key(task, trial) not in done}

    def _key(self, task: Task, trial: int) -> EpisodeKey:
        return EpisodeKey(task.content_hash(), self.agent, trial, trial_seed(task, trial), self._ledger.config_hash)

    def unwanted(self, task: Task, trial: int, user_seed: int) -> str:
        """Why the run wants no such episode; empty where it does."""
        if trial >= self._trials:
            return f"there is no trial {trial}: the run has {self._trials} of each task"
        if (task.content_hash(), trial) not in self._owed:
            return f"{task.id}, trial {trial} has its result in the run"
        return "" if user_seed == self._user_seed else f"the episodes of this run have user_seed {self._user_seed}"

    def add(self, record: Trajectory, seconds: float) -> None:
        """Write what became of an episode that took `seconds`, unless its trial has a result already."""
        trial = record.task_hash, record.trial
        if trial not in self._owed:
            return
        self._ledger.record(record, seconds=seconds)
        if record.outcome != "no_result":
            self._owed.discard(trial)
