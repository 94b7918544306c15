"""Which facts may be hidden, on a domain of one goal that each test bends."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from mocktrial.envs.task import Fact, Task
from mocktrial.mocktools.image import compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.blueprint import load_blueprint
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.form.steps import CallTemplate
from mocktrial.synth.plan.planning import PlanRun, Unplannable, alternatives_of, bind, run_plan, run_rest
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.plan.stage import Stage
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.plan.underspecify import Uses, names_used, telling_alternatives
from tests.support.home import GOAL, home
from tests.support.inn import inn_goal, inn_image


def make(world: WorldSpec, **changes: Any) -> Task:
    goal = Goal.model_validate({**GOAL, **changes})
    persona = load_blueprint("network").goals.personas
    return make_task(goal, compile_world(world), domain="network", personas=persona, seed=1)


def with_fact(**changes: Any) -> dict[str, Any]:
    return {"facts": [GOAL["facts"][0], {**GOAL["facts"][1], **changes}]}


TWO = (("Ann", "phone"), ("Ann", "laptop"), ("Ben", "phone"))


def test_a_choice_among_two_is_hidden() -> None:
    task = make(home(*TWO))
    assert task.instruction == "Limit a device of Ann to 10."
    (fact,) = task.hidden()
    assert isinstance(fact, Fact)
    assert (fact.id, fact.value, fact.alternatives) == ("kind", "phone", ("laptop",))
    assert (fact.used_in, fact.needed_by) == (("set_limit.device",), ("set_limit",))


UNHIDABLE = {
    "there is one candidate only": ((("Ann", "phone"), ("Ben", "phone")), {}),
    "the alternatives fail": (
        TWO,
        with_fact(alternatives="SELECT 'toaster' AS kind WHERE :owner = 'Ann'"),
    ),
    "the spoken form of another fact tells it": (
        TWO,
        {
            "facts": [
                {**GOAL["facts"][0], "spoken": "{} with the phone"},
                GOAL["facts"][1],
            ]
        },
    ),
    "it may not be hidden": (TWO, with_fact(hide=False)),
}


@pytest.mark.parametrize("name", UNHIDABLE)
def test_nothing_is_hidden_where(name: str) -> None:
    devices, changes = UNHIDABLE[name]
    with pytest.raises(Unplannable, match="no fact that must be asked for"):
        make(home(*devices), **changes)


def test_an_alternative_that_ends_in_the_same_state_is_none() -> None:
    """Both devices get the answer `true`: a fact that changes nothing needs no question."""
    told = {
        "plan": [
            {"call": "find_devices", "arguments": {"owner": {"fact": "owner"}}},
            {"call": "usage", "arguments": {"device": {"step": "find_devices", "where": {"kind": "kind"}}}},
        ],
        "finish": "Blocked: {usage.blocked}.",
    }
    with pytest.raises(Unplannable, match="no fact that must be asked for"):
        make(home(*TWO), **told)


def test_a_value_that_an_earlier_result_gives_away_is_not_hidden() -> None:
    """`usage` shows the GB; were they the hidden fact of a later call, no question would be needed."""
    given: dict[str, Any] = {
        "bind": [{"sql": "SELECT id AS device, gb AS mbps FROM devices WHERE id = 'n2'"}],
        "facts": [
            {"id": "device", "label": "the device", "question": "Which?", "hide": False},
            {
                "id": "mbps",
                "label": "the speed",
                "question": "How fast?",
                "alternatives": "SELECT 77 AS mbps WHERE :mbps > 0",
            },
        ],
        "plan": [
            {"call": "usage", "arguments": {"device": {"fact": "device"}}},
            {"call": "set_limit", "arguments": {"device": {"fact": "device"}, "mbps": {"fact": "mbps"}}},
        ],
        "wish": "Limit {device} to {mbps}.",
        "instructions": ["Limit {device}[ to {mbps}]."],
    }
    with pytest.raises(Unplannable, match="no fact that must be asked for"):
        make(home(*TWO), **given)
    task = make(home(*TWO), **{**given, "plan": given["plan"][1:]})
    assert [fact.id for fact in task.hidden()] == ["mbps"]


def test_two_rows_that_fit_make_no_plan() -> None:
    with pytest.raises(Unplannable, match="several rows of find_devices fit"):
        make(home(*TWO, ("Ann", "phone")))


def test_a_write_that_changes_nothing_makes_no_plan() -> None:
    block = {
        "plan": [
            {"call": "find_devices", "arguments": {"owner": {"fact": "owner"}}},
            {"call": "join", "arguments": {"device": {"step": "find_devices", "where": {"kind": "kind"}}, "wifi": {"value": "w1"}}},
        ]
    }  # fmt: skip
    with pytest.raises(Unplannable, match="join changes nothing"):
        make(home(*TWO), **block)


def test_a_fact_is_used_wherever_it_chooses() -> None:
    each, when = Uses(inn_goal("each")), Uses(inn_goal("when"))
    assert each.places("from_day") == ("cancel.stay",)
    cancel = inn_goal("each").plan[2]
    loop = CallTemplate.model_validate(
        {**cancel.model_dump(), "call": "move", "arguments": {**cancel.arguments, "day": {"value": 1}}}
    )
    assert names_used(loop) == {"from_day": ("stay",)}
    assert each.needed["cancel"] == {"guest", "from_day"}
    assert when.places("room") == ("book.room", "book.guest", "book.day", "book.nights")
    assert when.by_step["book_other"]["other"] == ("room",)
    assert Uses(inn_goal("best")).places("wish") == ("book.room",)
    assert Uses(inn_goal("compute")).places("discount") == ("charge.amount",)
    assert Uses(inn_goal("compute")).places("day") == ("charge.amount",)
    assert Uses(inn_goal("ambiguous")).by_step["find_guest"] == {"first": ("name",)}


def test_other_values_are_planned_no_more_often_than_wanted() -> None:
    goal, image = inn_goal("vague"), inn_image()
    values = {"stay": "s1", "day": "2026-06-01"}
    with Stage(image, 1) as stage:
        gold = run_plan(goal, stage, values)
        others = ["2026-06-02", "2026-05-12", "2026-06-03"]  # on the second day the stay is there already
        found = telling_alternatives(Uses(goal), stage, values, gold, "day", others)
        assert next(found)[0] == "2026-06-02"
        assert [(value, run.changes != gold.changes) for value, run in found] == [
            ("2026-05-12", True),
            ("2026-06-03", True),
        ]
        assert not list(telling_alternatives(Uses(goal), stage, values, gold, "day", ["2026-06-01"]))


Seen = tuple[list[tuple[str, dict[str, Any], Any]], tuple[Change, ...], str]


def seen(run: Callable[[], PlanRun]) -> Seen | str:
    """What a plan came to, or why it came to nothing."""
    try:
        made = run()
    except Unplannable as error:
        return error.reason
    return [(call.name, call.arguments, call.result) for call in made.calls], made.changes, made.told


@pytest.mark.parametrize("number", [0, 1])
def test_a_plan_with_another_value_need_be_made_from_the_first_call_that_the_fact_decides(number: int) -> None:
    blueprint = Composer(7).blueprint(number)
    begun = 0
    with Stage(compile_world(make_world(blueprint, number, 7)), 1) as stage:
        for goal in blueprint.goals.goals:
            try:
                values = bind(goal, stage, random.Random(1))
                gold = run_plan(goal, stage, values)
            except Unplannable:
                continue
            for fact in goal.facts:
                first = Uses(goal).first_template(fact.id)
                begun += first > 0
                for other in alternatives_of(goal, fact.id, stage, values)[:2]:
                    changed = {**values, fact.id: other}
                    rest = seen(partial(run_rest, goal, stage, changed, gold, first))
                    assert rest == seen(partial(run_plan, goal, stage, changed, sketch=True)), (goal.id, fact.id)
    assert begun > 10
