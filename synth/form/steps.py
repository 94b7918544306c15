"""A gold call as data: which tool, when, how often, and where each argument comes from.

Frozen models only; `planning` carries them out. A name in `where`, `at_most`, `at_least` and `best` is a
fact's or a bound value's. Unknown keys are errors that name the key.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from mocktrial.mocktools.spec import Frozen, Name


class FactSource(Frozen):
    fact: Name


class BoundSource(Frozen):
    bound: Name  # a bound value that is no fact


class LiteralSource(Frozen):
    value: Any


class Filter(Frozen):
    """Which rows of a result count: those that agree with facts or bound values, named by column."""

    where: dict[str, Name] = Field(default_factory=dict)  # equal
    at_most: dict[str, Name] = Field(default_factory=dict)  # numbers, dates and times; an empty value never agrees
    at_least: dict[str, Name] = Field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """The facts and bound values that decide."""
        return (*self.where.values(), *self.at_most.values(), *self.at_least.values())


class StepSource(Filter):
    """From the result of a named step: the value at `take` in the one row that agrees.

    `step` may be the call's own `each`: then it is the row of the turn.
    """

    step: Name
    take: str = "id"
    # Of the rows that agree the one with the lowest "price" (also "+price"), the highest "-price", or as the
    # fact says whose value is such a text: "{wish}".
    best: str = ""
    first: bool = False  # the first row that agrees, however many do
    all: bool = False  # only in `of`: `take` of every row that agrees, as a JSON list; "" is the row itself

    def names(self) -> tuple[str, ...]:
        preferred = (self.best[1:-1],) if self.best.startswith("{") else ()
        return (*super().names(), *preferred)


class ComputeSource(Frozen):
    """A SQL expression over `:name`s: facts, bound values and the parts of results named in `of`."""

    compute: str
    of: dict[Name, StepSource] = Field(default_factory=dict)


_KINDS = {
    "fact": FactSource,
    "bound": BoundSource,
    "step": StepSource,
    "value": LiteralSource,
    "compute": ComputeSource,
}


def _kind_of(data: Any) -> str | None:
    has = data.__contains__ if isinstance(data, dict) else lambda key: isinstance(data, _KINDS[key])
    return next((key for key in _KINDS if has(key)), None)


ArgumentTemplate = Annotated[
    Annotated[FactSource, Tag("fact")]
    | Annotated[BoundSource, Tag("bound")]
    | Annotated[StepSource, Tag("step")]
    | Annotated[LiteralSource, Tag("value")]
    | Annotated[ComputeSource, Tag("compute")],
    Discriminator(
        _kind_of,
        custom_error_type="argument",
        custom_error_message="an argument has one of the keys fact, bound, step, value, compute",
    ),
]


class When(Filter):
    """Holds if some row of the step's result agrees; with `none` if no row does."""

    step: Name
    none: bool = False


class CallTemplate(Filter):
    """A gold call. With `each` it is made once a row of that step's result, of those rows that agree."""

    call: Name
    id: Name  # by which later steps refer to it; the tool's name when not given
    arguments: dict[Name, ArgumentTemplate] = Field(default_factory=dict)
    each: Name | None = None
    when: When | None = None  # else the call is left out of the plan
    subgoal: str = ""  # a criterion's id; a write without one gets its own, made from what it changed
    confirm: str = ""  # asked of the user before the first call of the tool, which must not come without a yes
    code: str = ""  # of the failure in which the call must end; empty: it must succeed

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        return {"id": data.get("call"), **data} if isinstance(data, dict) else data

    def steps(self) -> tuple[StepSource, ...]:
        """Every source of the call's arguments that is part of a result."""
        found: list[StepSource] = []
        for source in self.arguments.values():
            if isinstance(source, StepSource):
                found.append(source)
            elif isinstance(source, ComputeSource):
                found += source.of.values()
        return tuple(found)
