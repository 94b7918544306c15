"""The shared loop on a tiny model: splits, resume, kills, numbers that are not finite."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from mocktrial.mocktools.errors import UsageError
from mocktrial.training import checkpoint
from mocktrial.training.checkpoint import find_checkpoint, is_stable, read_state
from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.data import Example
from mocktrial.training.engine import Diverged
from mocktrial.training.session import Watch
from mocktrial.training.trainer import fit, learning_rate

Fresh = Callable[[], PreTrainedModel]
OBJECTIVES = pytest.mark.parametrize("objective", ["sft", "kto", "rl"])


class Killed(Exception):
    """Stands for kill -9: nothing of ours catches it."""


def config_of(objective: str, **given: Any) -> TrainConfig:
    plain = {"name": "x", "data": "none", "steps": 7, "batch_size": 4, "learning_rate": 5e-3, "save_every": 2}
    return parse_config({"objective": objective, "rl": {"kl_weight": 0.1}, **plain, **given}, "test")


def stop_after(step: int) -> Callable[[int, int, float], None]:
    def progress(done: int, total: int, loss: float) -> None:
        if done == step:
            raise Killed

    return progress


@OBJECTIVES
def test_micro_batches_change_nothing(objective: str, fresh: Fresh, rows: list[Example]) -> None:
    whole, split = fresh(), fresh()
    many = fit(split, rows, config_of(objective, micro_batch_tokens=40))
    once = fit(whole, rows, config_of(objective, micro_batch_tokens=10_000))
    assert many.losses == pytest.approx(once.losses, abs=1e-5)


def test_sft_learns_its_rows(tiny: PreTrainedModel, rows: list[Example]) -> None:
    seen: list[tuple[int, int]] = []
    result = fit(
        tiny, rows, config_of("sft", steps=40), watch=Watch(progress=lambda done, total, _: seen.append((done, total)))
    )
    assert result.losses[-1] < 0.5 * result.losses[0]
    assert seen == [(step, 40) for step in range(1, 41)]


def test_kto_starts_at_half_and_separates(tiny: PreTrainedModel, rows: list[Example]) -> None:
    result = fit(tiny, rows, config_of("kto", steps=30, batch_size=6))
    assert result.losses[0] == pytest.approx(0.5, abs=1e-5)
    assert result.losses[-1] < 0.45


def test_a_run_that_is_over_and_left_no_optimizer_is_resumed_to_nothing(
    fresh: Fresh, rows: list[Example], tmp_path: Path
) -> None:
    config, folder = config_of("sft", steps=2, keep_optimizer=False), tmp_path / "x"
    whole = fit(fresh(), rows, config, watch=Watch(folder=folder))
    assert fit(fresh(), rows, config, watch=Watch(folder=folder), resume=True).losses == whole.losses


def test_grpo_raises_what_was_rewarded(fresh: Fresh, rows: list[Example]) -> None:
    model = fresh()
    fit(model, rows, config_of("rl", steps=20, learning_rate=1e-3))
    best, worst = ([row for row in rows if row.reward == reward] for reward in (2.0, 0.0))
    assert gain(model, fresh(), best) > gain(model, fresh(), worst) + 0.1


def gain(after: PreTrainedModel, before: PreTrainedModel, rows: list[Example]) -> float:
    """Mean change of a trained token's log-probability."""
    return nll(before, rows) - nll(after, rows)


def nll(model: PreTrainedModel, rows: list[Example]) -> float:
    return fit(model, [dataclasses.replace(row, weight=1.0) for row in rows], config_of("sft", steps=1)).losses[0]


@pytest.mark.parametrize("more", [{}, {"lora": {}}], ids=["full", "lora"])
@pytest.mark.parametrize("objective", ["sft", "kto", "rl", "dpo"])
def test_a_run_killed_at_ten_steps_is_the_unbroken_run(
    objective: str, more: dict[str, Any], fresh: Fresh, one_prompt: list[Example], tmp_path: Path
) -> None:
    config, folder = config_of(objective, steps=12, save_every=1, batch_size=2, **more), tmp_path / "x"
    unbroken = fit(fresh(), one_prompt, config).losses
    for last in range(1, 11):
        with pytest.raises(Killed):
            fit(fresh(), one_prompt, config, watch=Watch(folder=folder, progress=stop_after(last + 1)), resume=True)
        assert read_state(folder).step == last + 1
    resumed = fit(fresh(), one_prompt, config, watch=Watch(folder=folder), resume=True)
    assert resumed.losses == pytest.approx(unbroken, abs=1e-6)
    assert len(set(unbroken)) == 12


