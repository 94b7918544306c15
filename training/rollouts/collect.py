"""`collect`: groups of graded episodes of a policy, each advancing on its own, on one event loop.

An episode goes the way of `mocktrial run` (`agents.play`): a private world, the same user, the same grade. Its world's
seed is its task's and trial's, as there, so that an episode is the same world in every epoch; the policy's draws
derive from the step's seed too, so that they are other ones. Same seed, weights and tasks, same bytes, as long as no
slower user or judge is waited for.

A group whose rewards are all equal teaches nothing (zero-variance elimination at rollout: DAPO, arXiv 2503.14476,
section 3.2; CompassMax, arXiv 2512.07710): it is replaced by the group of a spare task while there is budget for it.
What the infrastructure breaks is an episode of outcome `no_result`; our own bugs are raised.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mocktrial.agents.local.policy import LocalChat, LocalPolicy
from mocktrial.agents.local.reuse import Reuse
from mocktrial.agents.local.speculation import LENIENCE
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.play import player
from mocktrial.envs.chat import Chat, ToolSchema
from mocktrial.envs.episode import Limits
from mocktrial.envs.judging.decide import require_judge
from mocktrial.envs.judging.judge import Judge
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.envs.users.base import User
from mocktrial.mocktools.image import WorldImage
from mocktrial.training.objectives.presets import RewardName
from mocktrial.training.records import drift_of
from mocktrial.training.rollouts.config import RolloutConfig
from mocktrial.training.rollouts.drafts import Drafts

EQUAL = 1e-9  # rewards no further apart than this teach nothing


@dataclass(frozen=True)
class Counts:
    """Of all that was played, the groups that were replaced included."""

    episodes: int = 0
    succeeded: int = 0
    no_result: int = 0
    replaced: int = 0  # groups, because their rewards were equal
    decoded: int = 0  # tokens drawn one by one
    reused: int = 0  # tokens taken over from drafts
    drift: dict[str, int] = field(default_factory=dict)  # rows started anew, by reason


@dataclass(frozen=True)
class Rollouts:
    """trajectories: of the kept groups, in the order of their tasks, then by trial. outcomes: task hash and success of
    every graded episode, those of replaced groups too.
    """

    trajectories: tuple[Trajectory, ...]
    counts: Counts
    outcomes: tuple[tuple[str, bool], ...]


async def collect(
    tasks: Sequence[Task], images: Mapping[str, WorldImage], policy: LocalPolicy, config: RolloutConfig, *,
    seed: int, wanted: int | None = None, drafts: Drafts | None = None, reward: RewardName = "rubric",
    user: User | None = None, judge: Judge | None = None,
) -> Rollouts:  # fmt: skip
    """Play a group of each of the first `wanted` tasks (None: of all); the tasks after them are spares.

    images: by `Task.world`. seed: of this step. drafts: read and renewed where `config.reuse` is not "none".
    reward: by which a group is equal. Raises `UsageError` where a task needs a judge and there is none, or turns cannot
    be reused.
    """
    require_judge(tasks, judge)
    playing = _Playing(images, policy, config, seed, Drafts() if drafts is None else drafts, user, judge)
    count = len(tasks) if wanted is None else min(wanted, len(tasks))
    spares = deque(range(count, min(len(tasks), count + config.spare)))
    played: dict[int, list[Trajectory]] = {}

    async def fill(place: int) -> int:
        """Play the group at `place`, or as long as rewards are equal a spare in its stead; the place of the last."""
        played[place] = await playing.group(tasks[place])
        return await fill(spares.popleft()) if spares and is_equal(played[place], reward) else place

    kept = sorted(await asyncio.gather(*(fill(place) for place in range(count))))
    everything = [one for place in sorted(played) for one in played[place]]
    counts = _counts(everything, replaced=len(played) - len(kept))
    return Rollouts(tuple(one for place in kept for one in played[place]), counts, outcomes_of(everything))


def outcomes_of(trajectories: Iterable[Trajectory]) -> tuple[tuple[str, bool], ...]:
    """Task hash and success of those that have a grade."""
    return tuple((one.task_hash, one.grade.success) for one in trajectories if one.grade)


def is_equal(group: Sequence[Trajectory], reward: RewardName = "rubric") -> bool:
    """Whether the scored episodes of a task leave nothing to compare."""
    grades = [one.grade for one in group if one.outcome == "scored" and one.grade]
    rewards = [float(grade.success) if reward == "success" else grade.reward for grade in grades]
    return not rewards or max(rewards) - min(rewards) <= EQUAL


class _Playing:
    """One call of `collect`: plays episodes, at most so many at a time."""

    def __init__(
        self, images: Mapping[str, WorldImage], policy: LocalPolicy, config: RolloutConfig, seed: int,
        drafts: Drafts, user: User | None, judge: Judge | None,
    ) -> None:  # fmt: skip
        self._images, self._policy, self._config, self._seed = images, policy, config, seed
        self._drafts, self._user, self._judge = drafts, user, judge
        self._limits = Limits(turns=config.turns)
        self._places = asyncio.Semaphore(config.concurrency)

    async def group(self, task: Task) -> list[Trajectory]:
        return await asyncio.gather(*(self._episode(task, trial) for trial in range(self._config.group)))

    async def _episode(self, task: Task, trial: int) -> Trajectory:
        key = (task.content_hash(), trial)
        model = _Opening(self._policy, self._seed, self._reuse(key))
        play_one = player(ModelAgent(model), self._images, self._limits, user=self._user, judge=self._judge)
        async with self._places:
            trajectory = await play_one(task, trial)
        if model.chat and model.chat.turns:
            self._drafts.keep(key, model.chat.turns)
        return trajectory

    def _reuse(self, key: tuple[str, int]) -> Reuse | None:
        if self._config.reuse == "none":
            return None
        return Reuse(self._drafts.of(key), lenience=LENIENCE if self._config.reuse == "lenient" else None)


class _Opening:
    """A `ChatModel` for one episode: the policy, with the step's seed in its draws, and what is to be reused."""

    def __init__(self, policy: LocalPolicy, seed: int, reuse: Reuse | None) -> None:
        self._policy, self._seed, self._reuse = policy, seed, reuse
        self.chat: LocalChat | None = None

    @property
    def name(self) -> str:
        return self._policy.name

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> Chat:
        self.chat = self._policy.start(tools, seed=derive(self._seed, "rollout", seed), reuse=self._reuse)
        return self.chat


def _counts(trajectories: Sequence[Trajectory], *, replaced: int) -> Counts:
    traces = [trace for one in trajectories for trace in one.traces if trace]
    reused = sum(trace.reused for trace in traces)
    return Counts(
        episodes=len(trajectories),
        succeeded=sum(one.grade is not None and one.grade.success for one in trajectories),
        no_result=sum(one.outcome == "no_result" for one in trajectories),
        replaced=replaced,
        decoded=sum(len(trace.sampled) for trace in traces) - reused,
        reused=reused,
        drift=drift_of(trajectories),
    )
