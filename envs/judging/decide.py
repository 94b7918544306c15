"""`judge_episode`: the judge criteria of a graded episode, decided after its end.

Predicates come first: where one of them fails, the episode has failed whatever a judge says, so the judge is not
asked. That saves its price, and an episode that did the wrong thing cannot talk its way to more reward: its judge
criteria stay unheld.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mocktrial.envs.grading import reward_of
from mocktrial.envs.judging.judge import Judge
from mocktrial.envs.rubric import JudgeCriterion
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError


def require_judge(tasks: Sequence[Task], judge: Judge | None) -> None:
    """Raises `UsageError` where a task has judge criteria and there is no judge."""
    if judge is None:
        for task in tasks:
            if task.rubric.judged():
                raise UsageError(f"task {task.id} has a judge criterion, and there is no judge", hint=_HINT)


_HINT = "mocktrial run --judge openai:MODEL plays it; mocktrial certify-judge measures the judge"


async def judge_episode(judge: Judge, task: Task, trajectory: Trajectory) -> Trajectory:
    """The trajectory with its judge criteria decided, the reward taken anew, and the judge's pin in the grade.

    One without judge criteria, or without a result, comes back as it is. Raises `NoResult(blame="judge")`.
    """
    grade = trajectory.grade
    if grade is None or not task.rubric.judged():
        return trajectory
    failed = next((result.id for result in grade.criteria if result.kind != "judge" and not result.passed), None)
    results = []
    for criterion, result in zip(task.rubric.criteria(), grade.criteria, strict=True):
        if not isinstance(criterion, JudgeCriterion):
            results.append(result)
        elif failed is not None:
            results.append(replace(result, passed=False, evidence=f"not asked: {failed} fails"))
        else:
            decision = await judge.decide(criterion, trajectory.messages, trajectory.seed)
            results.append(replace(result, passed=decision.passed, evidence=decision.evidence()))
    reward = reward_of(results)
    judged = grade.model_copy(
        update={"criteria": tuple(results), "reward": reward, "success": reward == 1.0, "judge": judge.pin}
    )
    return trajectory.model_copy(update={"grade": judged})