def test_a_kill_between_two_saves_goes_back_to_the_first(fresh: Fresh, rows: list[Example], tmp_path: Path) -> None:
    config, folder = config_of("sft"), tmp_path / "x"
    with pytest.raises(Killed):
        fit(fresh(), rows, config, watch=Watch(folder=folder, progress=stop_after(5)), resume=True)
    assert read_state(folder).step == 4
    assert fit(fresh(), rows, config, watch=Watch(folder=folder), resume=True).losses == pytest.approx(
        fit(fresh(), rows, config).losses, abs=1e-6
    )
    assert is_stable(folder)


def test_a_checkpoint_of_an_older_release_without_a_key_is_gone_on_from(
    fresh: Fresh, rows: list[Example], tmp_path: Path
) -> None:
    config, folder = config_of("sft"), tmp_path / "x"
    with pytest.raises(Killed):
        fit(fresh(), rows, config, watch=Watch(folder=folder, progress=stop_after(5)), resume=True)
    path = folder / "trainer_state.json"
    state = json.loads(path.read_text("utf-8"))
    for key in ("weight_decay", "evaluation"):
        del state["config"][key]
    path.write_text(json.dumps(state), "utf-8")
    sizes = json.loads((folder / "STABLE").read_text("utf-8")) | {path.name: path.stat().st_size}
    (folder / "STABLE").write_text(json.dumps(sizes), "utf-8")
    with pytest.raises(UsageError, match=r"weight_decay was 0.0, is 0.1"):
        fit(fresh(), rows, config_of("sft", weight_decay=0.1), watch=Watch(folder=folder), resume=True)
    assert len(fit(fresh(), rows, config, watch=Watch(folder=folder), resume=True).losses) == config.steps


def test_frozen_layers_stay_and_resume_agrees(fresh: Fresh, rows: list[Example], tmp_path: Path) -> None:
    config, folder = config_of("sft", frozen_layers=1), tmp_path / "x"
    model, before = fresh(), fresh().state_dict()
    unbroken = fit(model, rows, config).losses
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("model.layers.1.", "model.norm.")) for name in changed)
    with pytest.raises(Killed):
        fit(fresh(), rows, config, watch=Watch(folder=folder, progress=stop_after(5)), resume=True)
    assert fit(fresh(), rows, config, watch=Watch(folder=folder), resume=True).losses == pytest.approx(
        unbroken, abs=1e-6
    )
    with pytest.raises(UsageError, match="layers"):
        fit(fresh(), rows, config_of("sft", frozen_layers=2))


