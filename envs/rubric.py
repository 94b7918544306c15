"""What is graded: criteria of eight kinds in three lists. Data only; `grading` decides them, but for `judge`.

    Criterion   state    a SQL query on the final world returns a row
                writes   net changes: required ones are there, and none outside the allowed ones
                call     a call with matching arguments succeeded
                order    each `then` event has a `first` event before it
                ask      a hidden fact was released by a question before its value was used
                tell     a value reached the user in the agent's words
                forbid   any of the above, negated
                judge    a question to a language model, only where nothing else decides (`judging`)
    Rubric      subgoals and interactions are fractions; `forbidden` lists what must hold throughout

A judge never decides alone: a side made of judge criteria only, and one among the forbidden acts, whose
violation would be the whole reward, are refused with `ValidationError`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

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


Source = Literal["say", "call", "result", "user"]


class JudgeCriterion(_Base):
    """Decided after the episode by a language model that reads the transcript and must quote it."""

    kind: Literal["judge"] = "judge"
    question: str = Field(min_length=1)  # yes means that the criterion holds
    evidence: str = ""  # what a yes must quote, in words for the judge
    # Where a quote must stand: the agent's words, its calls that succeeded, what tools gave, the user's words.
    # A claim is the agent's word; a criterion that is not about words leaves `say` out.
    sources: tuple[Source, ...] = Field(default=("call", "result"), min_length=1)
    names: tuple[str, ...] = ()  # a quote for a yes must hold one of these as whole words; empty: any words do
    line: float = Field(default=0.6, gt=0, le=1)  # mean score of the votes from which it passes
    votes: int = Field(default=5, ge=1, le=25)  # at most, where the first one is near the line


Criterion = Annotated[
    StateCriterion
    | WritesCriterion
    | CallCriterion
    | OrderCriterion
    | AskCriterion
    | TellCriterion
    | ForbidCriterion
    | JudgeCriterion,
    Field(discriminator="kind"),
]


class Rubric(Frozen):
    subgoals: tuple[Criterion, ...] = ()
    interactions: tuple[Criterion, ...] = ()
    forbidden: tuple[Criterion, ...] = ()  # a criterion that does not hold here is a violation

    @model_validator(mode="after")
    def _judges_decide_nothing_alone(self) -> Rubric:
        for side, criteria in (("subgoals", self.subgoals), ("interactions", self.interactions)):
            if criteria and all(isinstance(criterion, JudgeCriterion) for criterion in criteria):
                raise ValueError(f"{side}: all are judge criteria; one at least must be a predicate")
        if any(isinstance(criterion, JudgeCriterion) for criterion in self.forbidden):
            raise ValueError("forbidden: a judge criterion cannot stand here")
        return self

    def criteria(self) -> tuple[Criterion, ...]:
        return self.subgoals + self.interactions + self.forbidden

    def judged(self) -> tuple[JudgeCriterion, ...]:
        return tuple(criterion for criterion in self.criteria() if isinstance(criterion, JudgeCriterion))

    def without_judges(self) -> Rubric:
        """What predicates decide."""
        kept = [
            tuple(criterion for criterion in side if not isinstance(criterion, JudgeCriterion))
            for side in (self.subgoals, self.interactions)
        ]
        return Rubric(subgoals=kept[0], interactions=kept[1], forbidden=self.forbidden)
