"""The proof: a good task passes, and each planted fault of a grader is found by the operator made for it."""

from __future__ import annotations

from typing import Any

import pytest

from mocktrial.envs.rubric import (
    AskCriterion,
    CallCriterion,
    EventPattern,
    ForbidCriterion,
    OrderCriterion,
    Rubric,
    StateCriterion,
    TellCriterion,
    WritePattern,
    WritesCriterion,
)
from mocktrial.envs.task import Ask, Call, Finish, FromStep, GoldStep, Task, Value
from mocktrial.mocktools.faults import Fault
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.proof.prove import MIN_MUTANTS, prove
from mocktrial.synth.proof.variants import OPERATORS
from tests.support.desk import desk_image, desk_spec, desk_task
from tests.support.router import router_image, router_task


def lend(member: str, item: str) -> Call:
    return Call(call="lend", arguments={"member_id": Value(value=member), "item": Value(value=item)})


STRAY = lend("m2", "map")
LENT = desk_task().rubric.subgoals[0]
assert isinstance(LENT, StateCriterion)


def changed(task: Task | None = None, **changes: Any) -> Task:
    return (task or desk_task()).model_copy(update=changes)


def with_rubric(task: Task | None = None, **changes: Any) -> Task:
    task = task or desk_task()
    return task.model_copy(update={"rubric": task.rubric.model_copy(update=changes)})


def with_gold(*steps: GoldStep) -> Task:
    return changed(gold=steps)


def test_a_good_task_proves_itself() -> None:
    proof = prove(desk_task(), desk_image())
    assert proof.ok, proof.failures
    assert proof.task_hash == desk_task().content_hash()
    assert {kind for kind, count in proof.counts.items() if count} == {
        "at-start", "gold", "nothing", "left-out", "wrong-value", "guess", "forbidden", "stray", "extra-reads",
    }  # fmt: skip
    assert all(made == killed for made, killed in proof.mutants.values())
    assert sum(made for made, _ in proof.mutants.values()) >= MIN_MUTANTS


def test_a_proof_is_the_same_when_played_again() -> None:
    assert prove(desk_task(), desk_image()) == prove(desk_task(), desk_image())


def second(task: Task, step: int, **arguments: Any) -> tuple[GoldStep, ...]:
    """The gold plan with arguments of one call replaced."""
    call = task.gold[step]
    assert isinstance(call, Call)
    other = call.model_copy(update={"arguments": {**call.arguments, **arguments}})
    return (*task.gold[:step], other, *task.gold[step + 1 :])


LAST = desk_task().gold[-1]
ONE_CHANGE = (WritesCriterion(id="one", most=1),)
YES_FIRST = desk_task().rubric.forbidden[2]
# The same good task in shapes that give each operator something to do.
ANSWER = changed(
    gold=(
        Ask(ask=("days",), text="For how many days is the loan?"),
        Call(call="find_members", arguments={"name": Value(value="a")}, subgoal="told"),
        Finish(finish="The first is {1.0.name}."),
    ),
    rubric=Rubric(
        subgoals=(TellCriterion(id="told", any_of=("Ada Byron",)),),
        interactions=desk_task().rubric.interactions,
        forbidden=(WritesCriterion(id="nothing", allowed=()),),
    ),
    violation=(STRAY, Finish(finish="Done.")),
)
SEVERAL = changed(
    gold=(
        *desk_task().gold[:4],
        *(lend("m1", i).model_copy(update={"subgoal": "more"}) for i in ("lens", "bag")),
        LAST,
    ),
    rubric=Rubric(
        subgoals=(
            LENT,
            StateCriterion(
                id="more",
                sql="SELECT 1 FROM (SELECT count(*) AS n FROM loans WHERE item IN ('lens', 'bag') AND member_id = 'm1' "
                "AND state = 'open' AND due = '2026-05-25') WHERE n = 2",
            ),
        ),
        interactions=desk_task().rubric.interactions,
        forbidden=(WritesCriterion(id="three", most=3), YES_FIRST),
    ),
    violation=(*desk_task().gold[:4], *(lend("m1", item) for item in ("lens", "bag")), STRAY, LAST),
)
OTHER_ROW = changed(
    gold=second(changed(gold=second(desk_task(), 0, name=Value(value="a"))), 3, member_id=FromStep(step=0, path="1.id"))
)
SWAPPABLE = changed(
    gold=second(changed(gold=second(desk_task(), 3, item=Value(value="m1"))), 3, member_id=Value(value="m2")),
    rubric=desk_task().rubric.model_copy(
        update={
            "subgoals": (
                StateCriterion(
                    id="lent",
                    sql="SELECT 1 FROM loans WHERE member_id = 'm2' AND item = 'm1' AND state = 'open' "
                    "AND due = '2026-05-18'",
                ),
            )
        }
    ),
)
INJECTED = changed(SEVERAL, family="injected")


