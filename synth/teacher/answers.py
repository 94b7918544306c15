"""What the model writes: one small form a step, narrower than ours, so that small models can write it.

Every text is one printable line of bounded length, every name and format matches a pattern, every list and
count has a ceiling; the rest of our form (free formats, JSON Schema, criteria) is not theirs to write.
A form that does not fit is a pydantic `ValidationError`. Nothing here looks at other answers: `checks` does.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from mocktrial.mocktools.spec import ColumnType, Frozen
from mocktrial.synth.form.goals import FactKind
from mocktrial.synth.form.templates import Manner


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


Ident = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
MaybeIdent = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,30})?$")]
Line = Annotated[str, Field(max_length=300), AfterValidator(_one_line)]
Sql = Annotated[str, Field(min_length=1, max_length=1500)]
MaybeSql = Annotated[str, Field(max_length=1500)]
Target = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}\.[a-z][a-z0-9_]{0,30}$")]  # table.column
MaybeTarget = Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]{0,30}\.[a-z][a-z0-9_]{0,30})?$")]
Number = Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)]
Days = Annotated[int, Field(ge=-3650, le=3650)]
Scalar = Annotated[str, Field(max_length=80), AfterValidator(_one_line)] | Number | bool
Names = Annotated[dict[str, Ident], Field(max_length=4)]  # column of a result: fact or bound value
Words = Literal[
    "person.first_name", "person.last_name", "person.full_name", "address.city", "address.street_name",
    "food.dish", "food.fruit", "food.vegetable", "transport.car",
]  # fmt: skip


def _by_key(*keys: str) -> Discriminator:
    """Tells forms apart by the key that only one of them has, so that an error speaks of one form."""

    def kind(data: Any) -> str | None:
        has = data.__contains__ if isinstance(data, dict) else partial(hasattr, data)
        return next((key for key in keys if has(key)), None)

    message = f"must have one of the keys {', '.join(keys)}"
    return Discriminator(kind, custom_error_type="form", custom_error_message=message)


class PersonaAnswer(Frozen):
    """Who the user is."""

    name: Annotated[Line, Field(min_length=1, max_length=40)]
    occupation: Annotated[Line, Field(min_length=1, max_length=80)]
    manner: Literal["plain", "terse", "chatty"]
    situation: Annotated[Line, Field(min_length=1)]


class WorkflowAnswer(Frozen):
    """What an assistant does for that person, and where."""

    domain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,20}$")]
    description: Annotated[Line, Field(min_length=1)]
    duties: Annotated[tuple[Line, ...], Field(min_length=1, max_length=8)]


class _Fill(Frozen):
    unique: bool = False
    null: Annotated[float, Field(ge=0, le=0.95)] = 0.0


class FillSequence(_Fill):
    sequence: Annotated[str, Field(pattern=r"^[A-Za-z-]{0,8}\{n\}$")]


class FillChoices(_Fill):
    choices: Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=40)]


class FillWords(_Fill):
    words: Words


class FillReference(_Fill):
    references: Target


class FillParent(_Fill):
    parent: Ident


class FillWhole(_Fill):
    integer: tuple[Number, Number]
    step: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class FillDay(_Fill):
    day: tuple[Days, Days]


Fill = Annotated[
    Annotated[FillSequence, Tag("sequence")]
    | Annotated[FillChoices, Tag("choices")]
    | Annotated[FillWords, Tag("words")]
    | Annotated[FillReference, Tag("references")]
    | Annotated[FillParent, Tag("parent")]
    | Annotated[FillWhole, Tag("integer")]
    | Annotated[FillDay, Tag("day")],
    _by_key("sequence", "choices", "words", "references", "parent", "integer", "day"),
]


class ColumnAnswer(Frozen):
    name: Ident
    type: ColumnType = "text"
    null: bool = False
    unique: bool = False
    choices: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    references: MaybeTarget = ""
    fill: Fill


class TableAnswer(Frozen):
    name: Ident
    description: Line = ""
    primary_key: Annotated[tuple[Ident, ...], Field(min_length=1, max_length=3)]
    rows: Annotated[int, Field(ge=1, le=40)]
    each: Ident | None = None
    distinct: Annotated[tuple[Ident, ...], Field(max_length=6)] = ()
    columns: Annotated[tuple[ColumnAnswer, ...], Field(min_length=1, max_length=12)]


class WorldAnswer(Frozen):
    """Tables, what fills them, and the rules of the place."""

    rules: Line = ""
    tables: Annotated[tuple[TableAnswer, ...], Field(min_length=1, max_length=8)]


class ParameterAnswer(Frozen):
    name: Ident
    type: Literal["string", "integer", "number", "boolean"] = "string"
    description: Line = ""
    required: bool = True
    choices: Annotated[tuple[Line, ...], Field(max_length=20)] = ()


class GiveAnswer(Frozen):
    give: Sql
    shape: Literal["row", "rows", "value"] = "row"


class RequireAnswer(Frozen):
    require: Sql
    error: Ident
    message: Line
    hint: Line = ""


class RunAnswer(Frozen):
    run: Sql


Step = Annotated[
    Annotated[RequireAnswer, Tag("require")] | Annotated[RunAnswer, Tag("run")] | Annotated[GiveAnswer, Tag("give")],
    _by_key("require", "run", "give"),
]


class ToolAnswer(Frozen):
    name: Ident
    description: Annotated[Line, Field(min_length=1)]
    effect: Literal["read", "write"]
    parameters: Annotated[tuple[ParameterAnswer, ...], Field(max_length=8)] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=8)]


class ToolsAnswer(Frozen):
    tools: Annotated[tuple[ToolAnswer, ...], Field(max_length=16)]


class ConstraintAnswer(Frozen):
    """A rule: writes that need a yes first, or a state that must never be (a query that must return no row)."""

    id: Ident
    rule: Annotated[Line, Field(min_length=1)]
    confirm: Annotated[tuple[Ident, ...], Field(max_length=8)] = ()
    never: MaybeSql = ""


class ConstraintsAnswer(Frozen):
    constraints: Annotated[tuple[ConstraintAnswer, ...], Field(max_length=6)]


class BindAnswer(Frozen):
    sql: Sql


class PickAnswer(Frozen):
    name: Ident
    choices: Annotated[tuple[Scalar, ...], Field(min_length=2, max_length=20)]


Bind = Annotated[Annotated[BindAnswer, Tag("sql")] | Annotated[PickAnswer, Tag("choices")], _by_key("sql", "choices")]


class FactAnswer(Frozen):
    id: Ident
    label: Annotated[Line, Field(min_length=1, max_length=80)]
    question: Annotated[Line, Field(min_length=1, max_length=120)]
    kind: FactKind = "missing"
    says: Manner = ""
    alternatives: MaybeSql = ""
    hide: bool = True


class FactArgument(Frozen):
    fact: Ident


class BoundArgument(Frozen):
    bound: Ident


class _Filter(Frozen):
    where: Names = Field(default_factory=dict)
    at_most: Names = Field(default_factory=dict)
    at_least: Names = Field(default_factory=dict)


class StepArgument(_Filter):
    step: Ident
    take: Ident = "id"
    best: Annotated[str, Field(pattern=r"^(-?[a-z][a-z0-9_]{0,30}|\{[a-z][a-z0-9_]{0,30}\})?$")] = ""


class ValueArgument(Frozen):
    value: Scalar


Argument = Annotated[
    Annotated[FactArgument, Tag("fact")]
    | Annotated[BoundArgument, Tag("bound")]
    | Annotated[StepArgument, Tag("step")]
    | Annotated[ValueArgument, Tag("value")],
    _by_key("fact", "bound", "step", "value"),
]


class WhenAnswer(_Filter):
    step: Ident
    none: bool = False


class CallAnswer(_Filter):
    call: Ident
    id: MaybeIdent = ""
    arguments: Annotated[dict[str, Argument], Field(max_length=8)] = Field(default_factory=dict)
    each: Ident | None = None
    when: WhenAnswer | None = None
    subgoal: MaybeIdent = ""
    confirm: Line = ""


class SubgoalAnswer(Frozen):
    """What must be reached; `:name` in the query is a bound value.

    state: the query returns a row at the end. tell: the user was told the value that the query returns.
    """

    id: Ident
    kind: Literal["state", "tell"]
    sql: Sql


class GoalAnswer(Frozen):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,24}$")]
    bind: Annotated[tuple[Bind, ...], Field(min_length=1, max_length=6)]
    facts: Annotated[tuple[FactAnswer, ...], Field(min_length=1, max_length=8)]
    plan: Annotated[tuple[CallAnswer, ...], Field(min_length=1, max_length=12)]
    wish: Annotated[Line, Field(min_length=1)]
    instructions: Annotated[tuple[Annotated[Line, Field(min_length=1)], ...], Field(min_length=1, max_length=6)]
    finish: Annotated[Line, Field(min_length=1)]
    subgoals: Annotated[tuple[SubgoalAnswer, ...], Field(max_length=6)] = ()


class TasksAnswer(Frozen):
    goals: Annotated[tuple[GoalAnswer, ...], Field(max_length=12)]


@lru_cache
def schema_of(form: type[Frozen]) -> dict[str, Any]:
    """The JSON Schema of a form as an endpoint gets it: pydantic's, without titles and defaults. Not to be changed."""
    return _slim(form.model_json_schema())


def is_strict(schema: Any) -> bool:
    """Whether the schema keeps to the part that OpenAI's strict mode takes: closed objects, all keys required."""
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and (
        schema.get("additionalProperties") is not False
        or set(schema.get("required", ())) != set(schema.get("properties", {}))
    ):
        return False
    return all(is_strict(item) for item in schema.values())


def _slim(schema: dict[str, Any]) -> dict[str, Any]:
    slim: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("title", "default"):
            continue
        if key in ("properties", "$defs"):
            slim[key] = {name: _slim(item) for name, item in value.items()}
        elif isinstance(value, dict):
            slim[key] = _slim(value)
        elif isinstance(value, list):
            slim[key] = [_slim(item) if isinstance(item, dict) else item for item in value]
        else:
            slim[key] = value
    return slim
