"""Twins: a predicate criterion of a task put as a question to a judge. The predicate knows the answer.

So a judge can be measured on the very tasks that it would grade. A criterion without a twin is one that a judge
cannot answer from a transcript with our rules of evidence: a call that must fail, an order, a question asked.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mocktrial.envs.rubric import (
    CallCriterion,
    Criterion,
    JudgeCriterion,
    Source,
    StateCriterion,
    TellCriterion,
    WritePattern,
    WritesCriterion,
)
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import CriterionResult, Trajectory
from mocktrial.mocktools.values import dumps
from mocktrial.mocktools.world import World

_ACTS: tuple[Source, ...] = ("call",)  # what was done shows in what was called; a result may hold planted words
_WORDS: tuple[Source, ...] = ("say",)


@dataclass(frozen=True)
class Case:
    """One question to a judge, with the truth. others: whether all other predicates of the episode hold."""

    task: str
    criterion: JudgeCriterion
    trajectory: Trajectory
    truth: bool
    others: bool


def twins_of(task: Task, world: World) -> dict[str, JudgeCriterion]:
    """Twins of the task's subgoals by id. world: as the gold plan leaves it, where a `tell` finds its values."""
    found = {criterion.id: _twin(criterion, task.goal or task.instruction, world) for criterion in task.rubric.subgoals}
    return {name: twin for name, twin in found.items() if twin is not None}


def cases_of(twins: dict[str, JudgeCriterion], trajectory: Trajectory) -> list[Case]:
    """A case for each twin in a scored episode, in the rubric's order."""
    results = trajectory.grade.criteria if trajectory.grade else ()
    return [
        Case(trajectory.task_id, twins[result.id], trajectory, result.passed, _others_hold(results, result))
        for result in results
        if result.group == "subgoal" and result.id in twins
    ]


def _others_hold(results: tuple[CriterionResult, ...], left_out: CriterionResult) -> bool:
    rest = [result for result in results if result is not left_out]
    return all(result.passed for result in rest)


def _twin(criterion: Criterion, goal: str, world: World) -> JudgeCriterion | None:
    sources: tuple[Source, ...] = _ACTS
    names: list[Any] = []
    words: dict[str, str] = {"goal": goal, "description": criterion.description}
    match criterion:
        case StateCriterion():
            names = list(criterion.values.values())
        case WritesCriterion(required=required) if required:
            words["changes"] = "; ".join(map(_change, required))
            names = [value for pattern in required for value in {**pattern.key, **pattern.new}.values()]
        case CallCriterion(code="", compare="typed"):
            words |= {"tool": criterion.tool, "arguments": dumps(criterion.arguments)}
            names = [criterion.tool]
        case TellCriterion():
            sources = _WORDS
            rows = world.query(criterion.sql, criterion.values) if criterion.sql else []
            names = [*criterion.any_of, *(row[0] for row in rows)]
            words["values"] = "; ".join(map(str, names))
        case _:
            return None
    wording = _wordings()["described" if criterion.description else criterion.kind]
    return JudgeCriterion(
        id=criterion.id,
        question=wording.format(**words),
        evidence=_wordings()["evidence"][criterion.kind],
        sources=sources,
        names=tuple(dict.fromkeys(map(str, names))),
    )


def _change(pattern: WritePattern) -> str:
    kind = {"insert": "a new row", "update": "a changed row", "delete": "a deleted row"}[pattern.op or "update"]
    return f"{kind} of {pattern.table} {dumps({**pattern.key, **pattern.new})}"


@cache
def _wordings() -> dict[str, Any]:
    text = (Path(__file__).parent / "prompts" / "twins.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
