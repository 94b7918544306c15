"""A small inn with prices, dates and ratings, and one goal for each thing that a goal can say."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.form.goals import Goal, Goals
from mocktrial.synth.form.recipes import RowRecipe

_DATA = Path(__file__).parent.parent / "data"


@lru_cache
def inn() -> Blueprint:
    return Blueprint(
        name="inn",
        world=WorldSpec.model_validate_json((_DATA / "inn.json").read_text(encoding="utf-8")),
        rows=RowRecipe(tables=()),
        goals=Goals.model_validate_json((_DATA / "inn_goals.json").read_text(encoding="utf-8")),
    )


@lru_cache
def inn_image() -> WorldImage:
    return compile_world(inn().world)


def inn_goal(name: str) -> Goal:
    return next(goal for goal in inn().goals.goals if goal.id == name)
