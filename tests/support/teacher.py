"""A model that plays teacher: answers each step from `tests/data/teacher/`, or with what a test gives for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mocktrial.agents.retry import Retry
from mocktrial.envs.task import Persona
from mocktrial.mocktools.errors import MocktrialError
from mocktrial.synth.blueprint import Blueprint
from mocktrial.synth.teacher.errors import GivenUp, Stopped
from mocktrial.synth.teacher.source import ModelTeacher, TeacherReport, make_teacher
from tests.support.endpoint import Endpoint, Raw, Request, message

DATA = Path(__file__).parent.parent / "data" / "teacher"
FAST = Retry(attempts=2, deadline=5.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)
STEPS = ("persona", "workflow", "world", "tools", "constraints", "tasks")


def good(step: str) -> Any:
    """The step's good answer, as an object that a test may spoil."""
    return json.loads((DATA / f"{step}.json").read_text(encoding="utf-8"))


def step_of(request: Request) -> str:
    """The step a request belongs to, whatever form of output it asks for."""
    asked = request.body.get("response_format", {}).get("json_schema")
    if asked:
        return str(asked["name"])
    schema = request.body["messages"][0]["content"].rpartition("JSON Schema of the answer: ")[2]
    keys = {
        "situation": "persona",
        "duties": "workflow",
        "tables": "world",
        "tools": "tools",
        "constraints": "constraints",
        "goals": "tasks",
    }
    return next(step for key, step in keys.items() if key in json.loads(schema)["properties"])


class Model:
    """Callable for `Endpoint`: the scripted answers of a step in order, its last for good; else the good one."""

    def __init__(self, delay: float = 0.0, **scripted: Sequence[object]) -> None:
        self.delay, self.scripted = delay, {step: list(answers) for step, answers in scripted.items()}

    def __call__(self, request: Request) -> Raw:
        step = step_of(request)
        queue = self.scripted.get(step)
        answer = good(step) if not queue else queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Raw):
            return answer
        text = answer if isinstance(answer, str) else json.dumps(answer)
        sent = sum(len(item["content"]) for item in request.body["messages"])
        reply = message({"content": text}, prompt_tokens=sent // 4, completion_tokens=len(text) // 4)
        return Raw(reply.body, delay=self.delay)


def teacher_at(endpoint: Endpoint, folder: Path, **options: Any) -> ModelTeacher:
    settings: dict[str, Any] = {"seed": 5, "concurrency": 1, "retry": FAST, "personas": person} | options
    return make_teacher("openai:m", base_url=endpoint.url, folder=folder, **settings)


def person(number: int) -> Persona:
    return Persona(name=f"Person {number}", occupation="hermit" if number == 1 else "baker")


async def teach(
    model: Callable[[Request], Raw], folder: Path, units: int = 1, **options: Any
) -> tuple[list[Blueprint | MocktrialError], TeacherReport, list[Request]]:
    """What each of the units became, the report, and the requests that were made."""
    async with Endpoint(model) as endpoint:
        with teacher_at(endpoint, folder, **options) as teacher:
            await teacher.prepare(range(units))
            await teacher.aclose()
            return [outcome(teacher, number) for number in range(units)], teacher.report(), endpoint.requests


def outcome(teacher: ModelTeacher, number: int) -> Blueprint | MocktrialError:
    try:
        return teacher.blueprint(number)
    except (GivenUp, Stopped) as error:
        return error


def goals_of(unit: Blueprint | MocktrialError) -> list[str]:
    assert isinstance(unit, Blueprint), unit
    return [goal.id for goal in unit.goals.goals]


def sent(request: Request) -> str:
    """The last message of a request."""
    return str(request.body["messages"][-1]["content"])


def spoiled(step: str, spoil: Callable[[Any], object]) -> Any:
    answer = good(step)
    spoil(answer)
    return answer
