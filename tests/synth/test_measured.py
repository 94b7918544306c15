"""Difficulty as agents met it: rates beside what is counted, the tasks of a band, a dataset of these."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocktrial.envs.dataset import Dataset, load_dataset
from mocktrial.envs.store import Ledger
from mocktrial.synth.curriculum import Band, rates_by_agent
from mocktrial.synth.measured import Measured, by_measure, mean_rates, measure, within
from tests.support.ledger import CONFIG, make_task, make_trajectory


def one(name: str, steps: int, won: int, trials: int) -> Measured:
    return Measured(name, {"steps": float(steps)}, {"a": (won, trials)} if trials else {})


SOME = [one("easy", 1, 4, 4), one("fair", 2, 2, 4), one("other", 2, 1, 4), one("hard", 3, 0, 4), one("new", 3, 0, 0)]


@pytest.mark.parametrize(
    ("low", "high", "kept"),
    [(0.2, 0.8, ["fair", "other"]), (0.0, 0.25, ["other", "hard"]), (0.5, 1.0, ["easy", "fair"])],
)
def test_a_band_has_both_its_ends_and_nothing_unplayed(low: float, high: float, kept: list[str]) -> None:
    assert within(SOME, Band(low=low, high=high)) == kept


def test_rates_by_what_is_counted() -> None:
    assert by_measure(SOME) == {
        "steps": {"1": {"tasks": 1, "rate": 1}, "2": {"tasks": 2, "rate": 0.375}, "3": {"tasks": 1, "rate": 0}}
    }
    many = by_measure([one(str(steps), steps, steps % 2, 1) for steps in range(100)])["steps"]
    assert [cell["tasks"] for cell in many.values()] == [20] * 5
    assert next(iter(many)) == "0-19"


def test_agents_are_told_apart(tmp_path: Path) -> None:
    tasks = [make_task(number) for number in range(3)]
    with Ledger.open(tmp_path / "ledger.sqlite", CONFIG) as ledger:
        ledger.add_tasks(tasks)
        for trial, success in enumerate((True, False)):
            ledger.record(make_trajectory(tasks[0], trial, success=success))
            ledger.record(make_trajectory(tasks[1], trial, agent="other", success=True))
    found = measure(tasks, rates_by_agent([tmp_path]))
    assert [dict(one.agents) for one in found] == [{"cheap": (1, 2)}, {"other": (2, 2)}, {}]
    assert [one.rate for one in found] == [0.5, 1.0, None]
    assert mean_rates(found) == {"cheap": 0.5, "other": 1.0}
    assert found[0].row()["agents"] == {"cheap": 0.5}


def test_part_of_a_dataset_is_a_dataset(dataset: Dataset, tmp_path: Path) -> None:
    ids = [task.id for task in dataset.tasks[5:40:7]]
    dataset.part(ids, "only these").save(tmp_path / "part")
    part = load_dataset(tmp_path / "part")
    assert [task.id for task in part.tasks] == [proof.task for proof in part.proofs] == ids
    assert set(part.worlds) == {task.world for task in part.tasks}
    assert (part.recipe.stopped, part.recipe.seed) == ("only these", dataset.recipe.seed)
