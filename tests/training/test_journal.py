"""Where the metrics of a run go: its journal, trackers, and the table that a person sees."""

from __future__ import annotations

import json
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from mocktrial.mocktools.errors import MissingExtra
from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.journal import Journal, Metrics, journal_of, journal_path, read_journal, trackers_of
from mocktrial.training.monitor import table_of, watching


def config_of(tmp_path: Path, **given: Any) -> TrainConfig:
    return parse_config({"objective": "sft", "name": "x", "data": "none", "out": str(tmp_path), **given}, "test")


def test_a_resumed_journal_has_every_step_once(tmp_path: Path) -> None:
    path = tmp_path / "x.metrics.jsonl"
    with Journal(path, 0) as journal:
        for step in range(1, 6):
            journal.log(step, {"loss": step / 10})
    path.write_bytes(path.read_bytes() + b'{"step":6,"lo')  # killed while it wrote
    with Journal(path, 3) as journal:
        journal.log(4, {"loss": 9.0})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        *({"step": step, "loss": step / 10} for step in (1, 2, 3)),
        {"step": 4, "loss": 9.0},
    ]


def test_a_run_that_begins_begins_its_journal_anew(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    journal_path(config).write_text('{"step":7}\n')
    with journal_of(config, resume=True) as journal:
        journal.log(1, {"loss": 2.0})
    assert read_journal(journal_path(config)) == [{"step": 1, "loss": 2.0}]  # no checkpoint: nothing was done yet


def test_trackers_get_what_the_journal_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fake = SimpleNamespace(
        init=lambda **given: seen.append(given["name"]),
        log=lambda metrics, step: seen.append((step, metrics)),
        finish=lambda: seen.append("end"),
    )
    monkeypatch.setitem(sys.modules, "trackio", fake)
    with Journal(tmp_path / "j", 0, trackers_of(config_of(tmp_path, track=["trackio"]))) as journal:
        journal.log(1, {"loss": 2.0})
    assert seen == ["x", (1, {"loss": 2.0}), "end"]


@pytest.mark.parametrize("name", ["trackio", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=name):
        trackers_of(config_of(tmp_path, track=[name]))


def test_the_table_has_the_columns_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    rows: deque[tuple[int, Metrics]] = deque([(1, {"loss": 0.5}), (1, {"held_out_success": 0.25}), (2, {"loss": 0.25})])
    Console(width=80).print(table_of("x", rows))
    out = capsys.readouterr().out
    assert "0.5000" in out
    assert "25%" in out
    assert "gradient norm" not in out


def test_without_a_terminal_a_run_tells_steps_with_loss_and_reward(capsys: pytest.CaptureFixture[str]) -> None:
    with watching("x") as (progress, log):
        for step in range(1, 8):
            log(step, {"loss": 1.0 / step, "reward": step / 10})
            progress(step, 7, 1.0 / step)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "x: 1/7 steps, loss 1.0000, reward 0.100"
    assert lines[-1] == "x: 7/7 steps, loss 0.1429, reward 0.700"
