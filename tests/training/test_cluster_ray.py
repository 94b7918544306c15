"""Online RL on Ray, two players and two learners on this machine, is online RL in one process, whoever is killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.deskset import save_desk, save_desk_model
from tests.support.nodes import kill_one
from tests.support.tiny import one_thread  # noqa: F401

from mocktrial.training.cluster.ray_run import Crew, train_on_ray
from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.journal import journal_path, read_journal
from mocktrial.training.monitor import watched
from mocktrial.training.play import train_online
from mocktrial.training.session import Watch

pytestmark = [pytest.mark.ray, pytest.mark.soak]
TOLD = ("loss", "learned_from", "episodes", "succeeded", "reward", "held_out_success")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    save_desk(folder / "desk", 2)
    save_desk_model(folder / "tiny", sure=0.99)
    return folder


def config_of(place: Path, name: str) -> TrainConfig:
    rollouts = {"dataset": str(place / "desk"), "group": 2, "tasks_per_step": 2, "turns": 8, "max_new_tokens": 80}
    given = {"objective": "rl", "name": name, "model": str(place / "tiny"), "out": str(place / "out"), "steps": 3}
    options = {
        "save_every": 1,
        "learning_rate": 1e-3,
        "precision": "fp32",
        "device": "cpu",
        "rl": {"preset": "reinforce"},
    }
    evaluation = {"every": 3, "tasks": 1, "split": "train", "max_new_tokens": 80, "turns": 8}
    return parse_config({**given, **options, "rollouts": rollouts, "evaluation": evaluation}, "test")


@contextmanager
def killing(config: TrainConfig, *, resume: bool) -> Iterator[Watch]:
    """After the first step a player is killed while it plays, after the second a learner while it learns."""
    with watched(config, resume=resume) as watch:

        def progress(done: int, total: int, loss: float) -> None:
            kind = {1: "Player.work", 2: "LearnerProcess.update"}.get(done)
            if kind and not resume:
                threading.Thread(target=kill_one, args=(kind,)).start()

        yield Watch(progress=progress, log=watch.log)


def steps(config: TrainConfig) -> list[dict[str, float]]:
    """What the journal tells of each step and each evaluation."""
    return [{key: line[key] for key in ("step", *TOLD) if key in line} for line in read_journal(journal_path(config))]


def test_the_run_is_that_of_one_process_though_workers_are_killed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # nobody is killed but by us
    alone, shared = config_of(place, "alone"), config_of(place, "shared")
    with watched(alone, resume=False) as watch:
        expected = train_online(alone, watch=watch, threads=1)
    result = train_on_ray(shared, Crew(players=2, learners=2, timeout=300), watching=killing)
    assert len(set(expected.losses)) == 3
    assert result.losses == pytest.approx(expected.losses, abs=1e-4)
    for own, theirs in zip(steps(shared), steps(alone), strict=True):
        assert own == pytest.approx(theirs, abs=1e-4)
    state = json.loads((place / "out" / "shared" / "trainer_state.json").read_text())
    assert state["step"] == 3
