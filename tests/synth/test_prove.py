"""The proof: a good task passes, and each planted fault of a grader is found under its own name."""

from __future__ import annotations

from typing import Any

import pytest

from mocktrial.envs.dataset import Dataset
from mocktrial.envs.rubric import (
    AskCriterion,
    CallCriterion,
    Criterion,
    ForbidCriterion,
    Rubric,
    StateCriterion,
    TellCriterion,
)
from mocktrial.envs.task import Ask, Call, GoldStep, Task, Value
from mocktrial.synth.prove import prove
from tests.support.desk import desk_image, desk_task

STRAY = Call(
    call="lend", arguments={name: Value(value=value) for name, value in (("member_id", "m2"), ("item", "map"))}
)


def with_rubric(**changes: Any) -> Task:
    task = desk_task()
    return task.model_copy(update={"rubric": task.rubric.model_copy(update=changes)})


def without_values(task: Task) -> Criterion:
    """The desk's first subgoal, blind to the number of days."""
    first = task.rubric.subgoals[0]
    assert isinstance(first, StateCriterion)
    return StateCriterion(
        id="lent",
        sql="SELECT 1 FROM loans WHERE member_id = :member AND item = :item",
        values={"member": "m2", "item": "tripod"},
    )


def test_a_good_task_proves_itself() -> None:
    proof = prove(desk_task(), desk_image())
    assert proof.ok, proof.failures
    assert proof.task_hash == desk_task().content_hash()
    assert {kind: count for kind, count in proof.counts.items() if count} == {
        "at-start": 1, "gold": 1, "nothing": 2, "left-out": 1, "wrong-value": 3, "guess": 2, "forbidden": 1,
        "extra-reads": 1,
    }  # fmt: skip


BAD: dict[str, tuple[Task, str]] = {
    "true before the first action": (
        with_rubric(subgoals=(StateCriterion(id="always", sql="SELECT 1"), *desk_task().rubric.subgoals)),
        "at-start: always",
    ),
    "served by no call": (
        with_rubric(subgoals=(*desk_task().rubric.subgoals, CallCriterion(id="looked", tool="find_members"))),
        "left-out: looked holds whichever call is left out",
    ),
    "vacuous": (with_rubric(subgoals=()), "left-out: leaving out lend passes"),
    "empty": (desk_task().model_copy(update={"rubric": Rubric()}), "gold: the gold plan fails"),
    "guessable": (with_rubric(interactions=()), "guess: not asking, with the right values passes"),
    "blind to a value": (
        with_rubric(subgoals=(without_values(desk_task()),)),
        "wrong-value: days = 3 passes",
    ),
    "forbids nothing": (
        with_rubric(forbidden=()).model_copy(
            update={"violation": (*desk_task().gold[:-1], STRAY, desk_task().gold[-1])}
        ),
        "forbidden: a stray write passes",
    ),
    "a prohibition that nobody breaks": (
        desk_task().model_copy(update={"gold": tuple(s for s in desk_task().gold if not hasattr(s, "confirm"))}),
        "forbidden: no plan breaks it",
    ),
    "too strict": (
        with_rubric(
            forbidden=tuple(ForbidCriterion(id=tool, of=CallCriterion(id=tool, tool=tool)) for tool in ("list_loans",))
        ).model_copy(update={"violation": (STRAY,), "seed": 3}),
        "extra-reads: harmless reads fails",
    ),
    "unreachable": (
        with_rubric(subgoals=(TellCriterion(id="magic", any_of=("abracadabra",)),)),
        "gold: the gold plan fails",
    ),
    "broken SQL": (
        with_rubric(subgoals=(StateCriterion(id="broken", sql="SELECT none FROM loans"),)),
        "no-result: no such column",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_task_is_found_out(name: str) -> None:
    task, failure = BAD[name]
    proof = prove(task, desk_image())
    assert not proof.ok
    assert any(found.startswith(failure) for found in proof.failures), proof.failures


def with_gold(*steps: GoldStep) -> Task:
    return desk_task().model_copy(update={"gold": steps})


DANGLING = [
    (with_gold(*desk_task().gold[:-1]), "gold: does not end with finish"),
    (with_gold(), "gold: does not end with finish"),
    (with_gold(Ask(ask=("colour",), text="Which?"), *desk_task().gold[1:]), "gold: there is no fact 'colour'"),
    (with_gold(*desk_task().gold[1:]), "gold: step 2 refers to step 0, no earlier call"),
    (with_rubric(interactions=(AskCriterion(id="a", fact="colour"),)), "gold: there is no fact 'colour'"),
]


@pytest.mark.parametrize(("task", "failure"), DANGLING)
def test_a_task_that_refers_to_nothing_is_not_played(task: Task, failure: str) -> None:
    proof = prove(task, desk_image())
    assert failure in proof.failures
    assert proof.counts == {}


def test_every_shipped_proof_played_every_kind(dataset: Dataset) -> None:
    kinds = {"at-start", "gold", "nothing", "left-out", "wrong-value", "guess", "forbidden", "extra-reads"}
    for task, proof in zip(dataset.tasks, dataset.proofs, strict=True):
        assert proof.ok
        assert proof.task == task.id
        assert {kind for kind, count in proof.counts.items() if count} == kinds, task.id


def test_a_proof_is_the_same_when_played_again(dataset: Dataset) -> None:
    for task, proof in list(zip(dataset.tasks, dataset.proofs, strict=True))[::40]:
        assert prove(task, dataset.image(task)) == proof
