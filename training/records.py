"""From graded trajectories to training records: which episodes, with which label, weight and reward.

Only `scored` episodes train: `no_result` says nothing about the agent and `masked` is masked. An episode
that a local policy played brings its tokens as sampled; any other is rendered as that policy would write it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.training.config import Verb
from mocktrial.training.run import Record


def records_of(trajectories: Iterable[Trajectory], objective: Verb) -> list[Record]:
    """Records for an objective.

    sft: successes only. kto: every episode, desirable when it succeeded. rl: every episode with its
    reward, in the group of its task.
    """
    records = []
    for trajectory in trajectories:
        if trajectory.outcome != "scored" or trajectory.grade is None:
            continue
        grade = trajectory.grade
        if objective == "sft" and not grade.success:
            continue
        sampled = tuple(trace for trace in trajectory.traces if trace is not None)
        whole = bool(sampled) and len(sampled) == len(trajectory.traces)
        records.append(
            Record(
                messages=() if whole else trajectory.messages,
                tools=() if whole else trajectory.tools,
                tokens=sampled if whole else (),
                label=grade.success if objective == "kto" else None,
                reward=grade.reward if objective == "rl" else None,
                group=trajectory.task_hash,
            )
        )
    return records


def records_of_run(folder: Path, objective: Verb) -> list[Record]:
    """The records of a run's ledger."""
    with Ledger.read(folder / "ledger.sqlite") as ledger:
        return records_of(ledger.trajectories(), objective)
