"""Rollouts: the same bytes for the same seed, groups replaced that teach nothing, reuse only where the world agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.support.desk import desk_image, desk_task
from tests.support.tiny import one_thread, tiny_policy  # noqa: F401

from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.play import player
from mocktrial.envs.chat import TokenTrace
from mocktrial.envs.episode import Limits
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Grade, Trajectory
from mocktrial.training.records import drift_of, records_of
from mocktrial.training.rollouts.collect import Rollouts, collect, is_equal
from mocktrial.training.rollouts.config import RolloutConfig
from mocktrial.training.rollouts.drafts import Drafts

pytestmark = pytest.mark.model
CONFIG = RolloutConfig(group=3, max_new_tokens=6, turns=3)


def _tasks(count: int) -> list[Task]:
    return [desk_task().model_copy(update={"id": f"desk-{seed}", "seed": seed}) for seed in range(count)]


def _collect(config: RolloutConfig = CONFIG, *, tasks: int = 2, seed: int = 0, **given: object) -> Rollouts:
    policy = given.pop("policy", None) or tiny_policy(max_new_tokens=config.max_new_tokens)
    image = desk_image()
    worlds = {task.world: image for task in _tasks(1)}
    return asyncio.run(collect(_tasks(tasks), worlds, policy, config, seed=seed, **given))  # type: ignore[arg-type]


def _sampled(rollouts: Rollouts) -> list[list[tuple[int, ...]]]:
    return [[trace.sampled for trace in one.traces if trace] for one in rollouts.trajectories]


def test_groups_come_in_the_order_of_their_tasks() -> None:
    rollouts = _collect()
    assert [(one.task_id, one.trial) for one in rollouts.trajectories] == [
        (task, trial) for task in ("desk-0", "desk-1") for trial in range(3)
    ]
    assert {one.outcome for one in rollouts.trajectories} == {"scored"}
    assert rollouts.counts.episodes == 6
    assert rollouts.counts.decoded == sum(len(ids) for one in _sampled(rollouts) for ids in one)
    records = records_of(rollouts.trajectories, "rl")
    assert len({record.episode for record in records}) == 6
    assert len({record.group for record in records}) == 2


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_draws() -> None:
    first, again, other = _collect(), _collect(), _collect(seed=1)
    assert [one.model_dump_json() for one in first.trajectories] == [
        one.model_dump_json() for one in again.trajectories
    ]
    assert _sampled(first) != _sampled(other)
    assert [one.seed for one in first.trajectories] == [one.seed for one in other.trajectories]


def test_what_is_drawn_does_not_depend_on_what_is_decoded_beside_it() -> None:
    """In double precision; in single precision the last bits of a product may move a draw: docs/rollouts.md."""
    narrow = CONFIG.model_copy(update={"concurrency": 1})
    assert _sampled(_collect(narrow)) == _sampled(_collect())


def test_an_episode_is_that_of_a_run() -> None:
    policy = tiny_policy(temperature=0.0)
    (greedy,) = _collect(CONFIG.model_copy(update={"group": 1}), tasks=1, policy=policy).trajectories
    task = _tasks(1)[0]
    play_one = player(ModelAgent(policy), {task.world: desk_image()}, Limits(turns=CONFIG.turns))
    assert asyncio.run(play_one(task, 0)) == greedy


def test_a_second_epoch_reuses_the_first() -> None:
    drafts, config = Drafts(), CONFIG.model_copy(update={"reuse": "lenient"})
    policy = tiny_policy()
    first = _collect(config, drafts=drafts, policy=policy)
    second = _collect(config, drafts=drafts, policy=policy, seed=1)
    assert (first.counts.reused, second.counts.decoded) == (0, 0)
    assert second.counts.reused == first.counts.decoded
    assert _sampled(second) == _sampled(first)


def _graded(rewards: Sequence[float]) -> list[Trajectory]:
    (one,) = _collect(CONFIG.model_copy(update={"group": 1, "turns": 1}), tasks=1).trajectories
    return [one.model_copy(update={"grade": Grade(reward=reward, success=reward == 1)}) for reward in rewards]


def test_equal_rewards_teach_nothing() -> None:
    assert is_equal(_graded([0.5, 0.5]))
    assert not is_equal(_graded([0.5, 1.0]))
    lost = _graded([0.5])[0].model_copy(update={"outcome": "no_result", "grade": None})
    assert is_equal([*_graded([0.5]), lost])
    assert is_equal([lost])
    assert is_equal(_graded([0.0, 0.5]), "success")
    assert not is_equal(_graded([0.5, 1.0]), "success")


@pytest.mark.parametrize(
    ("spare", "kept", "replaced"),
    [(0, ["desk-0", "desk-1"], 0), (1, ["desk-1", "desk-2"], 1), (4, ["desk-2", "desk-4"], 3)],
)
def test_a_group_that_teaches_nothing_is_replaced(
    monkeypatch: pytest.MonkeyPatch, spare: int, kept: list[str], replaced: int
) -> None:
    teaches = {"desk-2", "desk-4"} if spare > 1 else {"desk-1", "desk-2"} if spare else set()
    monkeypatch.setattr(
        "mocktrial.training.rollouts.collect.is_equal", lambda group, reward: group[0].task_id not in teaches
    )
    config = CONFIG.model_copy(update={"group": 1, "turns": 1, "spare": spare})
    rollouts = _collect(config, tasks=6, wanted=2)
    assert [one.task_id for one in rollouts.trajectories] == kept
    assert (rollouts.counts.replaced, rollouts.counts.episodes) == (replaced, 2 + replaced)
    assert len({task for task, _ in rollouts.outcomes}) == len(rollouts.outcomes) == 2 + replaced


def test_an_episode_of_several_rows_is_one_episode() -> None:
    (one,) = _collect(CONFIG.model_copy(update={"group": 1}), tasks=1).trajectories
    traces = [
        TokenTrace(context=(1, 2), sampled=(3,), logprobs=(-0.5,)),
        TokenTrace(context=(4,), sampled=(5,), logprobs=(-0.5,), turn=1),
        TokenTrace(context=(1, 9, 3), sampled=(6,), logprobs=(-0.5,), turn=2, branch=1, drift="tools"),
    ]
    several = one.model_copy(update={"traces": tuple(traces)})
    records = records_of([several], "rl")
    assert [record.tokens for record in records] == [tuple(traces[:2]), tuple(traces[2:])]
    assert len({record.episode for record in records}) == 1
    assert drift_of([several, one]) == {"tools": 1}
