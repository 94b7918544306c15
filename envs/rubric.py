"""What is graded: criteria of eight kinds in three lists. Data only; `grading` decides them.

    Criterion   state    a SQL query on the final world returns a row
                writes   net changes: required ones are there, and none outside the allowed ones
                call     a call with matching arguments succeeded
                order    each `then` event has a `first` event before it
                ask      a hidden fact was released by a question before its value was used
                tell     a value reached the user in the agent's words
                forbid   any of the above, negated
    Rubric      subgoals and interactions are fractions; `forbidden` lists what must hold throughout

The kind `judge` (a language model, only where nothing else decides) is not built yet.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mocktrial.mocktools.spec import Frozen


class _Base(Frozen):
    id: str
    description: str = ""
    weight: float = Field(default=1.0, gt=0)


class StateCriterion(_Base):
    kind: Literal["state"] = "state"
    sql: str  # a query on the final world; holds when it returns a row
    values: dict[str, Any] = Field(default_factory=dict)


class WritePattern(Frozen):
    """Matches a net change of a row; an empty field matches anything."""

    table: str
    op: Literal["insert", "update", "delete"] | None = None
    columns: tuple[str, ...] | None = None  # an update may change these columns at most
    key: dict[str, Any] = Field(default_factory=dict)
    new: dict[str, Any] = Field(default_factory=dict)  # new values by column


class WritesCriterion(_Base):
    kind: Literal["writes"] = "writes"
    required: tuple[WritePattern, ...] = ()
    allowed: tuple[WritePattern, ...] | None = None  # None: anything is allowed
    most: int | None = Field(default=None, ge=0)  # changed rows at most: one pattern fits a row that is made twice


class CallCriterion(_Base):
    kind: Literal["call"] = "call"
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    code: str = ""  # of the failure it must end in; empty: it must succeed
    compare: str = "typed"  # how arguments are compared: a name in `grading.MATCHERS`


class EventPattern(Frozen):
    kind: Literal["call", "release", "confirm"]
    name: str = ""  # tool or fact; empty matches any


class OrderCriterion(_Base):
    kind: Literal["order"] = "order"
    first: EventPattern
    then: EventPattern


class AskCriterion(_Base):
    kind: Literal["ask"] = "ask"
    fact: str


class TellCriterion(_Base):
    kind: Literal["tell"] = "tell"
    any_of: tuple[str, ...] = ()  # accepted wordings of one value
    sql: str = ""  # or: a query whose first column gives the accepted wordings
    values: dict[str, Any] = Field(default_factory=dict)


Positive = Annotated[
    StateCriterion | WritesCriterion | CallCriterion | OrderCriterion | AskCriterion | TellCriterion,
    Field(discriminator="kind"),
]


class ForbidCriterion(_Base):
    kind: Literal["forbid"] = "forbid"
    of: Positive


Criterion = Annotated[
    StateCriterion | WritesCriterion | CallCriterion | OrderCriterion | AskCriterion | TellCriterion | ForbidCriterion,
    Field(discriminator="kind"),
]


class Rubric(Frozen):
    subgoals: tuple[Criterion, ...] = ()
    interactions: tuple[Criterion, ...] = ()
    forbidden: tuple[Criterion, ...] = ()  # a criterion that does not hold here is a violation

    def criteria(self) -> tuple[Criterion, ...]:
        return self.subgoals + self.interactions + self.forbidden
