"""What users want in a domain: `goals.json` as frozen models, templates over rows, facts and gold calls.

`planning` carries a goal out, `tasks` makes a task of it. Templates are text in which `{name}` stands for a
fact as it is spoken or for a bound value, `{name:day}` for its value spoken as a day. Whether each name that
a goal mentions is there is checked when it is read; the error names goal and key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from mocktrial.envs.rubric import Criterion, ForbidCriterion
from mocktrial.envs.task import Persona
from mocktrial.mocktools.faults import Fault
from mocktrial.mocktools.spec import FileName, Frozen, Name
from mocktrial.synth.form.steps import BoundSource, CallTemplate, ComputeSource, FactSource, StepSource
from mocktrial.synth.form.templates import Manner, slots, sql_names

MAX_CALLS = 12  # of a plan, each row of an `each` counted
FactKind = Literal["missing", "vague", "ambiguous", "presupposition", "preference", "constraint"]
Family = Literal["tool_use", "no_tool", "impossible", "policy", "faulty", "injected", "math", "search"]
FAMILIES: tuple[Family, ...] = get_args(Family)
_WORD = re.compile(r"\w+")
_EVERY_COLUMN = re.compile(r"(?i)select\s+(distinct\s+)?(\w+\.)?\*")


class Query(Frozen):
    """One row of the query, chosen by seed; its columns become bound values."""

    sql: str


class Pick(Frozen):
    """A value that stands in no table, chosen by seed."""

    name: Name
    choices: tuple[Any, ...] = Field(min_length=1)


class FactTemplate(Frozen):
    """A bound value that the user knows. With `hide` it may be left out of the instruction.

    Other values of it come from `alternatives` (a query over bound values) or from the `Pick` of its name.
    """

    id: Name  # the bound value of this name is the fact's
    label: str
    question: str
    kind: FactKind = "missing"  # why the agent must ask when it is hidden
    says: Manner = ""  # "Tuesday 12 May", "10:30", "$12.50", "yes"
    spoken: str = "{}"  # around that: "{} days"
    spoken_as: dict[str, str] = Field(default_factory=dict)  # by value as text: {"-rating": "the best rated one"}
    aliases: tuple[str, ...] = ()
    alternatives: str = ""
    hide: bool = True


class Goal(Frozen):
    id: FileName = Field(max_length=32)  # part of the ids of its tasks
    family: Family = "tool_use"
    tags: tuple[str, ...] = ()  # what is special about it: "loop", "condition", "choice", "arithmetic", "undo", "multi"
    gap: bool = True  # something is hidden and must be asked for
    bind: tuple[Query | Pick, ...] = ()
    facts: tuple[FactTemplate, ...] = ()
    plan: tuple[CallTemplate, ...] = Field(default=(), max_length=MAX_CALLS)
    finish: str  # `{name}` also stands for `{step.path}`; brackets as below, for steps that a `when` left out
    wish: str  # the whole of it, hidden part included
    # A part in brackets is left out when it mentions a hidden fact, or replaced by what follows a bar, which
    # may name bound values: "Book {patient}[ on {day}] with a [{field} doctor|doctor]."
    instructions: tuple[str, ...] = Field(min_length=1)
    subgoals: tuple[Criterion, ...] = ()
    forbidden: tuple[Criterion, ...] = ()
    faults: tuple[Fault, ...] = ()
    violation: tuple[CallTemplate, ...] = ()  # what must not be done, after the plan; drawn by seed when empty

    @property
    def difficulty(self) -> int:
        return len(self.plan)

    @model_validator(mode="after")
    def _names_known(self) -> Goal:
        """Each step, fact, subgoal and bound value that the goal names is there."""
        _Names(self).check()
        return self


class Goals(Frozen):
    personas: tuple[Persona, ...] = (Persona(),)
    goals: tuple[Goal, ...] = Field(min_length=1)


class _Names:
    """What a goal's templates may name. Each mistake is a `ValueError` that says where."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.facts = {fact.id for fact in goal.facts}
        self.bound = {source.name for source in goal.bind if isinstance(source, Pick)}
        for source in goal.bind:
            if isinstance(source, Query):
                self.bound.update(_WORD.findall(source.sql))  # its columns are among them
                if _EVERY_COLUMN.search(source.sql):
                    self.bound.add("*")
        self.steps: dict[str, CallTemplate] = {}

    def check(self) -> None:
        goal = self.goal
        if not goal.plan and goal.family not in ("no_tool", "impossible"):
            raise ValueError(f"goal {goal.id}: plan is empty, which only families no_tool and impossible may be")
        for fact in goal.facts:
            self._known(f"fact {fact.id}", (fact.id, *sql_names(fact.alternatives)))
            self._text(f"the question of {fact.id}", fact.question)
        for call in (*goal.plan, *goal.violation):
            self._call(call)
            if call.id in self.steps:
                raise ValueError(f"goal {goal.id}: two steps are called {call.id!r}; give one an id")
            self.steps[call.id] = call
        for text in (goal.wish, *goal.instructions):
            self._text("wish or instructions", text)
        self._text("finish", goal.finish, self.steps)
        for criterion in (*goal.subgoals, *goal.forbidden):
            plain = criterion.of if isinstance(criterion, ForbidCriterion) else criterion
            self._known(f"criterion {criterion.id}", sql_names(getattr(plain, "sql", "")))

    def _call(self, call: CallTemplate) -> None:
        self._known(call.id, call.names())
        if call.each:
            self._step(call.id, call.each)
            if self.steps[call.each].each:
                raise ValueError(
                    f"goal {self.goal.id}: {call.id} is made for each row of {call.each!r}, itself such a step"
                )
        elif call.names():
            raise ValueError(f"goal {self.goal.id}: {call.id} has where, at_most or at_least without each")
        if call.when:
            self._known(call.id, call.when.names())
            self._step(call.id, call.when.step)
        for argument in call.arguments.values():
            if isinstance(argument, FactSource) and argument.fact not in self.facts:
                raise ValueError(f"goal {self.goal.id}: {call.id} refers to {argument.fact!r}, no fact")
            if isinstance(argument, BoundSource):
                self._known(call.id, (argument.bound,))
            if isinstance(argument, ComputeSource):
                self._known(call.id, (name for name in sql_names(argument.compute) if name not in argument.of))
            if isinstance(argument, StepSource) and argument.all:
                raise ValueError(f"goal {self.goal.id}: {call.id} takes all rows, which only a part of compute may")
        for source in call.steps():
            self._known(call.id, source.names())
            self._step(call.id, source.step)
            each = self.steps[source.step].each
            if each and each != call.each and not source.all:
                raise ValueError(
                    f"goal {self.goal.id}: {call.id} refers to {source.step!r}, which is made for each row"
                )
        self._text(f"confirm of {call.id}", call.confirm, self.steps)

    def _step(self, place: str, name: str) -> None:
        if name not in self.steps:
            raise ValueError(f"goal {self.goal.id}: {place} refers to {name!r}, no earlier step")

    def _known(self, place: str, names: Any) -> None:
        for name in names:
            if name not in self.bound and "*" not in self.bound:
                raise ValueError(f"goal {self.goal.id}: {place} names {name!r}, which bind does not give")

    def _text(self, place: str, text: str, steps: Mapping[str, CallTemplate] | None = None) -> None:
        for name in slots(text):
            step, dot, _ = name.partition(".")
            if dot and step not in (steps or {}):
                raise ValueError(f"goal {self.goal.id}: {place} refers to {step!r}, no step")
            if not dot:
                self._known(place, (name,))
