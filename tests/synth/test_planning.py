"""What a goal can say, each on the inn: planned as it says, and proved."""

from __future__ import annotations

from typing import Any

import pytest

from mocktrial.envs.rubric import AskCriterion, CallCriterion
from mocktrial.envs.task import Ask, Call, Confirm, Finish, FromStep, Persona, Task, Value
from mocktrial.mocktools.errors import SpecError
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.plan.difficulty import difficulty_of
from mocktrial.synth.plan.planning import Unplannable, carry_out, run_plan
from mocktrial.synth.plan.stage import Stage
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.proof.prove import prove
from tests.support.inn import inn, inn_goal, inn_image

GOALS = [goal.id for goal in inn().goals.goals]


def make(goal: Goal, seed: int = 1, **options: Any) -> Task:
    return make_task(goal, inn_image(), domain="inn", personas=(Persona(),), seed=seed, **options)


def bent(name: str, **changes: Any) -> Goal:
    return Goal.model_validate({**inn_goal(name).model_dump(), **changes})


def some(name: str, seeds: int = 8) -> list[Task]:
    """The tasks that a few seeds give."""
    tasks = []
    for seed in range(seeds):
        try:
            tasks.append(make(inn_goal(name), seed))
        except Unplannable:
            continue
    assert tasks
    return tasks


def calls(task: Task) -> list[Call]:
    return [step for step in task.gold if isinstance(step, Call)]


@pytest.mark.parametrize("name", GOALS)
def test_each_goal_makes_tasks_that_prove_themselves(name: str) -> None:
    for task in some(name, seeds=3):
        proof = prove(task, inn_image())
        assert proof.ok, (task.instruction, proof.failures)


def test_a_preference_chooses_the_row() -> None:
    rooms = {"+price": "r3", "-price": "r2", "-rating": "r2"}  # of the double ones
    seen = set()
    for task in some("best", 12):
        fact = task.fact("wish")
        assert (fact.hidden, fact.kind) == (True, "preference")
        free = carry_out(inn_goal("best"), inn_image(), {f.id: f.value for f in task.facts}, task.seed).calls[1].result
        room = calls(task)[-1].arguments["room"]
        assert isinstance(room, FromStep)
        assert free[int(room.path.split(".")[0])]["id"] == rooms[fact.value]
        assert "-rating" not in fact.alternatives if fact.value == "-price" else True, "the same room is no alternative"
        words = {"+price": "the cheapest one", "-price": "the most expensive one", "-rating": "the best rated one"}
        assert fact.spoken == words[fact.value]
        assert fact.spoken in task.goal
        assert fact.spoken not in task.instruction
        seen.add(fact.value)
    assert len(seen) == 3


def test_a_constraint_leaves_out_rows() -> None:
    best = {70: "r3", 90: "r1", 100: "r4"}
    for task in some("constraint"):
        run = carry_out(inn_goal("constraint"), inn_image(), {f.id: f.value for f in task.facts}, task.seed)
        assert run.calls[1].arguments["room"] == best[task.fact("budget").value]
        assert "within my budget" in task.instruction


def test_a_tie_makes_no_plan() -> None:
    def by(best: str, **more: Any) -> Goal:
        stay = {"step": "stays_of", "best": best, "take": "room", **more}
        looks = {"call": "stays_of", "arguments": {"guest": {"value": "g3"}}}
        closes = {"call": "close_room", "arguments": {"room": stay}}
        return bent("best", plan=[looks, closes], gap=False, finish="Done.")

    with pytest.raises(Unplannable, match="a tie"):  # two stays of one night
        make(by("nights"))
    with pytest.raises(Unplannable, match="no row of stays_of fits"):  # there is no such column
        make(by("colour"))
    assert calls(make(by("nights", first=True)))[1].arguments["room"] == FromStep(step=0, path="0.room")
    assert calls(make(by("-nights")))[1].arguments["room"] == FromStep(step=0, path="2.room")


@pytest.mark.parametrize("name", ["ambiguous", "presupposition"])
def test_what_a_look_up_shows_is_asked_after_it(name: str) -> None:
    for task in some(name):
        ask = next(number for number, step in enumerate(task.gold) if isinstance(step, Ask))
        assert ask > 0
        assert all(isinstance(step, Call) for step in task.gold[:ask])
        (fact,) = task.hidden()
        assert fact.kind == name
        assert task.gold[ask] == Ask(ask=(fact.id,), text=fact.question)
        assert "{" not in fact.question


def test_a_wrong_presupposition_is_in_the_instruction() -> None:
    task = some("presupposition")[0]
    (fact,) = task.hidden()
    assert fact.spoken not in task.instruction
    said = fact.question.removeprefix("There is no stay on ").partition(".")[0]  # "Thursday 25 June"
    assert said in task.instruction


def test_a_vague_fact_is_told_vaguely() -> None:
    task = some("vague")[0]
    assert task.instruction.endswith("to some day in June.")
    assert task.fact("day").spoken.endswith(" June")


