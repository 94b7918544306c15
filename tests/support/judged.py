"""The desk's task with a criterion that only a judge decides, its episodes, and a judge that answers as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mocktrial.agents.base import Agent
from mocktrial.envs.episode import Episode
from mocktrial.envs.judging.asker import Question
from mocktrial.envs.judging.judge import Judge
from mocktrial.envs.rubric import JudgeCriterion, Rubric
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.values import dumps
from tests.support.desk import desk_image, desk_task

LENT = JudgeCriterion(id="judged", question="Was the tripod lent to Alan Mathison for 7 days?")


class Told:
    """An `Asker` that answers from a list, its last for good, or by a function; `asked` holds the questions."""

    name = "told"

    def __init__(self, *answers: str | Callable[[Question], str]) -> None:
        self._answers = answers
        self.asked: list[Question] = []

    async def answer(self, question: Question) -> str:
        self.asked.append(question)
        answer = self._answers[min(len(self.asked), len(self._answers)) - 1]
        return answer if isinstance(answer, str) else answer(question)


def verdict(score: int, *quotes: str) -> str:
    return dumps({"quotes": [{"part": 1, "text": quote} for quote in quotes], "reason": "r", "score": score})


def told(*answers: str | Callable[[Question], str]) -> tuple[Judge, Told]:
    asker = Told(*answers)
    return Judge(asker), asker


def judged_task(**criterion: Any) -> Task:
    task = desk_task()
    subgoals = (*task.rubric.subgoals, LENT.model_copy(update=criterion))
    return task.model_copy(update={"rubric": Rubric(**{**dict(task.rubric), "subgoals": subgoals})})


async def played(agent: Agent, task: Task) -> Trajectory:
    async with Episode(task, desk_image(), agent=agent.name) as episode:
        await agent.play(episode)
        episode.finish("finished")
        return episode.trajectory()
