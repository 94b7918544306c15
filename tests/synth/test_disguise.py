"""Disguised blueprints: the same planner still makes and proves their tasks, and no old name is left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mocktrial.envs.rubric import CallCriterion, EventPattern, ForbidCriterion, OrderCriterion
from mocktrial.mocktools.faults import Fault
from mocktrial.mocktools.image import compile_world
from mocktrial.mocktools.spec import Give, Require, ToolSpec
from mocktrial.synth.blueprint import Blueprint, load_blueprint, shipped_domains
from mocktrial.synth.disguise import reword, scramble
from mocktrial.synth.form.goals import Goals
from mocktrial.synth.form.steps import CallTemplate
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.toolset import distract
from tests.support.blueprints import others, proved

DOMAINS = shipped_domains()


@pytest.mark.parametrize("domain", DOMAINS)
def test_tasks_of_a_disguised_blueprint_prove_themselves(domain: str) -> None:
    plain = load_blueprint(domain)
    hidden = scramble(reword(distract(plain, others(domain), 5, 7), 7), 7)
    assert len(hidden.world.tools()) == len(plain.world.tools()) + 5
    outcomes = proved(hidden, 16)
    assert outcomes["proved"] >= max(8, proved(plain, 16)["proved"] - 2)  # stray writes of the proof may be others


def calls_in(node: Any) -> Iterator[CallTemplate]:
    if isinstance(node, CallTemplate):
        yield node
    elif isinstance(node, list | tuple):
        for item in node:
            yield from calls_in(item)
    elif hasattr(node, "model_fields_set"):
        for name in type(node).model_fields:
            yield from calls_in(getattr(node, name))


@pytest.mark.parametrize("domain", DOMAINS)
def test_world_and_goals_agree_and_no_old_name_is_left(domain: str) -> None:
    plain = load_blueprint(domain)
    hidden = scramble(plain, 1)
    tools = {tool.name: tool for tool in hidden.world.tools()}
    assert all(re.fullmatch(r"tool_[0-9a-f]{2}", name) for name in tools)
    calls = list(calls_in(hidden.goals))
    assert len(calls) == len(list(calls_in(plain.goals)))
    for call in calls:
        assert set(call.arguments) <= set(tools[call.call].parameters)
        assert all(re.fullmatch(r"arg_\d+", name) for name in call.arguments)
    shown = " ".join(str(tool.to_openai()) for tool in tools.values())
    shown += " ".join(
        step.hint + step.message for tool in tools.values() for step in tool.steps if isinstance(step, Require)
    )
    for tool in plain.world.tools():
        if "_" in tool.name:
            assert tool.name not in shown
    for old, new in zip(plain.world.tools(), hidden.world.tools(), strict=True):
        assert len(old.required) == len(new.required)
        assert set(new.required) <= set(new.parameters)
    renamed = {
        (name, new)
        for old, tool in zip(plain.world.tools(), hidden.world.tools(), strict=True)
        for name, new in zip(old.parameters, tool.parameters, strict=True)
    }
    assert len({name for name, _ in renamed}) == len({new for _, new in renamed}) == len(renamed)  # one to one


def test_seeds_differ_and_twice_is_not_the_identity() -> None:
    plain = load_blueprint("clinic")
    names = [tuple(tool.name for tool in scramble(plain, seed).world.tools()) for seed in (1, 2, 1)]
    assert names[0] != names[1]
    assert names[0] == names[2]
    twice = scramble(scramble(plain, 1), 1)
    assert not set(names[0]) & {tool.name for tool in twice.world.tools()}
    assert proved(twice, 4)["proved"] >= 2


def with_tool(tool: ToolSpec, goals: dict[str, Any] | None = None) -> Blueprint:
    plain = load_blueprint("clinic")
    kit = plain.world.toolkits[0]
    world = plain.world.model_copy(update={"toolkits": (kit.model_copy(update={"tools": (*kit.tools, tool)}),)})
    extra = Goals.model_validate({"goals": [{**plain.goals.goals[0].model_dump(), **(goals or {})}]})
    return plain.model_copy(update={"world": world, "goals": extra})


def test_names_are_followed_into_criteria_faults_and_text() -> None:
    tool = ToolSpec(
        name="note_down", effect="read", description="Note by `patient_id`. Call find_patient first; 'day' is a word. Use book.",
        parameters={"patient_id": {"type": "string", "description": "what `patient_id` says"}, "day": {"type": "string"}},
        steps=(
            Require(require="SELECT 'at :day' AS quoted, :patient_id AS given, :day AS day", error="none", message="{patient_id} on {day} {given}"),
            Give(give="SELECT :day AS day, :patient_id AS who, ':day' AS said"),
        ),
    )  # fmt: skip
    called = {"id": "c", "kind": "call", "tool": "note_down", "arguments": {"day": "Monday"}}
    order = {"id": "o", "kind": "order", "first": {"kind": "confirm"}, "then": {"kind": "call", "name": "note_down"}}
    goals = {
        "subgoals": [called], "forbidden": [{"id": "f", "kind": "forbid", "of": called}, order],
        "faults": [{"tool": "note_down", "kind": "timeout", "calls": [2]}],
    }  # fmt: skip
    hidden = scramble(with_tool(tool, goals), 3)
    names = {old.name: new.name for old, new in zip(with_tool(tool).world.tools(), hidden.world.tools(), strict=True)}
    new = hidden.world.tools()[-1]
    patient, day = new.parameters
    assert (
        new.description
        == f"Note by `{patient}`. Call {names['find_patient']} first; '{day}' is a word. Use {names['book']}."
    )
    assert new.parameters[patient]["description"] == f"what `{patient}` says"
    require, give = new.steps
    assert isinstance(require, Require)
    assert isinstance(give, Give)
    assert require.require == f"SELECT 'at :day' AS quoted, :{patient} AS given, :{day} AS day"
    assert require.message == f"{{{patient}}} on {{{day}}} {{given}}"
    assert give.give == f"SELECT :day AS day, :{patient} AS who, ':day' AS said"  # :day is the row's column by now
    goal = hidden.goals.goals[0]
    subgoal, (forbid, after) = goal.subgoals[0], goal.forbidden
    assert isinstance(subgoal, CallCriterion)
    assert (subgoal.tool, subgoal.arguments) == (new.name, {day: "Monday"})
    assert isinstance(forbid, ForbidCriterion)
    assert isinstance(forbid.of, CallCriterion)
    assert forbid.of.tool == new.name
    assert isinstance(after, OrderCriterion)
    assert after.then == EventPattern(kind="call", name=new.name)
    assert goal.faults == (Fault(tool=new.name, kind="timeout", calls=(2,)),)
    compile_world(make_world(hidden, 0, 1))


def test_rewording_keeps_names_right() -> None:
    tool = ToolSpec(
        name="find_notes", effect="read", description="Find all notes of a whole week, at least `limit` such as \"exactly\"",
        parameters={"limit": {"type": "integer", "description": "at most so many"}, "whole": {"type": "boolean"}},
        steps=(Give(give="SELECT :limit AS n, :whole AS w"),),
    )  # fmt: skip
    texts = set()
    for seed in range(40):
        new = reword(with_tool(tool), seed).world.tools()[-1]
        assert list(new.parameters) == ["limit", "whole"]
        assert "whole" in new.description  # a name of the tool
        assert "`limit`" in new.description
        assert '"exactly"' in new.description
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]", new.description)
        texts.add(new.description)
    assert len(texts) >= 10
    free = [
        tool
        for seed in range(20)
        for tool in reword(load_blueprint("clinic"), seed).world.tools()
        if tool.name == "free_slots"
    ]
    assert not any("to free" in tool.description for tool in free)  # "Free slots" is no command
