"""The text of a request: jinja2 files under `prompts/`, with one worked example of each step's answer.

What the model wrote earlier goes in as JSON data, never as a template. The example (`prompts/example/`) is a
small world of ours that passes every check itself (a test says so).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from mocktrial.envs.chat import Message, assistant
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import stable
from mocktrial.synth.teacher.checks import Problem
from mocktrial.synth.teacher.draft import Draft

_FOLDER = Path(__file__).parent / "prompts"
_EXAMPLE = _FOLDER / "example"
_LONGEST = 20_000  # characters of a failed answer that go back with its errors


def prompt_of(step: str, draft: Draft, goals: int) -> tuple[Message, ...]:
    """The first request of a step. goals: how many the last step asks for."""
    values = {
        "draft": draft,
        "persona": _data(draft.persona or draft.seeded),
        "seeded": _data(draft.seeded),
        "workflow": _data(draft.workflow),
        "world": _data(draft.world),
        "tools": stable([tool.model_dump(mode="json", exclude_defaults=True) for tool in draft.tools.values()]),
        "constraints": stable([item.model_dump(mode="json") for item in draft.constraints.values()]),
        "goals": goals,
        "example": stable(example(step)),
    }
    text = _page(f"{step}.j2").render(values)
    return ({"role": "system", "content": _page("system.j2").render()}, {"role": "user", "content": text})


def sent_back(
    first: Sequence[Message], answer: str, problems: Sequence[Problem], kept: Sequence[str]
) -> tuple[Message, ...]:
    """The request that follows an answer that does not hold: that answer and what is wrong with it."""
    text = _page("repair.j2").render(problems=[problem.line for problem in problems], kept=list(kept))
    return (*first, assistant(answer[:_LONGEST]), {"role": "user", "content": text})


@lru_cache
def example(step: str) -> Any:
    return json.loads((_EXAMPLE / f"{step}.json").read_text(encoding="utf-8"))


@lru_cache
def _page(name: str) -> jinja2.Template:
    # Plain text, so nothing is escaped; values are never templates.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), undefined=jinja2.StrictUndefined, autoescape=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


def _data(answer: Frozen | None) -> str:
    return stable(answer.model_dump(mode="json", exclude_defaults=True)) if answer else "{}"
