"""Online RL on Ray, two players and two learners on this machine, is online RL in one process, whoever is killed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.support.deskset import save_desk, save_desk_model
from tests.support.nodes import Nodes, kill_one
from tests.support.tiny import one_thread  # noqa: F401

from mocktrial.training.cluster.ray_run import Crew, train_on_ray
from mocktrial.training.config import TrainConfig, parse_config
from mocktrial.training.journal import journal_path, read_journal
from mocktrial.training.monitor import watched
from mocktrial.training.play import train_online
from mocktrial.training.session import Watch
from mocktrial.training.trainer import TrainResult

pytestmark = [pytest.mark.ray, pytest.mark.soak]
TOLD = ("loss", "learned_from", "episodes", "succeeded", "reward", "held_out_success")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    save_desk(folder / "desk", 2)
    save_desk_model(folder / "tiny", sure=0.99)
    return folder


def config_of(place: Path, name: str) -> TrainConfig:
    played = {"group": 2, "tasks_per_step": 2, "turns": 8, "max_new_tokens": 80, "curriculum": {}}
    rollouts = {"dataset": str(place / "desk"), **played}
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


def losing(lose: Mapping[int, Callable[[], None]]) -> Callable[..., AbstractContextManager[Watch]]:
    """A watch under which, once the run has made so many steps, something is lost."""

    @contextmanager
    def watching(config: TrainConfig, *, resume: bool) -> Iterator[Watch]:
        with watched(config, resume=resume) as watch:

            def progress(done: int, total: int, loss: float) -> None:
                if done in lose and not resume:
                    threading.Thread(target=lose[done]).start()

            yield Watch(progress=progress, log=watch.log)

    return watching


def steps(config: TrainConfig) -> list[dict[str, float]]:
    """What the journal tells of each step and each evaluation."""
    return [{key: line[key] for key in ("step", *TOLD) if key in line} for line in read_journal(journal_path(config))]


@pytest.fixture(scope="module")
def expected(place: Path) -> TrainResult:
    """Of one process."""
    with watched(config_of(place, "alone"), resume=False) as watch:
        return train_online(config_of(place, "alone"), watch=watch, threads=1)


def check(place: Path, name: str, result: TrainResult, expected: TrainResult) -> None:
    assert len(set(expected.losses)) == 3
    assert result.losses == pytest.approx(expected.losses, abs=1e-4)
    for own, theirs in zip(steps(config_of(place, name)), steps(config_of(place, "alone")), strict=True):
        assert own == pytest.approx(theirs, abs=1e-4)
    state = json.loads((place / "out" / name / "trainer_state.json").read_text())
    assert state["step"] == 3


def test_a_player_is_killed_while_it_plays_and_a_learner_while_it_learns(
    place: Path, expected: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # nobody is killed but by us
    lost = {1: lambda: kill_one("Player.work"), 2: lambda: kill_one("LearnerProcess.update")}
    crew = Crew(players=2, learners=2, timeout=300)
    check(place, "shared", train_on_ray(config_of(place, "shared"), crew, watching=losing(lost)), expected)


def test_a_node_is_lost_with_those_who_play_and_learn_there(place: Path, expected: TrainResult, nodes: Nodes) -> None:
    crew = Crew(address=nodes.address, players=2, learners=2, timeout=300)
    check(place, "nodes", train_on_ray(config_of(place, "nodes"), crew, watching=losing({1: nodes.lose})), expected)
    assert nodes.second is None
