"""Grading stored episodes again: another rubric or another grader, the same behaviour, no model.

Each episode is replayed in a fresh world to get its last state, then graded by the task as it is now. That is
fair only where agent and user would have met the same: a task may differ in its rubric and in what the agent never
meets (`UNSEEN`), and nowhere else. A judge's verdicts are taken over where the criterion is the same; a new judge
criterion needs a run of its own. Anything that cannot be graded again raises `UsageError`, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mocktrial.envs.episode import Limits
from mocktrial.envs.grading import grade, reward_of
from mocktrial.envs.replay import follow, replay_episode
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Grade, Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import Frozen

UNSEEN = frozenset({"rubric", "gold", "violation", "split", "provenance", "difficulty", "family", "domain"})


class Change(Frozen):
    """An episode whose grade came out otherwise."""

    task: str
    agent: str
    trial: int
    before: float  # reward
    after: float
    criteria: tuple[str, ...]  # those that came, went, or turned: "booked: no -> yes"


async def regrade(old: Ledger, tasks: Sequence[Task], images: Mapping[str, WorldImage], new: Ledger) -> list[Change]:
    """Grade all episodes of `old` by `tasks` (found by id) into `new`, and return what changed.

    Episodes without a result are taken over as they are. All are graded before the first is written.
    """
    known = old.tasks()
    current = {task.id: task for task in tasks}
    limits = Limits.model_validate(old.config.get("limits") or {})
    grades: list[Grade | None] = []
    played: dict[str, Task] = {}
    for trajectory in old.trajectories():
        before = known[trajectory.task_hash]
        task = played[before.id] = _counterpart(before, current)
        found = None
        if trajectory.grade is not None:
            found = await _grade_again(task, images[task.world], trajectory, limits)
            found = _with_verdicts(before, task, found, trajectory.grade)
        grades.append(found)
    new.add_tasks(played.values())
    changes: list[Change] = []
    for trajectory, found in zip(old.trajectories(), grades, strict=True):
        hashed = played[trajectory.task_id].content_hash()
        after = trajectory.model_copy(update={"task_hash": hashed, "grade": found})
        changes += _change(trajectory, after)
        new.record(after)
    return changes


def _counterpart(played: Task, current: Mapping[str, Task]) -> Task:
    """The task as it is now, if it is still the one that was played."""
    task = current.get(played.id)
    if task is None:
        raise UsageError(f"there is no task {played.id} any more", hint="name a dataset that has it: --dataset DIR")
    before, after = (one.model_dump(mode="json", exclude=set(UNSEEN)) for one in (played, task))
    changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if changed:
        raise UsageError(
            f"task {played.id} is another one now: it differs in {', '.join(changed)}",
            hint="only a rubric can be graded again; play the changed tasks with mocktrial run",
        )
    return task


async def _grade_again(task: Task, image: WorldImage, trajectory: Trajectory, limits: Limits) -> Grade:
    async with replay_episode(task, image, trajectory, limits) as episode:
        replayed = await follow(episode, trajectory)
        if replayed.difference:
            raise UsageError(
                f"{task.id}, trial {trajectory.trial} does not replay: {replayed.difference}",
                hint="mocktrial replay shows it; the run was made by another version, or its record was changed",
            )
        return grade(task, episode.world, trajectory.events, trajectory.writes)


def _with_verdicts(played: Task, task: Task, found: Grade, before: Grade) -> Grade:
    """The grade with the verdicts that a judge gave when the episode was played; it is asked where predicates hold."""
    if not task.rubric.judged() or not _predicates_hold(found):
        return found
    same = {one.id for one in task.rubric.judged() if one in played.rubric.judged()} if _predicates_hold(before) else {}
    verdicts = {one.id: one for one in before.criteria if one.id in same}
    results = [verdicts.get(one.id, one) for one in found.criteria]
    missing = next((one.id for one in results if one.kind == "judge" and one.id not in verdicts), None)
    if missing is not None:
        raise UsageError(f"task {task.id}: no judge decided {missing}", hint="play it with mocktrial run --judge")
    reward = reward_of(results)
    update = {"criteria": tuple(results), "reward": reward, "success": reward == 1.0, "judge": before.judge}
    return found.model_copy(update=update)


def _predicates_hold(grade: Grade) -> bool:
    return all(one.passed for one in grade.criteria if one.kind != "judge")


def _change(before: Trajectory, after: Trajectory) -> Iterator[Change]:
    first, second = before.grade, after.grade
    if first is None or second is None or first == second:
        return
    held = [{one.id: "yes" if one.passed else "no" for one in grade.criteria} for grade in (first, second)]
    names = dict.fromkeys((*held[0], *held[1]))
    turned = [
        f"{name}: {held[0].get(name, 'absent')} -> {held[1].get(name, 'absent')}"
        for name in names if held[0].get(name) != held[1].get(name)
    ]  # fmt: skip
    if turned or first.reward != second.reward:
        yield Change(
            task=before.task_id, agent=before.agent, trial=before.trial,
            before=first.reward, after=second.reward, criteria=tuple(turned),
        )  # fmt: skip
