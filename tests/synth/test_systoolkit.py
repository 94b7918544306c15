"""Tasks for SysToolKit: every tool has a proved one, people would say it, and worlds may begin with a trouble."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from functools import cache

import pytest

from mocktrial.envs.rubric import CallCriterion, WritesCriterion
from mocktrial.envs.task import Call, Persona, Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.systoolkit import CatalogTool, catalog
from mocktrial.mocktools.systoolkit.entries import ToolEntry
from mocktrial.mocktools.world import World
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.production.units import make_unit
from mocktrial.synth.proof.prove import MIN_MUTANTS, prove
from mocktrial.synth.sources import domains_of, source_of
from mocktrial.synth.systoolkit import DeviceTasks
from mocktrial.synth.systoolkit.answers import answer_of
from mocktrial.synth.systoolkit.proving import prove_tools
from mocktrial.synth.systoolkit.scout import Scout
from mocktrial.synth.systoolkit.source import PLAIN, Beginning, beginnings, domains_with_tools, tool_goals, tool_world
from mocktrial.synth.systoolkit.speaking import said, wordings

NAMES = tuple(catalog().tools)
TENTH = tuple(random.Random(5).sample(NAMES, len(NAMES) // 10))
_NO_WORDS = re.compile(r"\b(True|False(?! alarm)|None|null)\b|[_{}\[\]|]|\b[a-z]{2}\d{1,2}\b|\d{4}-\d{2}-\d{2}")


@cache
def _image(domain: str, begins: int = 0) -> WorldImage:
    return compile_world(tool_world([domain], beginnings(domain)[begins]))


def _tool(name: str) -> CatalogTool:
    return catalog().tools[name]


def _goals(name: str, seed: int = 0) -> dict[str, Goal]:
    domain = _tool(name).domain
    return {goal.id: goal for goal in tool_goals(_tool(name), _image(domain), random.Random(seed))}


def _task(name: str, goal: str) -> Task:
    return make_task(_goals(name)[goal], _image(_tool(name).domain), domain="d", personas=(Persona(),), seed=3)


def test_a_tenth_of_the_tools_have_a_proved_task() -> None:
    shown = list(prove_tools(TENTH))
    assert [(one.tool, one.reasons) for one in shown if one.task is None] == []
    assert min(one.mutants for one in shown) >= MIN_MUTANTS
    assert {one.tool for one in shown} == set(TENTH)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_tool_has_a_proved_task(seed: int) -> None:
    assert [(one.tool, one.reasons) for one in prove_tools(NAMES, seed) if one.task is None] == []


def _texts(domain: str, seed: int) -> Iterator[tuple[str, str]]:
    for name in catalog().domains[domain].tools:
        for goal in _goals(name, seed).values():
            wish = goal.wish
            for fact in goal.facts:
                spoken = next(iter(fact.spoken_as.values()))  # of its value; then come the alternatives
                wish = wish.replace(f"{{{fact.id}}}", spoken)
                yield goal.id, fact.question
            yield goal.id, wish


@pytest.mark.parametrize("domain", [*random.Random(3).sample(domains_with_tools(), 4)])
def test_nothing_is_said_that_no_person_says(domain: str) -> None:
    assert [(goal, text) for goal, text in _texts(domain, 1) if _NO_WORDS.search(_unnamed(text))] == []


@pytest.mark.soak
@pytest.mark.parametrize("domain", domains_with_tools())
def test_nothing_is_said_that_no_person_says_anywhere(domain: str) -> None:
    assert [(goal, text) for goal, text in _texts(domain, 2) if _NO_WORDS.search(_unnamed(text))] == []


def _unnamed(text: str) -> str:
    """Without what people do say so: names of files, parts of web addresses and zones."""
    return re.sub(r"\S+\.(?:jpg|pdf|docx|txt|xlsx|mp3|zip|apk)|\S*/\S*|\S+@\S+", "", text)


def test_words_that_imply_a_value_give_it() -> None:
    calls = {
        goal: _goals("set_alarm_on")[goal].plan[-1].arguments["enabled"]
        for goal in ("set_alarm_on-0", "set_alarm_on-1")
    }
    assert [json.loads(argument.model_dump_json())["value"] for argument in calls.values()] == [False, True]


def test_implied_values_belong_to_an_ask_that_does_not_name_them() -> None:
    entry = {"about": "x", "use": "toggle", "asks": ["a {b}", "c", "d"]}
    assert ToolEntry.model_validate({**entry, "implied": [{}, {"b": 1}]}).implied == ({}, {"b": 1})
    with pytest.raises(ValueError, match="names b"):
        ToolEntry.model_validate({**entry, "implied": [{"b": 1}]})
    with pytest.raises(ValueError, match="4 entries for 3 asks"):
        ToolEntry.model_validate({**entry, "implied": [{}, {}, {}, {}]})


def test_a_part_of_the_words_is_left_out_and_asked_for() -> None:
    task = _task("snooze_alarm", "snooze_alarm-0h")
    (hidden,) = task.hidden()
    assert task.instruction == f"Let the {task.fact('alarm').spoken} alarm nap."
    assert (hidden.id, hidden.question) == ("minutes", "How many minutes?")
    assert hidden.spoken in task.goal


def test_a_row_is_found_by_its_name() -> None:
    calls = [step for step in _task("restore_photo", "restore_photo-0").gold if isinstance(step, Call)]
    assert [step.call for step in calls] == ["list_photos", "restore_photo"]
    assert json.loads(calls[0].model_dump_json())["arguments"]["trashed"]["value"] is True
    assert json.loads(calls[1].model_dump_json())["arguments"]["photo"]["path"].endswith(".id")


def test_what_does_not_show_in_the_state_is_graded_by_the_call() -> None:
    called = [one for one in _task("mute_chat", "mute_chat-0").rubric.subgoals if isinstance(one, CallCriterion)]
    assert [list(one.arguments) for one in called] == [["hours"]]
    assert not [
        one for one in _task("set_alarm_on", "set_alarm_on-0").rubric.subgoals if isinstance(one, CallCriterion)
    ]


def test_when_something_is_done_is_left_open() -> None:
    (written,) = (
        one for one in _task("start_timer", "start_timer-1").rubric.subgoals if isinstance(one, WritesCriterion)
    )
    (pattern,) = written.required
    assert "ends_at" not in pattern.new
    assert pattern.new["seconds"] > 0


def test_the_scout_leaves_the_world_as_it_was() -> None:
    with World.open(_image("alarms"), 0) as world:
        before = world.digest(), world.now
        scout = Scout(world, random.Random(1))
        assert all(scout.wish(tool, 0) for name in ("create_alarm", "list_alarms") for tool in [_tool(name)])
        assert (world.digest(), world.now) == before


@pytest.mark.parametrize(
    ("result", "later", "text", "expected"),
    [
        ({"level": 64, "charging": True}, {"level": 64}, "How full?", ("one", "0", "level")),
        ({"level": 64}, {"level": 63}, "How full?", None),  # depends on the minute
        ({"level": 64}, {"level": 64}, "Is it 64?", None),  # was said already
        ({"on": True, "id": "x1"}, {"on": True, "id": "x1"}, "Is it on?", None),
        ([], [], "Any?", None),
        ({"filter": "none"}, {"filter": "none"}, "Which filter?", None),  # a play that looked at nothing says None
        ({"part": {"mb": 7}, "rest": []}, {"part": {"mb": 7}}, "How big?", ("one", "", "part.mb")),
    ],
)
def test_what_is_asked_of_a_result(
    result: object, later: object, text: str, expected: tuple[str, str, str] | None
) -> None:
    found = answer_of(result, later, text, random.Random(0))
    assert (found and (found.scope, found.path)) == (expected and (expected[0], expected[2]))


def test_a_row_that_was_named_is_the_one_asked_for() -> None:
    rows = [{"label": name, "time": time} for name, time in (("work", "06:45"), ("gym", "07:30"), ("pills", "20:00"))]
    found = answer_of(rows, rows, "When does gym ring?", random.Random(0))
    assert found
    assert (found.scope, found.of, found.path) == ("named", "gym", "1.time")


def test_values_are_spoken() -> None:
    takes = _tool("create_event").takes
    assert said("2026-05-12T18:30:00", takes["starts"]) == "Tuesday 12 May at 18:30"
    assert said("Dinner is at eight.", takes["title"]) == '"Dinner is at eight."'
    assert said("red_green", _tool("set_colour_filter").takes["filter"]) == "red green"
    assert "97,400" in wordings(97400)
    assert {"12 May", "May 12"} <= set(wordings("2026-05-12"))


def test_a_blueprint_is_the_same_for_the_same_seed() -> None:
    one, two, other = (DeviceTasks(seed).blueprint(7).model_dump_json() for seed in (4, 4, 5))
    assert one == two != other
    assert len(DeviceTasks(4).blueprint(7).world.tools()) < 120


def test_a_world_that_begins_with_a_trouble_is_mended() -> None:
    begins = next(n for n, one in enumerate(beginnings("calls")) if one.condition == "cellular")
    image = _image("calls", begins)
    goal = next(iter(tool_goals(_tool("dial_number"), image, random.Random(0), beginnings("calls")[begins])))
    task = make_task(goal, image, domain="d", personas=(Persona(),), seed=1)
    assert [step.call for step in task.gold if isinstance(step, Call)] == [
        "dial_number",
        "set_flight_mode",
        "dial_number",
    ]
    assert task.instruction.endswith("If flight mode is in the way, switch it off.")
    assert prove(task.model_copy(update={"id": goal.id}), image).ok


@pytest.mark.soak
@pytest.mark.parametrize("domain", domains_with_tools())
def test_every_trouble_has_proved_tasks(domain: str) -> None:
    for number, begins in enumerate(beginnings(domain)):
        own = [tool for tool in catalog().domains[domain].tools if begins.condition in _tool(tool).needs]
        image = _image(domain, number)
        for goal in (
            goal for tool in own[:3] for goal in list(tool_goals(_tool(tool), image, random.Random(0), begins))[:1]
        ):
            task = make_task(goal, image, domain="d", personas=(Persona(),), seed=1)
            assert prove(task.model_copy(update={"id": goal.id}), image).failures == (), goal.id


def test_tools_with_nothing_to_do_get_a_world_of_their_own() -> None:
    assert not _goals("unlock_phone")
    assert Beginning(_tool("unlock_phone").starts) in beginnings("security")
    assert beginnings("security")[0] == PLAIN


def test_a_unit_of_proved_tasks() -> None:
    unit = make_unit(DeviceTasks(2), 1, 2, 6)
    assert len(unit.pairs) == 6
    assert all(proof.ok for _, proof in unit.pairs)


def test_it_is_named_on_the_command_line() -> None:
    assert source_of(domains=domains_of(["systoolkit"]), seed=1) == DeviceTasks(1)
    with pytest.raises(UsageError, match="systoolkit makes worlds of its own"):
        source_of(domains=["systoolkit", "clinic"])