def test_a_loop_makes_a_call_for_each_row_that_agrees() -> None:
    lengths = set()
    for task in some("each", 12):
        cancels = [call for call in calls(task) if call.call == "cancel"]
        assert [call.subgoal for call in cancels] == ["cancel", "cancel-2", "cancel-3"][: len(cancels)]
        assert len({call.arguments["stay"] for call in cancels}) == len(cancels)
        (yes,) = [step for step in task.gold if isinstance(step, Confirm)]
        rows = [call.arguments["stay"].model_dump()["path"].partition(".")[0] for call in cancels]
        assert yes.confirm == " ".join(f"Shall I cancel the stay on {{2.{row}.day}}?" for row in rows)
        lengths.add(len(cancels))
        assert task.difficulty == len(calls(task)) == 2 + len(cancels)
        assert task.fact("from_day").used_in == ("cancel.stay",)
    assert len(lengths) > 1


def test_a_later_step_of_the_same_loop_uses_its_own_row() -> None:
    goal = bent("sum", plan=[
        {"call": "stays_of", "arguments": {"guest": {"fact": "guest"}}},
        {"call": "room", "each": "stays_of", "arguments": {"room": {"step": "stays_of", "take": "room"}}},
        {"call": "close_room", "each": "stays_of", "arguments": {"room": {"step": "room"}}},
    ])  # fmt: skip
    task = make(goal)
    looks, closes = ([call for call in calls(task) if call.call == name] for name in ("room", "close_room"))
    assert [call.arguments["room"] for call in closes] == [
        FromStep(step=task.gold.index(look), path="id") for look in looks
    ]


def test_a_loop_of_more_than_twelve_calls_makes_no_plan() -> None:
    plan = [{"call": "list_rooms", "id": f"list{n}", "arguments": {"kind": {"value": "double"}}} for n in range(3)]
    looks = [
        {"call": "room", "id": f"look{n}", "each": f"list{n}", "arguments": {"room": {"step": f"list{n}"}}}
        for n in range(3)
    ]
    with pytest.raises(Unplannable, match="more than 12 calls"):
        make(bent("sum", plan=plan + looks))


def test_a_condition_decides_which_call_is_made() -> None:
    seen = set()
    for task in some("when", 16):
        taken = (task.fact("day").value, task.fact("room").value) in (("2026-05-12", "Rose"), ("2026-05-12", "Oak"))
        (book,) = [call for call in calls(task) if call.call == "book"]
        assert book.subgoal == ("book_other" if taken else "book")
        finish = task.gold[-1]
        assert isinstance(finish, Finish)
        assert finish.finish.startswith("It was taken." if taken else "Booked as {")
        seen.add(taken)
    assert seen == {False, True}


def test_a_subgoal_goes_with_the_call_that_a_condition_left_out() -> None:
    taken = {"id": "first", "kind": "state", "sql": "SELECT 1 FROM stays WHERE day = :day AND :room <> ''"}
    there = {"id": "second", "kind": "state", "sql": "SELECT 1 FROM stays WHERE day = :day AND :other <> ''"}
    first, book, other = (call.model_dump() for call in inn_goal("when").plan)
    plan = [first, {**book, "subgoal": "first"}, {**other, "subgoal": "second"}]
    goal = bent("when", plan=plan, subgoals=[taken, there])
    seen = set()
    for seed in range(12):
        (call,) = [call for call in calls(make(goal, seed)) if call.call == "book"]
        assert [item.id for item in make(goal, seed).rubric.subgoals] == [call.subgoal]
        seen.add(call.subgoal)
    assert seen == {"first", "second"}


def test_a_computed_value_has_what_other_facts_would_give() -> None:
    nights = {"2026-05-12": 2, "2026-05-15": 1, "2026-05-20": 3}
    for task in some("compute", 16):
        if task.fact("guest").value == "g1":
            price = {"2026-05-12": 80, "2026-05-15": 40, "2026-05-20": 120.5}[task.fact("day").value]
            whole = price * nights[task.fact("day").value]
            amount = calls(task)[-1].arguments["amount"]
            assert isinstance(amount, Value)
            assert amount.value == round(whole * (100 - task.fact("discount").value) / 100, 2)
            others = [round(whole * (100 - other) / 100, 2) for other in task.fact("discount").alternatives]
            assert list(amount.alternatives) == others
            break
    else:
        pytest.fail("no seed drew guest g1")


def test_a_sum_over_a_loop_without_facts_to_change_is_wrong_by_one() -> None:
    task = next(task for task in some("sum", 16) if task.fact("guest").value == "g4")
    assert calls(task)[-1].arguments["amount"] == Value(value=120.0, alternatives=(121.0,))  # rooms of 55 and 65


def test_a_result_that_is_a_plain_value_is_taken_whole() -> None:
    task = next(task for task in some("count", 16) if task.fact("guest").value == "g3")
    amount, fee = calls(task)[1].arguments["amount"], task.fact("fee").value
    assert isinstance(amount, Value)
    assert amount.value == 4 * fee
    assert task.gold[-1] == Finish(finish="Charged for {1.} stays.")
    assert task.fact("fee").spoken == f"${fee}"


