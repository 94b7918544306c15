"""`DeviceTasks(seed).blueprint(number)`: a device world of one to three domains, with goals for their tools.

Domains take turns; a share of worlds starts with something in the way (flight mode, a locked phone) that the
assistant must mend first. Deterministic in seed and number. `tool_goals` gives the goals of one tool in any world.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.systoolkit import CatalogTool, catalog, device_world
from mocktrial.mocktools.world import World
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.form.goals import Goal, Goals
from mocktrial.synth.form.recipes import RowRecipe
from mocktrial.synth.systoolkit.goals import Trouble, goals_of
from mocktrial.synth.systoolkit.scout import Scout
from mocktrial.synth.systoolkit.wish import lookups_of

NAME = "systoolkit"
_PARTNERS = 2  # further domains in a world at most
_UNUSUAL = 0.25  # share of worlds that do not begin plainly, where the first domain has such a beginning


@dataclass(frozen=True)
class DeviceTasks:
    """A `BlueprintSource`. `domains`: those that take turns; all that have tools when empty."""

    seed: int
    domains: tuple[str, ...] = ()
    name = NAME

    @property
    def names(self) -> tuple[str, ...]:
        return (NAME,)

    def blueprint(self, number: int) -> Blueprint:
        """World `number`."""
        turns = self.domains or domains_with_tools()
        main = turns[number % len(turns)]
        chance = random.Random(derive(self.seed, NAME, number))
        partners = chance.sample(domains_with_tools(), chance.randint(0, _PARTNERS))
        chosen = tuple(dict.fromkeys((main, *partners)))
        others = beginnings(main)[1:]
        drawn = [chance.choice(others)] if others and chance.random() < _UNUSUAL else []
        for begins in (*drawn, PLAIN):
            world = _varied(tool_world(chosen, begins), chance)
            goals = tuple(_goals(chosen, compile_world(world), begins, chance))
            if goals:
                return Blueprint(
                    name=f"{NAME}-{main}", world=world, rows=RowRecipe(tables=()), goals=Goals(goals=goals)
                )  # fmt: skip
        raise SpecError(f"no tool of {', '.join(chosen)} gives a goal")


@dataclass(frozen=True)
class Beginning:
    """How a world starts: columns of tables with one row, and the condition that does not hold by that, if any."""

    columns: Mapping[str, Mapping[str, Any]]
    condition: str = ""


PLAIN = Beginning({})


def domains_with_tools() -> tuple[str, ...]:
    return tuple(name for name, domain in catalog().domains.items() if domain.tools)


def beginnings(domain: str) -> tuple[Beginning, ...]:
    """Plain, then with each condition broken that a call can mend, then as single tools want it."""
    known = catalog()
    tools = [known.tools[tool] for tool in known.domains[domain].tools]
    needed = dict.fromkeys(need for tool in tools for need in tool.needs if known.conditions[need].mend)
    broken = [Beginning(known.conditions[need].broken, need) for need in needed]
    return (PLAIN, *broken, *(Beginning(tool.starts) for tool in tools if tool.starts))


def tool_world(domains: Sequence[str], begins: Beginning = PLAIN) -> WorldSpec:
    """The world of some domains with all that their tools' tasks call."""
    known = catalog()
    tools = [known.tools[tool] for name in domains for tool in known.domains[name].tools]
    also = dict.fromkeys(look.tool for tool in tools for look in lookups_of(tool))
    if begins.condition and (mend := known.conditions[begins.condition].mend):
        also[mend.tool] = None
    return _with_columns(device_world(domains, tuple(also)), begins.columns)


def tool_goals(
    tool: CatalogTool, image: WorldImage, chance: random.Random, begins: Beginning = PLAIN
) -> Iterator[Goal]:
    """The goals of a tool in a world that begins so, in the order of its ways of asking."""
    trouble = _trouble(tool, image, begins.condition) if begins.condition else None
    with World.open(image, 0) as world:
        scout = Scout(world, chance, trouble.mend if trouble else None)
        for number in range(len(tool.asks)):
            wish = scout.wish(tool, number)
            if wish:
                yield from goals_of(wish, number, chance, trouble)


def _goals(domains: Sequence[str], image: WorldImage, begins: Beginning, chance: random.Random) -> Iterator[Goal]:
    known = catalog()
    tools = [known.tools[tool] for name in domains for tool in known.domains[name].tools]
    chance.shuffle(tools)  # so that a small dataset has more than the first tools
    for tool in tools:
        if not begins.condition or begins.condition in tool.needs:
            yield from tool_goals(tool, image, chance, begins)


def _trouble(tool: CatalogTool, image: WorldImage, name: str) -> Trouble | None:
    condition = catalog().conditions[name]
    if condition.mend is None:
        return None
    with World.open(image, 0) as world:
        found = all(world.call(look.tool, look.arguments).ok for look in lookups_of(tool))
    return Trouble(condition.error, condition.leave, condition.mend, tried=found)


def _varied(world: WorldSpec, chance: random.Random) -> WorldSpec:
    drawn = {
        table: {column: chance.choice(values) for column, values in columns.items()}
        for table, columns in _variations().items()
    }
    return _with_columns(world, drawn)


def _with_columns(world: WorldSpec, columns: Mapping[str, Mapping[str, Any]]) -> WorldSpec:
    """The world with other values in tables of one row."""
    rows = dict(world.rows)
    for table, values in columns.items():
        (row,) = rows[table]
        rows[table] = ({**row, **values},)
    return world.model_copy(update={"rows": rows})


@cache
def _variations() -> Mapping[str, Mapping[str, list[Any]]]:
    return tomllib.loads((Path(__file__).parent / "worlds.toml").read_text(encoding="utf-8"))
