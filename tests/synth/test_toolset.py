"""Worlds with fewer tools or with more: what their goals need is there, and their tasks prove themselves."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mocktrial.mocktools.check import check_image
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.spec import Require
from mocktrial.synth.blueprint import Blueprint, load_blueprint
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.production.units import MOST_DISTRACTORS, Style, make_unit
from mocktrial.synth.systoolkit.source import DeviceTasks
from mocktrial.synth.toolset import distract, trim
from tests.support.blueprints import others, proved


def names_of(blueprint: Blueprint) -> list[str]:
    return [tool.name for tool in blueprint.world.tools()]


def hinted(blueprint: Blueprint) -> set[str]:
    """Words of hints that have the form of a tool's name."""
    steps = (step for tool in blueprint.world.tools() for step in tool.steps if isinstance(step, Require))
    return {word for step in steps for word in re.findall(r"[a-z]+_[a-z_]+", step.hint)}


@given(number=st.integers(0, 500), tools=st.integers(3, 60), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_a_trimmed_world_has_so_many_tools_and_all_that_its_goals_need(number: int, tools: int, seed: int) -> None:
    plain = Composer(0).blueprint(number)
    few = trim(plain, tools, seed)
    assert few == trim(plain, tools, seed)
    kept = set(names_of(few))
    assert kept <= set(names_of(plain))
    assert len(names_of(few)) == len(kept) == min(tools, len(names_of(plain)))
    assert few.goals.goals  # whose calls name tools of the world: a blueprint checks it
    assert all(goal in plain.goals.goals for goal in few.goals.goals)
    assert hinted(few) & set(names_of(plain)) <= kept
    assert [table.name for table in few.world.tables()] == [table.name for table in plain.world.tables()]
    whole, left = make_world(plain, 0, 3), make_world(few, 0, 3)
    assert left.rows == whole.rows


def test_seeds_choose_other_tools_where_not_all_are_kept() -> None:
    plain = Composer(0).blueprint(4)
    chosen = {tuple(names_of(trim(plain, 8, seed))) for seed in range(5)}
    assert len(chosen) > 1
    assert trim(plain, 999, 0) == plain


def test_families_take_turns() -> None:
    plain = Composer(0).blueprint(4)
    families = {goal.family for goal in plain.goals.goals}
    assert {goal.family for goal in trim(plain, 24, 1).goals.goals} == families


def test_only_goals_within_the_bound_are_kept() -> None:
    few = trim(Composer(0).blueprint(4), 8, 0, max_calls=2)
    assert max(goal.difficulty for goal in few.goals.goals) == 2


def test_where_no_goal_fits_it_says_so() -> None:
    plain = load_blueprint("clinic")
    goals = tuple(goal for goal in plain.goals.goals if len({call.call for call in goal.plan}) > 1)
    with pytest.raises(SpecError, match=r"no goal of clinic does with 1 tool\(s\)"):
        trim(plain.changed(goals=plain.goals.model_copy(update={"goals": goals})), 1, 0)


@pytest.mark.parametrize("source", [Composer(0), DeviceTasks(0)], ids=["kits", "device"])
def test_tasks_of_trimmed_worlds_prove_themselves(source: Composer | DeviceTasks) -> None:
    for number in range(4):
        unit = make_unit(source, number, 0, 8, style=Style(voices=True, max_tools=8))
        assert unit.image
        assert len(unit.image.spec.tools()) == 8
        assert len(unit.pairs) == 8
        assert not check_image(unit.image, rounds=5).problems


def test_foreign_tools_are_counted_apart() -> None:
    plain = Composer(0).blueprint(4)
    own = Style(max_tools=8).disguised(plain, 3)
    more = Style(max_tools=8, distractors=5).disguised(plain, 3)
    assert len(names_of(more)) == len(names_of(own)) + 5
    assert proved(more, 12)["proved"] >= 6


def test_distractors_bring_their_tables_and_leave_the_world_as_it_was() -> None:
    plain = load_blueprint("clinic")
    more = distract(plain, others("clinic"), 6, 11)
    names = [tool.name for tool in more.world.tools()]
    assert len(set(names)) == len(names) == len(plain.world.tools()) + 6
    before, after = make_world(plain, 0, 3).rows, make_world(more, 0, 3).rows
    assert {table: after[table] for table in before} == before
    assert all(after[table] for table in set(after) - set(before))
    assert hinted(more) <= set(names)
    with pytest.raises(UsageError, match=r"the donors have .* tools to add, not 500"):
        distract(plain, others("clinic"), 500, 1)
    assert distract(plain, [plain, *others("clinic")], 3, 2) == distract(plain, others("clinic"), 3, 2)


def test_of_donors_with_one_name_the_first_gives() -> None:
    plain, kit = load_blueprint("clinic"), Composer(3, ("vet",))
    twins = [kit.blueprint(number) for number in range(3)]
    assert distract(plain, twins, 10, 1) == distract(plain, twins[:1], 10, 1)


def test_every_world_has_as_many_distractors_as_were_asked_for() -> None:
    plain = load_blueprint("clinic")
    for seed in range(3):
        assert len(Style(distractors=60).disguised(plain, seed).world.tools()) == len(plain.world.tools()) + 60


def test_more_distractors_than_worlds_are_sure_to_hold_are_refused_at_once() -> None:
    with pytest.raises(UsageError, match=rf"{MOST_DISTRACTORS + 1} distractors") as refused:
        Style(distractors=MOST_DISTRACTORS + 1)
    assert str(MOST_DISTRACTORS) in refused.value.hint
