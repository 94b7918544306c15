"""A scripted `Collect`: one-turn episodes drawn from a tiny model token by token, graded by what was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from mocktrial.envs.chat import TokenTrace
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Asking, Grade, Trajectory
from mocktrial.training.rollouts.collect import outcomes_of
from tests.support.desk import desk_task

WANTED = 30  # tokens below it are right
LENGTH = 4


def tasks(count: int) -> list[Task]:
    return [desk_task().model_copy(update={"id": f"desk-{n}", "seed": n}) for n in range(count)]


@dataclass(frozen=True)
class Episodes:
    trajectories: Sequence[Trajectory]
    counts: Mapping[str, float]
    outcomes: Sequence[tuple[str, bool]]


@dataclass
class Drawing:
    """Plays with the model as it now is. `calls` keeps what it was asked for."""

    model: PreTrainedModel
    group: int = 4
    equal: bool = False  # whether every reward is 1
    calls: list[tuple[tuple[str, ...], int, int, int]] = field(default_factory=list)

    def __call__(self, tasks: Sequence[Task], *, seed: int, wanted: int, version: int) -> Episodes:
        self.calls.append((tuple(task.id for task in tasks), seed, wanted, version))
        jobs = [(task, trial) for task in tasks[:wanted] for trial in range(self.group)]
        draws = [torch.Generator().manual_seed(derive(seed, task.id, trial)) for task, trial in jobs]
        ids = torch.tensor([[1 + task.seed % 7, 2, 3] for task, _ in jobs])  # (episodes, tokens)
        logprobs: list[list[float]] = [[] for _ in jobs]
        for _ in range(LENGTH):
            with torch.no_grad():
                known = self.model(ids).logits[:, -1].double().log_softmax(dim=1)
            drawn = [torch.multinomial(one.exp(), 1, generator=make) for one, make in zip(known, draws, strict=True)]
            for own, one, token in zip(logprobs, known, drawn, strict=True):
                own.append(float(one[token]))
            ids = torch.cat([ids, torch.stack(drawn)], dim=1)
        played = [
            self._graded(task, trial, seed, one, own)
            for (task, trial), one, own in zip(jobs, ids.tolist(), logprobs, strict=True)
        ]
        return Episodes(played, {"episodes": len(played)}, outcomes_of(played))

    def _graded(self, task: Task, trial: int, seed: int, ids: list[int], logprobs: list[float]) -> Trajectory:
        right = sum(token < WANTED for token in ids[3:])
        reward = 1.0 if self.equal else right / LENGTH
        grade = Grade(reward=reward, success=reward == 1.0, asking=Asking(hidden=1, under_ask=trial % 2))
        trace = TokenTrace(context=tuple(ids[:3]), sampled=tuple(ids[3:]), logprobs=tuple(logprobs))
        return Trajectory(
            task_id=task.id, task_hash=task.content_hash(), world_hash="w", agent="tiny", seed=seed, trial=trial,
            outcome="scored", end="finished" if right else "turn_limit", traces=(trace,), grade=grade,
        )  # fmt: skip
