"""The loop of online RL with a scripted player on a tiny model: it learns, resumes exactly, keeps the best."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.rollouts import Drawing, tasks
from transformers import PreTrainedModel

from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.training.checkpoint import read_state
from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.engine import Engine
from mocktrial.training.journal import Journal, read_journal
from mocktrial.training.learner import LocalLearner
from mocktrial.training.online import figures_of, held_out, reinforce
from mocktrial.training.rollouts.choice import Choice
from mocktrial.training.session import UNWATCHED, Watch
from mocktrial.training.trainer import TrainResult

Fresh = Callable[[], PreTrainedModel]


class Killed(Exception):
    """Stands for kill -9: nothing of ours catches it."""


def config_of(steps: int = 6, **given: Any) -> TrainConfig:
    plain = {
        "objective": "rl",
        "name": "x",
        "steps": steps,
        "learning_rate": 5e-3,
        "save_every": 2,
        "precision": "fp32",
    }
    rollouts = {"dataset": "none", "group": 4, "tasks_per_step": 3, **given.pop("rollouts", {})}
    return parse_config({**plain, "rollouts": rollouts, **given}, "test")


def trained(
    model: PreTrainedModel, config: TrainConfig, watch: Watch = UNWATCHED, *, resume: bool = False, equal: bool = False
) -> tuple[TrainResult, Drawing]:
    engine = Engine(model, config, keep_start=config.rl.kl_weight > 0)
    collect = Drawing(model, equal=equal)
    return reinforce(LocalLearner(engine, config), collect, tasks(7), config, watch=watch, resume=resume), collect


def success(model: PreTrainedModel) -> float:
    return figures_of(Drawing(model, group=16)(tasks(4), seed=9, wanted=4, version=0).trajectories)["reward"]


@pytest.mark.parametrize("preset", ["grpo", "reinforce", "real"])
def test_what_is_rewarded_becomes_likelier(preset: str, fresh: Fresh) -> None:
    model = fresh()
    trained(model, config_of(10, rl={"preset": preset, "right_from": 0.75}, learning_rate=2e-2))
    assert success(model) > success(fresh()) + 0.15


@pytest.mark.parametrize("given", [{}, {"lora": {}, "rl": {"kl_weight": 0.1}}, {"rl": {"kl_weight": 0.1}}], ids=str)
def test_a_run_killed_again_and_again_is_the_unbroken_run(given: dict[str, Any], fresh: Fresh, tmp_path: Path) -> None:
    config, folder = config_of(save_every=1, **given), tmp_path / "x"
    unbroken, whole = trained(fresh(), config)
    for last in range(1, 6):

        def kill(done: int, total: int, loss: float, last: int = last) -> None:
            if done == last:
                raise Killed

        with pytest.raises(Killed):
            trained(fresh(), config, Watch(folder=folder, progress=kill), resume=True)
    resumed, rest = trained(fresh(), config, Watch(folder=folder), resume=True)
    assert resumed.losses == pytest.approx(unbroken.losses, abs=1e-6)
    assert rest.calls == whole.calls[5:]
    assert len(set(unbroken.losses)) > 1


def test_seeds_and_tasks_follow_the_step(fresh: Fresh) -> None:
    _, collect = trained(fresh(), config_of(rollouts={"spare": 2}))
    assert [(len(ids), wanted, version) for ids, _, wanted, version in collect.calls] == [(5, 3, n) for n in range(6)]
    assert len({seed for _, seed, _, _ in collect.calls}) == 6
    for epoch in range(3):  # seven tasks, three a step: two steps an epoch
        first, second = (set(ids[:3]) for ids, *_ in collect.calls[2 * epoch : 2 * epoch + 2])
        assert not first & second
    for ids, *_ in collect.calls:
        assert len(set(ids)) == 5  # a spare is another task


def test_fewer_tasks_than_a_step_wants_is_said() -> None:
    options = config_of().rollouts
    assert options is not None
    with pytest.raises(UsageError, match="3 tasks, and the split has 2"):
        Choice(tasks(2), options, 0)


def test_where_all_rewards_are_equal_nothing_changes(fresh: Fresh) -> None:
    model, before = fresh(), fresh().state_dict()
    result, _ = trained(model, config_of(2), equal=True)
    assert result.losses == (0.0, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_penalty_makes_equal_rewards_teach(fresh: Fresh) -> None:
    model, before = fresh(), fresh().state_dict()
    trained(model, config_of(3, rl={"finish_penalty": 0.1}, rollouts={"group": 16}), equal=True)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_best_checkpoint_is_kept_and_figures_are_told(fresh: Fresh, tmp_path: Path) -> None:
    config = config_of(6, evaluation={"every": 2, "tasks": 4})
    scripted = iter([0.2, 0.5, 0.9, 0.4])
    journal = tmp_path / "x.metrics.jsonl"
    with Journal(journal, 0) as log:
        watch = Watch(folder=tmp_path / "x", log=log.log, evaluate=lambda done: {"success": next(scripted)})
        trained(fresh(), config, watch)
    assert read_state(tmp_path / "x-best").step == 4
    assert read_state(tmp_path / "x").best == 0.9
    assert not (tmp_path / "x-best" / "optimizer.safetensors").exists()
    rows = read_journal(journal)
    assert [row["held_out_success"] for row in rows if "held_out_success" in row] == [0.2, 0.5, 0.9, 0.4]
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert {"reward", "success_low", "under_ask", "gradient_norm", "episodes", "flops"} <= set(steps[0])


def test_held_out_play_has_its_own_seed_whatever_the_step(fresh: Fresh) -> None:
    collect = Drawing(fresh())
    evaluate = held_out(collect, tasks(2), seed=5)
    assert evaluate(0) == evaluate(3)
    (_, first, *_), (_, second, *_) = collect.calls
    assert first == second
    assert [version for *_, version in collect.calls] == [0, 3]


def test_a_step_without_a_graded_episode_stops_the_run(fresh: Fresh) -> None:
    class Broken(Drawing):
        def __call__(self, *given: Any, **options: Any) -> Any:
            played = super().__call__(*given, **options)
            lost = [one.model_copy(update={"outcome": "no_result", "grade": None}) for one in played.trajectories]
            return type(played)(lost, played.counts, ())

    model, config = fresh(), config_of()
    with pytest.raises(NoResult, match="step 1 has no graded episode"):
        reinforce(LocalLearner(Engine(model, config), config), Broken(model), tasks(7), config)


def test_several_updates_see_every_episode_once(fresh: Fresh) -> None:
    seen: list[dict[str, float]] = []
    config = config_of(2, rollouts={"updates": 3}, rl={"preset": "reinforce"})
    trained(fresh(), config, Watch(log=lambda step, metrics: seen.append(dict(metrics))))
    assert [row["learned_from"] for row in seen] == [12, 12]
    assert [row["trained"] for row in seen] == [48, 48]


def mixed(count: int) -> list[Task]:
    """Tasks of one call and of two, in turn."""
    return [task.model_copy(update={"difficulty": 1 + number % 2}) for number, task in enumerate(tasks(count))]


def chosen_by(choice: Choice, steps: int, wins: Callable[[Task], bool]) -> list[list[Task]]:
    """The tasks of each step, all of them played and told."""
    found = []
    for step in range(steps):
        found.append(choice.tasks(step))
        choice.tell((task.content_hash(), wins(task)) for task in found[-1])
    return found


def test_a_curriculum_leaves_what_always_succeeds_for_what_may() -> None:
    options = config_of(rollouts={"curriculum": {}, "spare": 1}).rollouts
    assert options is not None
    coin = random.Random(0)
    drawn = chosen_by(
        Choice(mixed(60), options, 0), 60, lambda task: task.difficulty == 1 or coin.random() < 0.5
    )  # fmt: skip
    assert all(len({task.id for task in step}) == 4 for step in drawn)
    late = [task.difficulty for step in drawn[20:] for task in step]
    assert late.count(2) > 4 * late.count(1) > 0


def test_a_curriculum_of_few_tasks_plays_none_twice_in_a_step() -> None:
    options = config_of(rollouts={"curriculum": {"explore": 0.01}, "tasks_per_step": 4}).rollouts
    assert options is not None
    for step in chosen_by(Choice(mixed(5), options, 0), 30, lambda task: task.difficulty == 1):
        assert len({task.id for task in step}) == 4


def test_a_run_by_a_curriculum_that_was_killed_draws_what_an_unbroken_one_draws(fresh: Fresh, tmp_path: Path) -> None:
    config, folder = config_of(save_every=1, rollouts={"curriculum": {}}), tmp_path / "x"
    _, whole = trained(fresh(), config)

    def kill(done: int, total: int, loss: float) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        trained(fresh(), config, Watch(folder=folder, progress=kill))
    _, rest = trained(fresh(), config, Watch(folder=folder), resume=True)
    assert rest.calls == whole.calls[3:]
    state = read_state(folder).drawn
    assert state
    assert state.round == 6
    assert sum(state.drawn.values()) == 18
    assert state.outcomes  # told at every step


def test_a_curriculum_that_has_no_band_is_refused() -> None:
    with pytest.raises(UsageError, match="low is below high"):
        config_of(rollouts={"curriculum": {"low": 0.8, "high": 0.2}})
