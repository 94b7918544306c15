"""A domain as data: what a folder under `domains/` holds, as frozen models.

    world.json   a WorldSpec without seeded rows (static rows may stand in it)
    rows.json    RowRecipe: how to fill its tables from a seed
    goals.json   Goals: what users want there, as templates over rows, facts and gold calls

A domain holds no code; one row generator (`rows`) and one planner (`planning`) serve all. Templates are
text in which `{name}` stands for a fact as it is spoken or for a bound value. Errors are `SpecError`
with the file and the key.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from mocktrial.envs.rubric import Criterion
from mocktrial.envs.task import Persona
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.spec import FileName, Frozen, Name, WorldSpec

# Rows.


class _Source(Frozen):
    """Where a column's values come from. `format` wraps the value; `null` is the share left empty."""

    format: str = ""  # "Dr {}"
    unique: bool = False  # within the table
    null: float = Field(default=0.0, ge=0, le=1)


class Sequence(_Source):
    sequence: str  # "d{n}", n from 1


class Choices(_Source):
    choices: tuple[Any, ...]


class Words(_Source):
    words: str  # a mimesis provider, "person.first_name"
    longest: int = 40  # characters; longer ones are drawn again


class Reference(_Source):
    references: str  # "table.column" of a table filled before


class FromParent(_Source):
    parent: Name  # a column of the row named by the table's `each`


class Whole(_Source):
    integer: tuple[int, int]  # first and last
    step: int = 1


class Day(_Source):
    day: tuple[int, int]  # days from the virtual now, first and last; a date


ColumnSource = Sequence | Choices | Words | Reference | FromParent | Whole | Day


class TableRecipe(Frozen):
    table: Name
    count: int | tuple[int, int] = 1  # rows, or rows for each row of `each`
    each: Name | None = None  # a table filled before
    distinct: tuple[Name, ...] = ()  # columns that no two rows share all of
    columns: dict[Name, ColumnSource]


class RowRecipe(Frozen):
    locale: str = "en"  # of mimesis; pinned, so that names do not depend on the machine
    tables: tuple[TableRecipe, ...]


# Goals.


class Query(Frozen):
    """One row of the query, chosen by seed; its columns become bound values."""

    sql: str


class Pick(Frozen):
    """A value that stands in no table, chosen by seed."""

    name: Name
    choices: tuple[Any, ...]


class FactTemplate(Frozen):
    """A bound value that the user knows. With `hide` it may be left out of the instruction.

    Other values of it come from `alternatives` (a query over bound values) or from the `Pick` of its name.
    """

    id: Name  # the bound value of this name is the fact's
    label: str
    question: str
    spoken: str = "{}"
    aliases: tuple[str, ...] = ()
    alternatives: str = ""
    hide: bool = True


class FactSource(Frozen):
    fact: Name


class BoundSource(Frozen):
    bound: Name  # a bound value that is no fact


class StepSource(Frozen):
    """From the result of a named step: the value at `take` in the one row that agrees with `where`."""

    step: Name
    take: str = "id"
    where: dict[str, str] = Field(default_factory=dict)  # column of the result: name of a fact or bound value
    first: bool = False  # take the first row, whatever it holds


class LiteralSource(Frozen):
    value: Any


ArgumentTemplate = FactSource | BoundSource | StepSource | LiteralSource


class CallTemplate(Frozen):
    call: Name
    id: Name  # by which later steps refer to it; the tool's name when not given
    arguments: dict[Name, ArgumentTemplate] = Field(default_factory=dict)
    subgoal: str = ""  # a criterion's id; a write without one gets its own, made from what it changed
    confirm: str = ""  # asked of the user right before the call, which must then not come without a yes

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        return {"id": data.get("call"), **data} if isinstance(data, dict) else data


class Goal(Frozen):
    id: FileName = Field(max_length=32)  # part of the ids of its tasks
    bind: tuple[Query | Pick, ...]
    facts: tuple[FactTemplate, ...]
    plan: tuple[CallTemplate, ...]
    finish: str  # `{name}` also stands for `{step.path}`
    wish: str  # the whole of it, hidden part included
    # A part in brackets is left out when it mentions a hidden fact, or replaced by what follows a bar:
    # "Book {patient}[ on {day}] with a [{field} doctor|doctor]."
    instructions: tuple[str, ...] = Field(min_length=1)
    subgoals: tuple[Criterion, ...] = ()
    forbidden: tuple[Criterion, ...] = ()

    @property
    def difficulty(self) -> int:
        return len(self.plan)

    @model_validator(mode="after")
    def _names_known(self) -> Goal:
        """Each step, fact and subgoal that the goal names is there."""
        facts = {fact.id for fact in self.facts}
        steps: set[str] = set()
        for call in self.plan:
            for argument in call.arguments.values():
                if isinstance(argument, StepSource) and argument.step not in steps:
                    raise ValueError(f"goal {self.id}: {call.id} refers to {argument.step!r}, no earlier step")
                if isinstance(argument, FactSource) and argument.fact not in facts:
                    raise ValueError(f"goal {self.id}: {call.id} refers to {argument.fact!r}, no fact")
            if call.id in steps:
                raise ValueError(f"goal {self.id}: two steps are called {call.id!r}; give one an id")
            steps.add(call.id)
        return self


class Goals(Frozen):
    personas: tuple[Persona, ...] = (Persona(),)
    goals: tuple[Goal, ...] = Field(min_length=1)


class Blueprint(Frozen):
    """A whole domain."""

    name: FileName
    world: WorldSpec
    rows: RowRecipe
    goals: Goals


def shipped_domains() -> tuple[str, ...]:
    """Names of the domains that come with mocktrial, sorted."""
    return tuple(sorted(entry.name for entry in _domains().iterdir() if entry.is_dir()))


def load_blueprint(name: str) -> Blueprint:
    """A shipped domain by its name. Raises `UsageError` for an unknown one."""
    if name not in shipped_domains():
        raise UsageError(f"there is no domain {name!r}", hint=f"domains are: {', '.join(shipped_domains())}")
    return read_blueprint(_domains() / name)


def read_blueprint(folder: Path) -> Blueprint:
    """A domain from its folder. Raises `SpecError` that names file and key."""
    return Blueprint(
        name=folder.name,
        world=_read(folder / "world.json", TypeAdapter(WorldSpec)),
        rows=_read(folder / "rows.json", TypeAdapter(RowRecipe)),
        goals=_read(folder / "goals.json", TypeAdapter(Goals)),
    )


def _domains() -> Path:
    return Path(str(resources.files("mocktrial.synth"))) / "domains"


def _read(path: Path, kind: TypeAdapter[Any]) -> Any:
    try:
        return kind.validate_json(path.read_bytes())
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}", hint="a domain has world.json, rows.json and goals.json"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SpecError(f"{path}: {where}: {first['msg']}", hint="docs/domains.md has every key") from error
