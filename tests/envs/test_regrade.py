"""Regrading: the same behaviour under another rubric; nothing that was not played is graded."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.regrade import Change, regrade
from mocktrial.envs.report import read_run
from mocktrial.envs.rubric import JudgeCriterion, TellCriterion
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import CriterionResult
from mocktrial.mocktools.errors import UsageError
from tests.support.desk import desk_image
from tests.support.played import desk_tasks, play_run

TASKS = desk_tasks(3)
IMAGES = {TASKS[0].world: desk_image()}


def with_interaction(task: Task, criterion: TellCriterion | JudgeCriterion) -> Task:
    rubric = task.rubric.model_copy(update={"interactions": (*task.rubric.interactions, criterion)})
    return task.model_copy(update={"rubric": rubric})


async def graded_again(folder: Path, tasks: list[Task]) -> tuple[list[Change], list[tuple[str, float | None]]]:
    with read_run(folder) as old, Ledger.open(folder / "again.sqlite", {"regraded": True}) as new:
        changes = await regrade(old, tasks, IMAGES, new)
        return changes, [(row.task_id, row.reward) for row in new.episodes()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return play_run(tmp_path, Expert(), TASKS)


async def test_the_same_rubric_gives_the_same_grades(folder: Path) -> None:
    """Its predicates look at the last state, which only the calls made again bring about."""
    assert await graded_again(folder, TASKS) == ([], [("desk-0", 1.0), ("desk-1", 1.0), ("desk-2", 1.0)])


async def test_another_rubric_is_applied_to_what_was_played(folder: Path) -> None:
    greets = TellCriterion(id="greets", any_of=("good morning",))
    changes, rewards = await graded_again(folder, [with_interaction(TASKS[0], greets), *TASKS[1:]])
    (change,) = changes
    assert (change.task, change.before, change.criteria) == ("desk-0", 1.0, ("greets: absent -> no",))
    assert rewards[0][1] == pytest.approx(change.after)
    assert 0 < change.after < 1
    assert rewards[1:] == [("desk-1", 1.0), ("desk-2", 1.0)]


@pytest.mark.parametrize("field", ["instruction", "goal", "seed"])
async def test_a_task_that_was_not_played_is_not_graded(folder: Path, field: str) -> None:
    changed = TASKS[0].model_copy(update={field: 99 if field == "seed" else "Something else."})
    with pytest.raises(UsageError, match=f"desk-0 is another one now: it differs in {field}"):
        await graded_again(folder, [changed, *TASKS[1:]])
    with pytest.raises(UsageError, match="no task desk-2"):
        await graded_again(folder, TASKS[:2])
    with Ledger.read(folder / "again.sqlite") as again:
        assert again.episodes() == []


@pytest.fixture
def guessed(tmp_path: Path) -> Path:
    return play_run(tmp_path / "guessed", Guesser(), TASKS)


async def test_a_new_judge_criterion_needs_a_judge_only_where_predicates_hold(folder: Path, guessed: Path) -> None:
    asks = JudgeCriterion(id="kind", question="Is the agent kind?")
    judged = [with_interaction(task, asks) for task in TASKS]
    with pytest.raises(UsageError, match="no judge decided kind"):
        await graded_again(folder, judged)
    _, rewards = await graded_again(guessed, judged)
    assert all(reward is not None and reward < 1 for _, reward in rewards)


async def test_a_judges_verdict_is_taken_over(folder: Path) -> None:
    """The verdict stands in the stored grade; the criterion is the same."""
    judged = [with_interaction(task, JudgeCriterion(id="kind", question="Is the agent kind?")) for task in TASKS]
    with read_run(folder) as old, Ledger.open(folder / "judged.sqlite", {}) as new:
        new.add_tasks(judged)
        for task, trajectory in zip(judged, old.trajectories(), strict=True):
            assert trajectory.grade is not None
            yes = CriterionResult(id="kind", kind="judge", group="interaction", passed=True, evidence="quoted")
            grade = trajectory.grade.model_copy(update={"criteria": (*trajectory.grade.criteria, yes), "judge": "m@1"})
            new.record(trajectory.model_copy(update={"grade": grade, "task_hash": task.content_hash()}))
    with Ledger.read(folder / "judged.sqlite") as old, Ledger.open(folder / "after.sqlite", {}) as new:
        assert await regrade(old, judged, IMAGES, new) == []
        (first, *_) = new.trajectories()
    assert first.grade is not None
    assert (first.grade.success, first.grade.judge) == (True, "m@1")
    assert "quoted" in [one.evidence for one in first.grade.criteria]