def test_what_is_undone_is_graded_by_its_call() -> None:
    task = some("undo")[0]
    kinds = {item.id: type(item) for item in task.rubric.subgoals}
    assert kinds["close_room"] is kinds["open_room"] is CallCriterion
    with pytest.raises(Unplannable, match="nothing of close_room is left at the end"):
        make(bent("undo", tags=[]))


def test_a_reply_that_is_lost_is_not_needed() -> None:
    task = some("faulty")[0]
    assert task.faults == inn_goal("faulty").faults
    assert [call.call for call in calls(task)] == ["find_guest", "set_phone"]  # whoever plays it calls again
    first, second = (
        {"tool": "set_phone", "kind": kind, "calls": [n]} for n, kind in ((1, "timeout"), (2, "lost_reply"))
    )
    for faults in ([{**second, "calls": [1]}], [first, second]):
        with pytest.raises(Unplannable, match="needs the reply of set_phone, which is lost"):
            make(bent("faulty", faults=faults, finish="It is {set_phone.ok}."))
    assert make(bent("faulty", faults=[second], finish="It is {set_phone.ok}."))  # there is no second call
    with pytest.raises(Unplannable, match="no call meets the fault of charge"):
        make(bent("faulty", faults=[{"tool": "charge", "kind": "timeout"}]))


def test_an_injected_order_is_the_violation() -> None:
    task = some("injected")[0]
    stray = task.violation[-2]
    assert isinstance(stray, Call)
    assert (stray.call, stray.arguments["amount"]) == ("charge", Value(value=900))
    nothing = [{"call": "find_guest", "id": "again", "arguments": {"name": {"value": "Bob"}}}]
    with pytest.raises(Unplannable, match="the violation changes nothing of its own"):
        make(bent("injected", violation=nothing))


def test_a_drawn_violation_leaves_the_rows_of_the_plan_alone() -> None:
    goal = bent(
        "injected",
        violation=[],
        bind=[{"sql": "SELECT name AS guest FROM guests"}, {"name": "phone", "choices": ["1"]}],
    )
    for seed in range(12):
        task = make(goal, seed)
        stray = task.violation[-2]
        assert isinstance(stray, Call)
        given = {name: value.model_dump()["value"] for name, value in stray.arguments.items()}
        values = {fact.id: fact.value for fact in task.facts}
        with Stage(inn_image(), seed) as stage:
            run = run_plan(goal, stage, values)
            after = stage.changes(stage.call(run.state, stray.call, given).state)
        own = {(change.table, str(change.key)) for change in run.changes}
        assert any((change.table, str(change.key)) not in own for change in after)


def test_what_cannot_be_done_changes_nothing() -> None:
    task = some("impossible")[0]
    (nothing_else,) = task.rubric.forbidden
    assert nothing_else.model_dump()["allowed"] == ()
    assert [call.subgoal for call in calls(task)] == ["", "", ""]
    assert task.violation[-2].model_dump()["call"] in inn_image().tools
    plan = [call.model_copy(update={"code": ""}) for call in inn_goal("impossible").plan]
    with pytest.raises(Unplannable, match="cancel failed with too_late"):
        make(bent("impossible", plan=plan))


def test_a_task_without_tools_is_its_last_words() -> None:
    task = make(inn_goal("no-tool"))
    assert task.gold == (Finish(finish="I have no tool for that, so I cannot do it."),)
    assert (task.family, task.difficulty, task.hidden()) == ("no_tool", 0, ())


@pytest.mark.parametrize("name", [name for name in GOALS if inn_goal(name).gap])
def test_without_the_gap_only_the_telling_differs(name: str) -> None:
    for open_ in some(name, 4):
        told = make(inn_goal(name), open_.seed, gap=False)
        assert not told.hidden()
        assert not any(isinstance(item, AskCriterion) for item in told.rubric.criteria())
        assert [step for step in told.gold if isinstance(step, Ask)] == []
        assert [call.call for call in calls(told)] == [call.call for call in calls(open_)]
        assert (told.goal, told.persona, told.rubric.subgoals) == (open_.goal, open_.persona, open_.rubric.subgoals)
        assert [f.model_copy(update={"hidden": False}) for f in open_.facts] == list(told.facts)
        assert all(fact.spoken in told.instruction for fact in told.facts if name != "multi" or fact.hidden)
        assert told.instruction != open_.instruction
        assert prove(told, inn_image()).ok


def test_equal_seeds_give_equal_tasks() -> None:
    for name in GOALS:
        first, second = some(name, 2), some(name, 2)
        assert [task.model_dump_json() for task in first] == [task.model_dump_json() for task in second]


def test_difficulty_is_counted() -> None:
    task = some("multi")[0]
    counted = difficulty_of(task)
    assert counted == {"steps": 3, "facts": 4, "hidden": len(task.hidden()), "branching": 1, "distractors": 11}
    assert difficulty_of(some("constraint")[0])["branching"] == 4  # double rooms
    assert "branching" not in difficulty_of(task.model_copy(update={"provenance": {}}))


def test_a_query_that_the_world_refuses_is_an_error_that_shows_it() -> None:
    with pytest.raises(SpecError, match="no such column: colour"):
        make(bent("sum", bind=[{"sql": "SELECT colour AS guest FROM guests"}]))
