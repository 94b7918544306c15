"""What a dry run says is what training then does, as far as that can be counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel

from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.data import Example
from mocktrial.training.engine import Engine
from mocktrial.training.estimate import Cost, cost_of, longest_play
from mocktrial.training.session import Watch
from mocktrial.training.trainer import fit

Fresh = Callable[[], PreTrainedModel]


def config_of(objective: str, **given: Any) -> TrainConfig:
    plain = {"name": "x", "data": "none", "batch_size": 2, "micro_batch_tokens": 60}
    return parse_config({"objective": objective, **plain, **given}, "test")


@pytest.fixture
def source(tiny: PreTrainedModel, tmp_path: Path) -> str:
    tiny.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


@pytest.mark.parametrize("given", [{}, {"lora": {}}, {"frozen_layers": 1}], ids=str)
def test_tokens_steps_and_parameters_are_those_of_the_run(
    given: dict[str, Any], source: str, fresh: Fresh, rows: list[Example]
) -> None:
    config = config_of("sft", **given)
    cost = cost_of(config, rows, source)
    seen: list[float] = []
    engine = Engine(fresh(), config)
    fit(engine, rows, config, watch=Watch(log=lambda step, metrics: seen.append(metrics["computed"])))
    assert (cost.steps, cost.computed_per_step) == (len(seen), round(sum(seen) / len(seen)))
    assert cost.parameters == sum(value.numel() for value in engine.model.parameters())
    assert cost.learning == sum(value.numel() for value in engine.learning.values())
    assert cost.tokens == sum(len(row.ids) for row in rows)
    assert cost.memory > 4 * cost.parameters + 12 * cost.learning
    assert cost.seconds_per_step > 0


def test_reference_and_z_cost_something(source: str, rows: list[Example]) -> None:
    plain, known = cost_of(config_of("sft"), rows, source), cost_of(config_of("kto"), rows, source)
    assert plain.computed_per_step < known.computed_per_step < 2 * plain.computed_per_step


def test_a_larger_micro_batch_takes_more_memory(source: str, rows: list[Example]) -> None:
    def memory(**given: Any) -> int:
        return cost_of(config_of("sft", batch_size=6, **given), rows, source).memory

    assert memory(micro_batch_tokens=60) < memory(micro_batch_tokens=1000)


def test_play_is_estimated_at_its_limits(source: str) -> None:
    rollouts = {"dataset": "none", "group": 4, "turns": 3, "max_new_tokens": 5}
    config = parse_config({"objective": "rl", "name": "x", "steps": 1, "batch_size": 8, "rollouts": rollouts}, "test")
    rows = longest_play(config, [30, 40])
    cost: Cost = cost_of(config, rows, source)
    assert (cost.rows, cost.trained) == (8, 8 * 15)
    # each prompt once and 14 computed tokens an episode; a third more, since play has read and drawn them all
    assert cost.computed_per_step == round((30 + 40 + 8 * 14) * 4 / 3)


def test_a_step_of_several_updates_is_all_of_them(source: str) -> None:
    def cost(updates: int) -> Cost:
        rollouts = {"dataset": "none", "group": 4, "turns": 3, "max_new_tokens": 5, "updates": updates}
        given = {"objective": "rl", "name": "x", "steps": 10, "batch_size": 8 // updates, "rollouts": rollouts}
        config = parse_config(given, "test")
        return cost_of(config, longest_play(config, [30, 30]), source)

    assert [cost(updates).rows_per_step for updates in (1, 2, 4)] == [8, 8, 8]
    assert cost(2).computed_per_step >= cost(1).computed_per_step