@pytest.mark.parametrize("moment", range(1, 12))
def test_killed_anywhere_inside_a_save_a_whole_checkpoint_remains(
    moment: int, fresh: Fresh, rows: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = config_of("sft", steps=4), tmp_path / "x"
    unbroken = fit(fresh(), rows, config).losses
    with pytest.raises(Killed):
        fit(fresh(), rows, config, watch=Watch(folder=folder, progress=stop_after(2)), resume=True)
    with monkeypatch.context() as patch:
        kill_at(patch, moment)
        with pytest.raises(Killed):
            fit(fresh(), rows, config, watch=Watch(folder=folder, progress=stop_after(4)), resume=True)
    source = find_checkpoint(folder)
    assert source is not None
    assert read_state(source).step in (2, 4)
    assert fit(fresh(), rows, config, watch=Watch(folder=folder), resume=True).losses == pytest.approx(
        unbroken, abs=1e-6
    )
    assert not (tmp_path / ".x.new").exists()


def kill_at(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Raise at the `moment`-th fsync or rename of a save."""
    left = [moment]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return real(*given)

        return call

    patch.setattr(checkpoint, "sync", counted(checkpoint.sync))
    patch.setattr(Path, "rename", counted(Path.rename))


def test_a_torn_file_is_not_a_checkpoint(tiny: PreTrainedModel, rows: list[Example], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    fit(tiny, rows, config_of("sft", steps=2), watch=Watch(folder=folder))
    assert find_checkpoint(folder) == folder
    state = folder / "trainer_state.json"
    state.write_bytes(state.read_bytes()[:-3])
    assert find_checkpoint(folder) is None


def test_a_checkpoint_holds_no_pickle_and_its_config(
    tiny: PreTrainedModel, rows: list[Example], tmp_path: Path
) -> None:
    folder = tmp_path / "x"
    fit(tiny, rows, config_of("sft", steps=1), watch=Watch(folder=folder))
    names = {path.name for path in folder.iterdir()}
    assert {
        "STABLE",
        "config.toml",
        "model.safetensors",
        "optimizer.safetensors",
        "trainer_state.json",
    } <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert "micro_batch_tokens = 2048" in (folder / "config.toml").read_text()


def test_resume_refuses_another_config_or_other_data(fresh: Fresh, rows: list[Example], tmp_path: Path) -> None:
    folder = tmp_path / "x"
    fit(fresh(), rows, config_of("sft"), watch=Watch(folder=folder))
    with pytest.raises(UsageError, match=r"learning_rate was 0\.005, is 0\.1"):
        fit(fresh(), rows, config_of("sft", learning_rate=0.1), watch=Watch(folder=folder), resume=True)
    with pytest.raises(UsageError, match="other data"):
        fit(fresh(), rows[1:], config_of("sft"), watch=Watch(folder=folder), resume=True)


def test_nan_stops_before_the_weights_change_and_names_the_batch(
    tiny: PreTrainedModel, rows: list[Example], tmp_path: Path
) -> None:
    bad = dataclasses.replace(rows[0], group="task-bad", behaviour=tuple(math.nan for _ in rows[0].ids))
    before = [parameter.clone() for parameter in tiny.parameters()]
    with pytest.raises(Diverged, match=r"the loss of step 1 .*task-bad"):
        fit(
            tiny,
            [bad, *(dataclasses.replace(row, group="task-bad") for row in rows[1:])],
            config_of("rl", batch_size=6),
            watch=Watch(folder=tmp_path / "x"),
        )
    assert all(torch.equal(one, other) for one, other in zip(before, tiny.parameters(), strict=True))
    assert not (tmp_path / "x").exists()


def test_rows_that_cannot_teach_are_named(tiny: PreTrainedModel, rows: list[Example]) -> None:
    equal = [dataclasses.replace(row, reward=1.0) for row in rows]
    with pytest.raises(UsageError, match="rewards are equal"):
        fit(tiny, equal, config_of("rl"))
    with pytest.raises(UsageError, match="task-0 has no label"):
        fit(tiny, [dataclasses.replace(row, desirable=None) for row in rows], config_of("kto"))


@pytest.mark.parametrize(
    ("objective", "many", "hint"),
    [("sft", False, "--agent expert"), ("kto", False, "mocktrial run"), ("rl", True, "--trials 8 --temperature 1")],
)
def test_where_nothing_can_be_learned_it_is_said_what_to_play(
    objective: str, many: bool, hint: str, tiny: PreTrainedModel, rows: list[Example]
) -> None:
    equal = [dataclasses.replace(row, reward=1.0) for row in rows if many]
    with pytest.raises(UsageError) as caught:
        fit(tiny, equal, config_of(objective))
    assert hint in caught.value.hint


def test_kto_with_one_prompt_or_one_side_runs(tiny: PreTrainedModel, rows: list[Example]) -> None:
    assert fit(tiny, rows[:1], config_of("kto", steps=2)).losses[0] == pytest.approx(0.5, abs=1e-5)
    disliked = [dataclasses.replace(row, desirable=False) for row in rows]
    assert all(map(math.isfinite, fit(tiny, disliked, config_of("kto", steps=3)).losses))


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1.0), ("linear", 1 / 9), ("cosine", 0.0302)])
def test_learning_rate(schedule: str, last: float) -> None:
    config = config_of("sft", schedule=schedule, learning_rate=1.0, warmup=0.1)
    assert learning_rate(0, 10, config) == 1.0
    assert learning_rate(9, 10, config) == pytest.approx(last, abs=1e-4)
    assert learning_rate(0, 40, config) == 0.25
