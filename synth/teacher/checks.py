"""Whether an answer holds: each check puts what is good into the draft and returns what is wrong, as lines.

The judges are those of every other world and task: pydantic, `compile_world`, `check_world`, `make_task`,
`prove`. A line says where, what and how to mend it, and goes back to the model as it is. No check raises for
what an answer holds: `contained` is the boundary, and what data raises there unforeseen is a line too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import apsw
from pydantic import ValidationError

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import MocktrialError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.world import World
from mocktrial.synth.form.goals import Goal
from mocktrial.synth.plan.planning import Unplannable
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.proof.prove import prove
from mocktrial.synth.teacher.answers import (
    ConstraintAnswer,
    ConstraintsAnswer,
    FillParent,
    FillReference,
    GoalAnswer,
    PersonaAnswer,
    StepArgument,
    TableAnswer,
    TasksAnswer,
    ToolAnswer,
    ToolsAnswer,
    WorkflowAnswer,
    WorldAnswer,
)
from mocktrial.synth.teacher.draft import Draft, tool_of

MAX_ROWS = 1000  # of a whole world
# What data that no check foresaw may raise in the code that takes it; a bug of ours raises other things too.
_STRANGE = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
_ROUNDS = 6  # of generated calls a tool; the world is checked in full when its tasks are made
_DRAFTS = 6  # seeds that a goal may use up until one task of it proves itself


@dataclass(frozen=True)
class Problem:
    """Why (part of) an answer does not hold. `kind` is counted, `line` goes back to the model."""

    kind: str
    line: str


def contained(where: str, kind: str, work: Callable[[], list[Problem]]) -> list[Problem]:
    """What `work` finds; what it raises is a problem of `kind` at `where`."""
    try:
        return work()
    except ValidationError as error:
        return invalid(where, error)
    except MocktrialError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return [Problem(kind, f"{where}: {error}{hint}")]
    except Unplannable as error:
        return [Problem(kind, f"{where}: {error.reason}")]
    except apsw.Error as error:
        return [Problem(kind, f"{where}: SQL: {error}")]
    except _STRANGE as error:
        return [Problem("check broke", f"{where}: {type(error).__name__}: {error}")]


def invalid(where: str, error: ValidationError) -> list[Problem]:
    """The first few things that pydantic found."""
    problems = []
    for item in error.errors(include_url=False)[:5]:
        place = ".".join(str(part) for part in item["loc"])
        reason = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
        kind = "broken JSON" if item["type"] == "json_invalid" else "schema"
        problems.append(Problem(kind, f"{where}: {place + ': ' if place else ''}{reason}"))
    return problems


def check_persona(draft: Draft, answer: PersonaAnswer) -> list[Problem]:
    draft.persona = answer
    return []


def check_workflow(draft: Draft, answer: WorkflowAnswer) -> list[Problem]:
    draft.workflow = answer
    return []


def check_tables(draft: Draft, answer: WorldAnswer) -> list[Problem]:
    """Names agree, the recipe can be met, the world compiles."""
    problems = [Problem("world", line) for line in _loose_ends(answer)]
    if problems:
        return problems
    draft.world = answer

    def compiles() -> list[Problem]:
        compile_world(draft.filled(()))
        return []

    problems = contained("world", "world", compiles)
    if problems:
        draft.world = None
    return problems


def _loose_ends(answer: WorldAnswer) -> Iterator[str]:
    tables: dict[str, TableAnswer] = {}
    rows: Counter[str] = Counter()
    for table in answer.tables:
        where = f"table {table.name}"
        columns = {column.name for column in table.columns}
        rows[table.name] += table.rows * (rows[table.each] or 1 if table.each else 1)
        if table.each and table.each not in tables:
            yield f"{where}: each names {table.each!r}, no earlier table"
        for name in (*table.primary_key, *table.distinct):
            if name not in columns:
                yield f"{where}: names column {name!r}, which it does not have"
        parents = {column.name for column in tables[table.each].columns} if table.each in tables else set()
        for column in table.columns:
            fill = column.fill
            if isinstance(fill, FillParent) and fill.parent not in parents:
                yield f"{where}, column {column.name}: parent {fill.parent!r} is no column of the table in `each`"
            targets = [column.references, fill.references if isinstance(fill, FillReference) else ""]
            for target in filter(None, targets):
                name, _, key = target.partition(".")
                if name not in tables or key not in {other.name for other in tables[name].columns}:
                    yield f"{where}, column {column.name}: {target!r} is no column of an earlier table"
        tables[table.name] = table
    if rows.total() > MAX_ROWS:
        yield f"world: {rows.total()} rows, at most {MAX_ROWS}; lower rows, remember that each multiplies"


def check_tools(draft: Draft, answer: ToolsAnswer) -> list[Problem]:
    """Each tool by itself, so that one broken tool does not hide another. The good ones are kept."""
    problems: list[Problem] = []
    bare = draft.filled(())
    for tool in answer.tools:
        problems += contained(f"tool {tool.name}", "tool", partial(_tool, draft, tool, bare))
    if not problems and not enough_tools(draft):
        problems.append(Problem("tool", "tools: at least one write and one read are needed"))
    return problems


def _tool(draft: Draft, answer: ToolAnswer, bare: WorldSpec) -> list[Problem]:
    spec = tool_of(answer)
    toolkit = bare.toolkits[0].model_copy(update={"tools": (spec,)})
    report = check_world(bare.model_copy(update={"toolkits": (toolkit,)}), rounds=_ROUNDS)
    if report.ok:
        draft.tools[spec.name] = spec
    return [Problem("tool", f"tool {spec.name}: {item.rule}: {item.detail}") for item in report.problems]


def enough_tools(draft: Draft) -> bool:
    return {tool.effect for tool in draft.tools.values()} == {"read", "write"}


def check_constraints(draft: Draft, answer: ConstraintsAnswer) -> list[Problem]:
    """A rule names writes that exist, or a query that runs, changes nothing and returns no row at the start."""
    image = compile_world(draft.filled())
    problems: list[Problem] = []
    for item in answer.constraints:
        problems += contained(f"constraint {item.id}", "constraint", partial(_constraint, draft, item, image))
    return problems


def _constraint(draft: Draft, item: ConstraintAnswer, image: WorldImage) -> list[Problem]:
    writes = [name for name, tool in draft.tools.items() if tool.effect == "write"]
    lines = [f"{name!r} is no write; writes: {', '.join(writes)}" for name in item.confirm if name not in writes]
    if item.never:
        lines += _never(image, item.never)
    if not item.confirm and not item.never:
        lines.append("give confirm or never")
    if not lines:
        draft.constraints[item.id] = item
    return [Problem("constraint", f"constraint {item.id}: {line}") for line in lines]


def _never(image: WorldImage, sql: str) -> list[str]:
    with World.open(image, 0) as world:
        before = world.digest()
        rows = world.query(sql)
        if world.digest() != before:
            return ["never changes the world; it must be one SELECT"]
    return [f"never returns {len(rows)} row(s) before anything is done"] if rows else []


def check_goals(draft: Draft, answer: TasksAnswer) -> list[Problem]:
    """A goal is kept when a task of it proves itself."""
    image = compile_world(draft.filled())
    problems: list[Problem] = []
    for item in answer.goals:
        problems += contained(f"goal {item.id}", "goal", partial(_goal, draft, item, image))
    if not problems and not draft.goals:
        problems.append(Problem("goal", "tasks: at least one goal is needed"))
    return problems


def _goal(draft: Draft, answer: GoalAnswer, image: WorldImage) -> list[Problem]:
    lines = list(_unknown_names(draft, answer))
    if not lines:
        goal = draft.goal(answer)
        lines = _unproved(draft, goal, image)
        if not lines:
            draft.goals[goal.id] = goal
    return [Problem("goal", f"goal {answer.id}: {line}") for line in lines]


def _unknown_names(draft: Draft, goal: GoalAnswer) -> Iterator[str]:
    for call in goal.plan:
        tool = draft.tools.get(call.call)
        if tool is None:
            yield f"there is no tool {call.call!r}; tools: {', '.join(draft.tools)}"
            continue
        for name, source in call.arguments.items():
            if name not in tool.parameters:
                yield f"tool {call.call} has no argument {name!r}; it has: {', '.join(tool.parameters)}"
            if isinstance(source, StepArgument) and source.step not in [other.id or other.call for other in goal.plan]:
                yield f"call {call.call}: {source.step!r} is no step"
        missing = [name for name in tool.required if name not in call.arguments]
        if missing:
            yield f"tool {call.call} needs the argument {missing[0]!r}"


def _unproved(draft: Draft, goal: Goal, image: WorldImage) -> list[str]:
    """Nothing when one of a few drafts proves; else what stood in the way, most frequent first."""
    reasons: Counter[str] = Counter()
    for number in range(_DRAFTS):
        seed = derive(draft.seed, "teacher", "trial", draft.number, goal.id, number)
        try:
            task = make_task(goal, image, domain=draft.name, personas=(draft.user(),), seed=seed)
        except Unplannable as error:
            reasons[error.reason.removeprefix(f"{goal.id}: ")] += 1
            continue
        proof = prove(task, image)
        if proof.ok:
            return []
        reasons.update(proof.failures[:2])
    return [f"{reason} (in {count} of {_DRAFTS} drafts)" for reason, count in reasons.most_common(2)]
