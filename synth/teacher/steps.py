"""The six steps in SynthAgent's order, each asked, checked and sent back until it holds.

    persona -> workflow -> world -> tools -> constraints -> tasks

What is good of an answer is kept, and only the rest is asked for again. When the tries are used up, the unit
goes on with what was kept where that is enough, and is given up (`GivenUp`) where it is not. The reason is
short and the same for all like it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.spec import Frozen
from mocktrial.synth.teacher import answers, checks
from mocktrial.synth.teacher.checks import Problem, contained, invalid
from mocktrial.synth.teacher.draft import Draft
from mocktrial.synth.teacher.errors import GivenUp
from mocktrial.synth.teacher.prompts import example, prompt_of, sent_back
from mocktrial.synth.teacher.wire import Question, Wire


@dataclass(frozen=True)
class Step:
    """check: puts what is good into the draft, returns what is wrong. kept: names of what the draft has of it."""

    name: str
    form: type[Frozen]
    check: Callable[[Draft, Any], list[Problem]]
    kept: Callable[[Draft], Sequence[str]]
    enough: Callable[[Draft], bool]


STEPS = (
    Step("persona", answers.PersonaAnswer, checks.check_persona, lambda draft: (), lambda draft: True),
    Step(
        "workflow", answers.WorkflowAnswer, checks.check_workflow,
        lambda draft: (), lambda draft: draft.workflow is not None,
    ),
    Step("world", answers.WorldAnswer, checks.check_tables, lambda draft: (), lambda draft: draft.world is not None),
    Step("tools", answers.ToolsAnswer, checks.check_tools, lambda draft: tuple(draft.tools), checks.enough_tools),
    Step(
        "constraints", answers.ConstraintsAnswer, checks.check_constraints,
        lambda draft: tuple(draft.constraints), lambda draft: True,
    ),
    Step(
        "tasks", answers.TasksAnswer, checks.check_goals,
        lambda draft: tuple(draft.goals), lambda draft: bool(draft.goals),
    ),
)  # fmt: skip


async def carry_out(step: Step, draft: Draft, wire: Wire, *, retries: int, goals: int, dropped: Counter[str]) -> None:
    """Fill the draft with the step's part. `dropped` counts what was lost of it, by reason.

    retries: how often an answer is sent back. Raises `GivenUp`, and what `Wire.ask` raises.
    """
    first = prompt_of(step.name, draft, goals)
    messages, problems = first, []
    for attempt in range(retries + 1):
        seed = derive(draft.seed, "teacher", draft.number, step.name, attempt)
        text = await wire.ask(Question(draft.number, step.name, attempt, seed, step.form, messages))
        problems = _read(step, draft, text)
        if not problems:
            return
        messages = sent_back(first, text, problems, step.kept(draft))
    if not step.enough(draft):
        raise GivenUp(f"teacher, {step.name}: {problems[0].kind}")
    dropped.update(f"teacher, {step.name}: {problem.kind}" for problem in problems)


def _read(step: Step, draft: Draft, text: str) -> list[Problem]:
    try:
        answer = step.form.model_validate_json(_object(text))
    except ValidationError as error:
        return invalid(f"{step.name} answer", error)
    if isinstance(answer, answers.WorldAnswer) and _tables(answer) == _tables(example("world")):
        return [Problem("copied", "world: these are the example's tables; give those that the duties need")]
    return contained(step.name, step.name, partial(step.check, draft, answer))


def _tables(world: answers.WorldAnswer | dict[str, Any]) -> set[str]:
    data = world if isinstance(world, dict) else world.model_dump()
    return {table["name"] for table in data["tables"]}


def _object(text: str) -> str:
    """The JSON object in an answer; models like to wrap it in a fence or a sentence."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else text
