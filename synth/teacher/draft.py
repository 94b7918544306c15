"""A unit under way: what the steps have given so far, and how it becomes a world and a `Blueprint`.

Pure conversion from the answers' forms to ours; every check of our forms runs here (pydantic's
`ValidationError`, `SpecError` from compiling). Whether the result is any good is decided in `checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mocktrial.envs.rubric import ForbidCriterion, StateCriterion, TellCriterion
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Persona
from mocktrial.mocktools.spec import Column, Table, Toolkit, ToolSpec, WorldSpec
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.form.goals import Goal, Goals
from mocktrial.synth.form.recipes import RowRecipe, TableRecipe
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.teacher.answers import (
    CallAnswer,
    ConstraintAnswer,
    GoalAnswer,
    PersonaAnswer,
    StepArgument,
    TableAnswer,
    ToolAnswer,
    WorkflowAnswer,
    WorldAnswer,
)

_FIRST_DAY = datetime.fromisoformat("2026-01-05T08:00:00")  # a Monday


@dataclass
class Draft:
    """One unit. `tools`, `constraints` and `goals` hold what was accepted, by name."""

    number: int
    seed: int
    seeded: Persona
    persona: PersonaAnswer | None = None
    workflow: WorkflowAnswer | None = None
    world: WorldAnswer | None = None
    tools: dict[str, ToolSpec] = field(default_factory=dict)
    constraints: dict[str, ConstraintAnswer] = field(default_factory=dict)
    goals: dict[str, Goal] = field(default_factory=dict)

    @property
    def name(self) -> str:
        domain = self.workflow.domain if self.workflow else "world"
        return f"m{self.number}-{domain}"

    def user(self) -> Persona:
        """The seeded persona with what the model made of it."""
        if self.persona is None:
            return self.seeded
        told = self.persona
        return self.seeded.model_copy(update={"name": told.name, "occupation": told.occupation, "manner": told.manner})

    def blueprint(self, tools: Iterable[ToolSpec] | None = None) -> Blueprint:
        """The unit as a blueprint; with `tools`, with these instead of its own. Goals may still be lacking."""
        assert self.workflow is not None, "the steps run in order"
        assert self.world is not None, "the steps run in order"
        rules = [self.world.rules, *(item.rule for item in self.constraints.values())]
        toolkit = Toolkit(
            name=self.workflow.domain,
            tables=tuple(_table(table) for table in self.world.tables),
            tools=tuple(self.tools.values() if tools is None else tools),
        )
        day = timedelta(days=derive(self.seed, "teacher", "day", self.number) % 300)
        spec = WorldSpec(
            name=self.name,
            description=self.workflow.description,
            rules=" ".join(filter(None, rules)),
            now=(_FIRST_DAY + day).isoformat(),
            toolkits=(toolkit,),
        )
        recipe = RowRecipe(tables=tuple(_recipe(table) for table in self.world.tables))
        # Before the last step there is no goal yet, and the world is tried all the same.
        make = Goals if self.goals else Goals.model_construct
        goals = make(personas=(self.user(),), goals=tuple(self.goals.values()))
        return Blueprint(name=self.name, world=spec, rows=recipe, goals=goals)

    def filled(self, tools: Iterable[ToolSpec] | None = None) -> WorldSpec:
        """The world with rows, as the unit ships it."""
        return make_world(self.blueprint(tools), self.number, self.seed)

    def goal(self, answer: GoalAnswer) -> Goal:
        """The goal in our form, under this unit's constraints."""
        bound = answer.model_dump(mode="json", exclude_defaults=True)
        bound["plan"] = plan = [self._call(call) for call in answer.plan]
        bound["family"] = "policy" if any("confirm" in call for call in plan) else "tool_use"
        bound["tags"] = list(_tags(answer.plan))
        bound["subgoals"] = [
            (TellCriterion if item.kind == "tell" else StateCriterion)(id=item.id, sql=item.sql)
            for item in answer.subgoals
        ]
        bound["forbidden"] = [
            ForbidCriterion(id=item.id, description=item.rule, of=StateCriterion(id=item.id, sql=item.never))
            for item in self.constraints.values()
            if item.never
        ]
        return Goal.model_validate(bound)

    def _call(self, call: CallAnswer) -> dict[str, Any]:
        given = call.model_dump(mode="json", exclude_defaults=True)
        if any(call.call in item.confirm for item in self.constraints.values()):
            given.setdefault("confirm", f"Shall I {call.call.replace('_', ' ')} now?")
        return given


def _tags(plan: Iterable[CallAnswer]) -> Iterator[str]:
    if any(call.each for call in plan):
        yield "loop"
    if any(call.when for call in plan):
        yield "condition"
    if any(isinstance(source, StepArgument) and source.best for call in plan for source in call.arguments.values()):
        yield "choice"


def tool_of(answer: ToolAnswer) -> ToolSpec:
    """The tool in our form."""
    parameters = {}
    for parameter in answer.parameters:
        schema: dict[str, Any] = {"type": parameter.type}
        if parameter.description:
            schema["description"] = parameter.description
        if parameter.choices:
            schema["enum"] = list(parameter.choices)
        elif parameter.type == "string":
            schema["maxLength"] = 200
        parameters[parameter.name] = schema
    return ToolSpec.model_validate(
        {
            **answer.model_dump(mode="json", include={"name", "description", "effect", "steps"}),
            "parameters": parameters,
            "required": [parameter.name for parameter in answer.parameters if parameter.required],
        }
    )


def _table(answer: TableAnswer) -> Table:
    columns = tuple(Column(**column.model_dump(exclude={"fill"})) for column in answer.columns)
    return Table(name=answer.name, description=answer.description, primary_key=answer.primary_key, columns=columns)


def _recipe(answer: TableAnswer) -> TableRecipe:
    return TableRecipe.model_validate(
        {
            "table": answer.name,
            "count": answer.rows,
            "each": answer.each,
            "distinct": answer.distinct,
            "columns": {
                column.name: column.fill.model_dump(exclude_defaults=True)
                | ({"unique": True} if column.unique or (column.name,) == answer.primary_key else {})
                for column in answer.columns
            },
        }
    )
