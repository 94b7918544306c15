"""Suggestions that a model writes: the prompt, the form of a line, and what is kept of an answer.

A line is what a person would say, then ` => TOOL ARGUMENTS` where a tool carries it out. Every line counts as
written; a tool line counts as executable when its call works in a copy of the world's state now. Only executable ones
are shown: an answer may be shorter than asked for. The same form is what rows for training are written in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from mocktrial.agents.recommender.base import Recommendation, Situation, Suggestion
from mocktrial.agents.recommender.grounding import works
from mocktrial.envs.chat import ChatModel, Message
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.mocktools.world import World

_SYSTEM = (Path(__file__).parent / "system.txt").read_text(encoding="utf-8").strip()
_ARROW = " => "
_MARKER = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_MAX_TOOLS = 8  # of the retrieved tools, in the prompt
_MAX_HISTORY = 4


class WrittenRecommender:
    """A chat model in the role of the recommender. It is never shown anything that the situation does not hold."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def name(self) -> str:
        return self._model.name

    async def recommend(self, situation: Situation, world: World, k: int, *, seed: int) -> Recommendation:
        completion = await self._model.start((), seed=seed).send(prompt(situation, k))
        written = read_lines(str(completion.message.get("content") or ""))[:k]
        kept = [one for one in written if one is not None and works(one, world)]
        unlike: dict[str, Suggestion] = {}
        for one in kept:
            unlike.setdefault(one.query.casefold(), one)
        return Recommendation(suggestions=tuple(unlike.values()), written=len(written), executable=len(kept))


def prompt(situation: Situation, k: int) -> list[Message]:
    """System and user message for `k` suggestions."""
    tools = "\n".join(_tool_line(name) for name in situation.tools[:_MAX_TOOLS])
    conditions = catalog().conditions
    state = " ".join(conditions[name].message for name in situation.failing)
    parts = [
        f"Time: {situation.now}. App: {situation.app}.{' ' + state if state else ''}",
        *([f"Asked before: {' / '.join(situation.history[-_MAX_HISTORY:])}"] if situation.history else []),
        f"Person: {situation.query}",
        *([f"Assistant: {situation.reply}"] if situation.reply else []),
        f"Tools:\n{tools}",
    ]
    return [
        {"role": "system", "content": _SYSTEM.format(count=k)},
        {"role": "user", "content": "\n".join(parts)},
    ]


def _tool_line(name: str) -> str:
    spec = catalog().tools[name].spec
    need = ", ".join(key + ("" if key in spec.required else "?") for key in spec.parameters)
    return f"{name}({need}): {spec.description}"


def line_of(suggestion: Suggestion) -> str:
    if not suggestion.tool:
        return suggestion.query
    return f"{suggestion.query}{_ARROW}{suggestion.tool} {json.dumps(suggestion.arguments, ensure_ascii=False)}"


def answer_of(suggestions: Sequence[Suggestion]) -> Message:
    """The assistant message that would have given these suggestions."""
    return {"role": "assistant", "content": "\n".join(map(line_of, suggestions))}


def read_lines(text: str) -> list[Suggestion | None]:
    """The suggestions of an answer, line by line; None for a tool line that cannot be read."""
    lines = (_MARKER.sub("", line).strip().strip('"') for line in text.splitlines())
    return [_read(line) for line in lines if line]


def _read(line: str) -> Suggestion | None:
    query, arrow, call = line.partition(_ARROW.strip())
    if not arrow:
        return Suggestion(query=line)
    tool, _, text = call.strip().partition(" ")
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    if tool not in catalog().tools or not isinstance(arguments, dict) or not query.strip():
        return None
    return Suggestion(query=query.strip(), tool=tool, arguments=arguments)