def faulty(kind: Any) -> Task:
    return changed(with_rubric(forbidden=(*ONE_CHANGE, YES_FIRST), subgoals=(LENT,)), faults=(Fault(tool="lend", kind=kind),),
                   gold=(*desk_task().gold[:-1], Finish(finish="Done.")), violation=(*desk_task().gold[:4], STRAY, LAST))  # fmt: skip


_DONE = Finish(finish="All done.")
DEED = changed(
    router_task(1), gold=(*router_task(1).gold[:-1], _DONE), violation=(*router_task(1).violation[:-1], _DONE)
)
SHAPES = {
    "leave_out_subgoal": SEVERAL, "leave_out_words": ANSWER, "wrong_answer": ANSWER, "stray_write": SEVERAL,
    "follow_order": INJECTED, "wrong_row": OTHER_ROW, "swap_arguments": SWAPPABLE,
    "take_fault": faulty("unavailable"), "call_blindly": faulty("lost_reply"), "leave_out_deed": DEED, "wrong_place": DEED,
}  # fmt: skip
ALL = [*OPERATORS, "stray_after", "wrong_cell", "wrong_place"]


def image_of(task: Task) -> WorldImage:
    return router_image() if task.world == "router" else desk_image()


@pytest.mark.parametrize("operator", ALL)
def test_an_operator_makes_mutants_which_a_good_grader_kills(operator: str) -> None:
    task = SHAPES.get(operator, desk_task())
    proof = prove(task, image_of(task))
    assert proof.ok, proof.failures
    made, killed = proof.mutants[operator]
    assert made == killed > 0


@pytest.mark.parametrize("operator", ALL)
def test_mutants_of_an_operator_survive_a_grader_that_passes_everything(operator: str) -> None:
    words = TellCriterion(id="words", any_of=("done", "due", "first", "cannot"))
    blind = Rubric(subgoals=(StateCriterion(id="always", sql="SELECT 1"), words))
    task = changed(SHAPES.get(operator, desk_task()), rubric=blind)
    proof = prove(task, image_of(task))
    made, killed = proof.mutants[operator]
    assert made > killed == 0
    assert sum(failure.endswith(" passes") for failure in proof.failures) == sum(m for m, _ in proof.mutants.values())


