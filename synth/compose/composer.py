"""`Composer(seed).blueprint(number)`: a world of its own structure, with its tools, rows and goals, from the kits.

Deterministic in seed, kits and number. Kits take turns; what a kit becomes is drawn anew each time. A `Blueprint`
is what hand-written domains are too: nothing downstream knows where it came from.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Persona
from mocktrial.mocktools.spec import Table, Toolkit, ToolSpec, WorldSpec
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.compose.create_goals import create_goals
from mocktrial.synth.compose.design import Design, draw_design
from mocktrial.synth.compose.extras import (
    RESERVED,
    document_ops,
    document_tables,
    documents_of,
    maths_ops,
    verify_op,
    verify_tables,
)
from mocktrial.synth.compose.families import family_goals, orders_for
from mocktrial.synth.compose.ops import Op, Ops
from mocktrial.synth.compose.record_goals import record_goals
from mocktrial.synth.compose.record_tools import record_ops, table_of_record
from mocktrial.synth.compose.rows import table_recipes
from mocktrial.synth.compose.scene import GoalData, Scene
from mocktrial.synth.compose.thing_goals import thing_goals
from mocktrial.synth.compose.tools import Maker, table_of_thing, thing_ops
from mocktrial.synth.form.goals import Goal, Goals
from mocktrial.synth.form.recipes import RowRecipe
from mocktrial.synth.kits import kit_names, load_kit

_START = datetime(2026, 1, 5, 8)  # noqa: DTZ001 - virtual time has no zone
_DAYS = 500  # over which worlds' first days are spread


@dataclass(frozen=True)
class Composer:
    """A `BlueprintSource`. `kits`: names of those to use; all that are shipped when empty."""

    seed: int
    kits: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return "kits"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the kits that take turns."""
        return self.kits or tuple(kit_names())

    def blueprint(self, number: int) -> Blueprint:
        """World `number`."""
        names = self.names
        kit_name = names[number % len(names)]
        chance = random.Random(derive(self.seed, "compose", kit_name, number))
        design = draw_design(kit_name, load_kit(kit_name), chance, taken=RESERVED)
        now = _START + timedelta(days=chance.randrange(_DAYS))
        orders = orders_for(design)
        main, ops = _toolkit(design)
        with_maths, with_papers = chance.random() < 0.5, chance.random() < 0.5
        toolkits = [main]
        if with_maths:
            found = list(maths_ops())
            toolkits.append(Toolkit(name="calculator", description="Exact arithmetic.", tools=_specs(found)))
            ops += found
        recipes = table_recipes(design, chance, orders)
        rows = {}
        if with_papers:
            found = list(document_ops())
            toolkits.append(
                Toolkit(
                    name="papers", description="A library of papers.", tables=document_tables(), tools=_specs(found)
                )
            )
            ops += found
            rows = documents_of(design, recipes, chance)
        spec = WorldSpec(
            name=f"{kit_name.replace('_', '-')}-{number}",
            description=f"The desk of {design.kit.title}.",
            rules=_rules(design, now),
            now=now.isoformat(),
            toolkits=tuple(toolkits),
            rows=rows,
        )
        scene = Scene(design, Ops(ops), chance, now.date())
        goals = tuple(Goal.model_validate(data) for data in _numbered(_goals(scene)))
        personas = tuple(Persona(occupation=role) for role in design.kit.roles)
        return Blueprint(
            name=kit_name.replace("_", "-"),
            world=spec,
            rows=RowRecipe.model_validate({"tables": recipes}),
            goals=Goals.model_construct(personas=personas, goals=goals),  # each goal is checked already
        )


def _toolkit(design: Design) -> tuple[Toolkit, list[Op]]:
    make = Maker(design)
    ops: list[Op] = []
    for thing in design.things:
        ops += thing_ops(make, thing, design)
    for record in design.records:
        ops += record_ops(make, record)
    tables: list[Table] = [table_of_thing(thing, design) for thing in design.things]
    tables += [table_of_record(record) for record in design.records]
    if design.verified:
        ops.append(verify_op(make))
        tables += verify_tables()
    name = f"{design.kit_name}_desk"[:60]
    return Toolkit(
        name=name, description=f"The desk of {design.kit.title}.", tables=tuple(tables), tools=_specs(ops)
    ), ops


def _specs(ops: Iterable[Op]) -> tuple[ToolSpec, ...]:
    return tuple(op.spec for op in ops)


def _rules(design: Design, now: datetime) -> str:
    """The policy text: what needs a yes, who must be verified, what the rules are."""
    lines = [f"You work at the desk of {design.kit.title}. Today is {now:%A} {now.day} {now:%B} {now.year}."]
    asked = [f"{move.verb} {record.noun.a}" for record in design.records for move in record.moves if move.confirm]
    if asked:
        lines.append(f"Ask for the user's yes before you {_either(asked)}.")
    people = design.thing(design.verified)
    if people:
        lines.append(f"Before you make or change what belongs to {people.noun.a}, verify the {people.noun.one}'s PIN.")
    lines.append("If something cannot be done, say so and say why. Never guess what the user has not told you.")
    return " ".join(lines)


def _either(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " or " + items[-1]


def _goals(scene: Scene) -> list[GoalData]:
    plain: list[GoalData] = []
    for thing in scene.design.things:
        plain += [goal | {"about": thing.thing.name} for goal in thing_goals(scene, thing)]
    for record in scene.design.records:
        made = [*record_goals(scene, record), *create_goals(scene, record)]
        plain += [goal | {"about": record.record.name} for goal in made]
    return plain + list(family_goals(scene, plain))


def _numbered(goals: Iterable[GoalData]) -> Iterable[GoalData]:
    """Ids that no two goals of a world share."""
    seen: dict[str, int] = {}
    for data in goals:
        about = data.get("about", "")
        name = f"{about}-{data['id']}".replace("_", "-").strip("-")[:28]
        seen[name] = seen.get(name, 0) + 1
        number = "" if seen[name] == 1 else f"-{seen[name]}"
        yield {key: value for key, value in data.items() if key != "about"} | {"id": name.strip("-") + number}
