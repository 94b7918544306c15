"""How many tools a world has: `trim` leaves it few, `distract` adds tools of other worlds.

Each gives a new `Blueprint`, the same for the same seed, which is checked as a whole like any other.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from operator import itemgetter
from typing import Any

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.spec import Require, Run, Step, Table, Toolkit, ToolSpec
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.form.recipes import Reference, RowRecipe, TableRecipe


def trim(blueprint: Blueprint, tools: int, seed: int, max_calls: int | None = None) -> Blueprint:
    """`blueprint` with so many `tools`, or with all where it has no more.

    Goals are drawn, families in turn, while all their tools are no more than that; other tools make up the number.
    Tables and rows stay. max_calls: goals of longer gold plans are not drawn. Raises `SpecError` where no goal fits.
    """
    every = {tool.name for tool in blueprint.world.tools()}
    if len(every) <= tools:
        return blueprint
    chance = random.Random(derive(seed, "trim", blueprint.name))
    goals = [goal for goal in blueprint.goals.goals if max_calls is None or goal.difficulty <= max_calls]
    chance.shuffle(goals)
    kept: set[str] = set()
    chosen: set[str] = set()
    for goal in _families_in_turn(goals):
        wanted = kept | (every & set(_named_in(goal.model_dump())))
        if len(wanted) <= tools:
            kept = wanted
            chosen.add(goal.id)
    if not kept:
        raise SpecError(f"no goal of {blueprint.name} does with {tools} tool(s)", hint="allow more tools")
    kept |= set(chance.sample(sorted(every - kept), tools - len(kept)))
    left = (_fewer(kit, kept, every - kept) for kit in blueprint.world.toolkits)
    own = tuple(goal for goal in blueprint.goals.goals if goal.id in chosen)
    return blueprint.changed(
        world={"toolkits": tuple(kit for kit in left if kit.tools or kit.tables)},
        goals=blueprint.goals.model_copy(update={"goals": own}),
    )


def _families_in_turn(goals: Iterable[Goal]) -> list[Goal]:
    turns: dict[str, Iterator[int]] = defaultdict(count)
    placed = [(next(turns[goal.family]), goal) for goal in goals]
    return [goal for _, goal in sorted(placed, key=itemgetter(0))]


def _named_in(node: Any) -> Iterator[str]:
    """Tools that a goal, as plain data, names: in its plan, what it forbids, its criteria and its faults."""
    if isinstance(node, list | tuple):
        for item in node:
            yield from _named_in(item)
    elif isinstance(node, dict):
        for key, item in node.items():
            if isinstance(item, str) and (key in ("call", "tool") or (key == "name" and node.get("kind") == "call")):
                yield item
            else:
                yield from _named_in(item)


def _fewer(kit: Toolkit, kept: set[str], absent: set[str]) -> Toolkit:
    tools = tuple(_without_hints(tool, absent) for tool in kit.tools if tool.name in kept)
    return kit.model_copy(update={"tools": tools})


def distract(blueprint: Blueprint, donors: Sequence[Blueprint], count: int, seed: int) -> Blueprint:
    """`blueprint` with `count` tools of the donors, chosen by seed. Its own rows stay as they were.

    A donor's tool is left out where its name, or the name of a table that it needs, is taken already. Of donors
    with one name the first gives.
    """
    chance = random.Random(derive(seed, "distract", blueprint.name))
    tools = {tool.name for tool in blueprint.world.tools()}
    owners = {table.name: blueprint.name for table in blueprint.world.tables()}
    chosen: dict[str, list[str]] = {}
    named: dict[str, Blueprint] = {}
    for donor in donors:
        named.setdefault(donor.name, donor)
    offers = [(donor, tool) for donor in named.values() if donor.name != blueprint.name for tool in donor.world.tools()]
    chance.shuffle(offers)
    before, found = len(tools), 0
    for donor, tool in offers:
        needed = _tables_of(donor, [tool])
        if found == count or tool.name in tools or any(owners.get(name, donor.name) != donor.name for name in needed):
            continue
        tools.add(tool.name)
        owners |= dict.fromkeys(needed, donor.name)
        chosen.setdefault(donor.name, []).append(tool.name)
        found += 1
    for name, names in chosen.items():
        blueprint = _with_tools(blueprint, named[name], names)
    added = len(blueprint.world.tools()) - before
    if added != count:
        raise UsageError(
            f"{blueprint.name}: the donors have {added} tools to add, not {count}",
            hint="name more donors, or fewer tools",
        )
    return blueprint


def _with_tools(blueprint: Blueprint, donor: Blueprint, names: Sequence[str]) -> Blueprint:
    """`blueprint` with these tools of `donor` in a toolkit of their own, and what they need."""
    world = blueprint.world
    absent = {tool.name for tool in donor.world.tools()} - set(names)
    tools = tuple(_without_hints(tool, absent) for tool in donor.world.tools() if tool.name in names)
    needed = _tables_of(donor, tools)
    tables = tuple(table for table in donor.world.tables() if table.name in needed)
    source = next(kit for kit in donor.world.toolkits if any(tool.name in names for tool in kit.tools))
    taken = {kit.name for kit in world.toolkits}
    name = next(name for name in (source.name, *(f"{source.name}_{n}" for n in range(2, 999))) if name not in taken)
    kit = Toolkit(name=name, description=source.description, tables=tables, tools=tools)
    rows = {table: rows for table, rows in donor.world.rows.items() if table in needed}
    recipes = tuple(recipe for recipe in donor.rows.tables if recipe.table in needed)
    return blueprint.changed(
        world={"toolkits": (*world.toolkits, kit), "rows": world.rows | rows},
        rows=RowRecipe(locale=blueprint.rows.locale, tables=(*blueprint.rows.tables, *recipes)),
    )


def _without_hints(tool: ToolSpec, absent: set[str]) -> ToolSpec:
    """The tool without hints at tools that stayed behind."""
    steps = tuple(
        step.model_copy(update={"hint": ""})
        if isinstance(step, Require) and absent & set(re.findall(r"\w+", step.hint))
        else step
        for step in tool.steps
    )
    return tool.model_copy(update={"steps": steps})


def _tables_of(donor: Blueprint, tools: Sequence[ToolSpec]) -> set[str]:
    """Tables that the tools' SQL names, and what those refer to or are filled from."""
    tables = {table.name: table for table in donor.world.tables()}
    recipes: dict[str, list[TableRecipe]] = {}
    for recipe in donor.rows.tables:
        recipes.setdefault(recipe.table, []).append(recipe)
    words = {word for tool in tools for step in tool.steps for word in re.findall(r"\w+", _sql(step))}
    needed: set[str] = set()
    waiting = sorted(words & set(tables))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _linked(tables[name], recipes.get(name, []))
    return needed


def _linked(table: Table, recipes: Sequence[TableRecipe]) -> list[str]:
    targets = [column.references for column in table.columns if column.references]
    for recipe in recipes:
        targets += [recipe.each] if recipe.each else []
        targets += [source.references for source in recipe.columns.values() if isinstance(source, Reference)]
    return [target.partition(".")[0] for target in targets]


def _sql(step: Step) -> str:
    return step.require if isinstance(step, Require) else step.run if isinstance(step, Run) else step.give