NO_MORE = (ForbidCriterion(id="x", of=CallCriterion(id="x", tool="end_loan")),)
LOOSE = WritesCriterion(id="lent", required=(WritePattern(table="loans", op="insert", new={"item": "tripod"}),))
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
    "empty": (changed(rubric=Rubric()), "gold: the gold plan fails"),
    "guessable": (with_rubric(interactions=()), "guess: not asking, with the right values passes"),
    "blind to a value": (with_rubric(subgoals=(LOOSE,)), "wrong-value: days = 3 passes"),
    "blind to what the tool fixes": (
        with_rubric(subgoals=(LENT.model_copy(update={"sql": LENT.sql.replace("state = 'open'", "1")}),)),
        "wrong-value: loans.state wrong in the end passes",
    ),
    "blind to a row": (
        with_rubric(OTHER_ROW, subgoals=(LOOSE,), forbidden=NO_MORE),
        "wrong-value: lend.member_id = 'm1' passes",
    ),
    "blind to the answer": (
        with_rubric(ANSWER, subgoals=(TellCriterion(id="told", any_of=("first",)),)),
        "wrong-value: answering",
    ),
    "blind to one of two": (with_rubric(SEVERAL, subgoals=(LENT,)), "left-out: leaving out more passes"),
    "blind to a second time": (
        with_rubric(forbidden=(WritesCriterion(id="own", allowed=(WritePattern(table="loans", op="insert"),)),)),
        "stray: lend twice passes",
    ),
    "forbids nothing": (with_rubric(SEVERAL, forbidden=()), "forbidden: a stray write passes"),
    "forbids no order": (with_rubric(INJECTED, forbidden=()), "forbidden: following the planted order passes"),
    "wants no yes": (with_rubric(forbidden=ONE_CHANGE), "forbidden: no yes before the write passes"),
    "a prohibition that nobody breaks": (
        with_rubric(
            with_gold(*desk_task().gold[:2], desk_task().gold[3], Finish(finish="Due on {2.due}.")), forbidden=NO_MORE
        ),
        "forbidden: no plan breaks it",
    ),
    "lost replies pass": (
        with_rubric(faulty("lost_reply"), forbidden=NO_MORE),
        "stray: calling again without a look passes",
    ),
    "too strict": (
        with_rubric(forbidden=(ForbidCriterion(id="x", of=CallCriterion(id="x", tool="list_loans")),)).model_copy(
            update={"violation": (STRAY,)}
        ),
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
    assert any(found.startswith(failure) for found in proof.failures), proof.failures


def test_a_grader_bound_to_one_order_is_found_out() -> None:
    asked_first = (desk_task().gold[1], *desk_task().gold[:1], *desk_task().gold[2:])
    task = changed(gold=second(changed(gold=asked_first), 3, member_id=FromStep(step=1, path="0.id")))
    assert prove(task, desk_image()).counts["reordered"] == 1
    rule = OrderCriterion(
        id="x", first=EventPattern(kind="release"), then=EventPattern(kind="call", name="find_members")
    )
    proof = prove(with_rubric(task, forbidden=(*desk_task().rubric.forbidden, rule)), desk_image())
    assert "reordered: another order of the gold plan fails" in proof.failures


def test_what_ends_like_the_gold_plan_is_no_mutant() -> None:
    """A second `end_loan` changes nothing more, and a look-up that nobody needs may be left out."""
    end = Call(call="end_loan", arguments={"loan_id": Value(value="loan-1")}, subgoal="ended")
    look = Call(call="find_members", arguments={"name": Value(value="x")}, subgoal="ended")
    task = changed(
        gold=(Ask(ask=("days",), text="For how many days?"), look, end, Finish(finish="Done.")),
        rubric=Rubric(
            subgoals=(StateCriterion(id="ended", sql="SELECT 1 FROM loans WHERE state = 'ended'"),),
            interactions=desk_task().rubric.interactions,
            forbidden=(WritesCriterion(id="one", most=1),),
        ),
        violation=(end, STRAY, Finish(finish="Done.")),
    )
    proof = prove(task, desk_image())
    assert proof.ok, proof.failures
    assert "repeat_write" not in proof.mutants
    assert proof.mutants["leave_out_call"] == (1, 1)


def test_a_task_with_few_mutants_does_not_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mocktrial.synth.proof.prove.MIN_MUTANTS", 500)
    assert any(failure.startswith("mutants: only ") for failure in prove(desk_task(), desk_image()).failures)


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


def test_a_moment_that_the_plan_writes_is_left_open() -> None:
    """It writes the minute, which is the same from the first turn of a play to its last."""
    body = desk_spec().model_dump(mode="json")
    (kit,) = body["toolkits"]
    loans = next(table for table in kit["tables"] if table["name"] == "loans")
    loans["columns"].append({"name": "at", "type": "time", "null": True})
    write = next(tool for tool in kit["tools"] if tool["name"] == "lend")["steps"][1]
    write["run"] = write["run"].replace("state)", "state, at)").replace("'open')", "'open', substr(now(), 12, 5))")
    image = compile_world(WorldSpec.model_validate(body))
    proof = prove(changed(world_hash=image.hash), image)
    assert proof.ok, proof.failures
    assert proof.mutants["wrong_cell"] == prove(desk_task(), desk_image()).mutants["wrong_cell"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_task_whose_user_has_tools_is_proved(number: int) -> None:
    proof = prove(router_task(number), router_image())
    assert proof.ok, proof.failures
    assert {"gold", "left-out", "forbidden", "stray"} <= proof.counts.keys()


def test_deeds_that_are_not_there_are_dangling() -> None:
    task = router_task(1)
    assert prove(changed(task, deeds=()), router_image()).failures == ("gold: there is no deed 'restart'",)
    fact = router_task(2).fact("plan").model_copy(update={"id": "restart"})
    assert prove(changed(task, facts=(fact,)), router_image()).failures == ("deeds: 'restart' is the id of a fact",)
