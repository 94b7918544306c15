"""Composing: from a kit to worlds of different structure whose tools work and whose goals become proved tasks."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.image import compile_world
from mocktrial.synth.audit.structure import world_structure
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.compose.design import pluralise, snake, with_article
from mocktrial.synth.compose.joining import joined, renamed
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.form.steps import FactSource, LiteralSource
from mocktrial.synth.kits import kit_names, load_kit
from mocktrial.synth.plan.planning import Unplannable
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.proof.prove import prove

SEED = 5


@pytest.fixture(scope="module")
def blueprints() -> list[Blueprint]:
    """One world a kit."""
    composer = Composer(SEED)
    return [composer.blueprint(number) for number in range(len(kit_names()))]


def test_same_seed_and_number_give_the_same_bytes() -> None:
    one, two = (Composer(SEED).blueprint(3).model_dump_json() for _ in range(2))
    assert one == two
    assert Composer(SEED + 1).blueprint(3).model_dump_json() != one


def test_worlds_of_one_kit_differ_in_structure() -> None:
    composer = Composer(SEED, ("vet",))
    structures = {world_structure(composer.blueprint(number).world) for number in range(8)}
    assert len(structures) >= 7


@pytest.mark.parametrize("number", range(0, len(kit_names()), 9))
def test_a_composed_world_keeps_its_contract(blueprints: list[Blueprint], number: int) -> None:
    world = make_world(blueprints[number], number, SEED)
    assert len(world.tools()) >= 20
    assert check_world(world).problems == ()


def test_every_kit_gives_a_world_that_compiles_and_goals_of_many_kinds(blueprints: list[Blueprint]) -> None:
    families: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    for number, blueprint in enumerate(blueprints):
        compile_world(make_world(blueprint, number, SEED))
        assert len(blueprint.goals.goals) >= 20, blueprint.name
        families.update(goal.family for goal in blueprint.goals.goals)
        kinds.update(fact.kind for goal in blueprint.goals.goals for fact in goal.facts if fact.hide)
        tags.update(tag for goal in blueprint.goals.goals for tag in goal.tags)
    assert set(families) == {"tool_use", "no_tool", "impossible", "policy", "faulty", "injected", "math", "search"}
    assert set(kinds) == {"missing", "vague", "ambiguous", "presupposition", "preference", "constraint"}
    assert set(tags) == {"loop", "condition", "choice", "arithmetic", "undo", "multi"}


def test_most_goals_become_tasks_that_prove_themselves(blueprints: list[Blueprint]) -> None:
    proved: Counter[str] = Counter()
    failed = []
    for number in range(0, len(blueprints), 11):
        blueprint = blueprints[number]
        image = compile_world(make_world(blueprint, number, SEED))
        for goal in blueprint.goals.goals:
            try:
                task = make_task(goal, image, domain=blueprint.name, personas=blueprint.goals.personas, seed=number)
            except Unplannable:
                continue
            proof = prove(task, image)
            proved[task.family] += proof.ok
            failed += [] if proof.ok else [f"{blueprint.name} {goal.id}: {proof.failures[0]}"]
    assert sum(proved.values()) >= 15 * len(failed), failed[:10]
    assert len(proved) >= 5


def test_rules_say_what_needs_a_yes_and_tools_refuse_what_rules_forbid(blueprints: list[Blueprint]) -> None:
    for blueprint in blueprints:
        asked = [call for goal in blueprint.goals.goals for call in goal.plan if call.confirm]
        if asked:
            assert "Ask for the user's yes before you" in blueprint.world.rules
        if any(tool.name for tool in blueprint.world.tools() if "PIN" in tool.description):
            assert "PIN" in blueprint.world.rules


SIMPLE = {
    "id": "one", "wish": "Set {who} to {value}.", "instructions": ["Set [{who}|somebody][ to {value}]."],
    "bind": [{"sql": "SELECT t.name AS who FROM people t WHERE t.name <> :other"}, {"name": "value", "choices": [1, 2]},
             {"name": "other", "choices": ["x"]}],
    "facts": [{"id": "who", "label": "who", "question": "Who?", "alternatives": "SELECT name FROM people WHERE name <> :who"},
              {"id": "value", "label": "the value", "question": "What?"}],
    "plan": [{"call": "find", "id": "found", "arguments": {"name": {"fact": "who"}}},
             {"call": "set", "id": "put", "arguments": {"id": {"step": "found", "where": {"who": "who"}}, "value": {"fact": "value"}}}],
    "finish": "It is {put.value}, {value}.",
}  # fmt: skip


def test_a_renamed_goal_has_none_of_its_old_names() -> None:
    other = renamed(SIMPLE, "_2")
    text = json.dumps(other)
    assert [word for word in (":other_2", "AS who_2", "{who_2}", "{put_2.value}") if word not in text] == []
    assert other["plan"][1]["arguments"]["id"] == {"step": "found_2", "where": {"who": "who_2"}}, (
        "columns keep their names"
    )
    assert other["plan"][0]["arguments"].keys() == {"name"}, "so do arguments"


def test_two_wishes_are_one_goal() -> None:
    pair = joined(SIMPLE, SIMPLE)
    assert pair is not None
    goal = Goal.model_validate(pair)
    assert goal.difficulty == 4
    assert {fact.id for fact in goal.facts} == {"who", "value", "who_2", "value_2"}


def test_wishes_that_are_too_long_together_are_not_joined() -> None:
    long = SIMPLE | {"plan": [SIMPLE["plan"][0] | {"id": f"s{n}"} for n in range(11)]}
    assert joined(long, SIMPLE) is None


@pytest.mark.parametrize(
    ("one", "many"), [("visit", "visits"), ("entry", "entries"), ("day", "days"), ("box", "boxes"), ("dish", "dishes")]
)
def test_plurals(one: str, many: str) -> None:
    assert pluralise(one) == many


@given(st.text(alphabet="abc XYZ-'é/", min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_snake_words_are_safe_names(words: str) -> None:
    assert all(c.isalnum() or c == "_" for c in snake(words))


@pytest.mark.parametrize(
    "words", ["an apple", "a usual queue", "an hourly rate", "a unit", "an uncle", "a one-way fare", "a house"]
)
def test_articles(words: str) -> None:
    assert with_article(words.partition(" ")[2]) == words


def test_a_gold_plan_sets_no_flag_that_the_user_does_not_mention(blueprints: list[Blueprint]) -> None:
    known, told = 0, 0
    for blueprint in blueprints:
        flags = {
            item.name: item.flag
            for record in load_kit(blueprint.name.replace("-", "_")).records
            for item in record.fields
        }
        for goal in blueprint.goals.goals:
            for call in goal.plan:
                for name in flags.keys() & call.arguments.keys():
                    value = call.arguments[name]
                    known += isinstance(value, FactSource) and bool(flags[name])
                    if isinstance(value, LiteralSource) and value.value is True:
                        assert all(flags[name] in text for text in goal.instructions), goal.id
                        told += 1
    assert known
    assert told
