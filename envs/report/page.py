"""A report as one offline HTML file: templates as files, everything escaped, nothing fetched.

The page's own style and script are allowed by their hashes; the policy forbids every other script, style,
image and request, so that text from a model or a tool stays text (FAULTS 23). Long texts are clipped and
the file is kept under `MAX_BYTES`, both with a note; the ledger and its export hold everything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.console import counted
from mocktrial.envs.report.model import Page, Report
from mocktrial.envs.report.table import at_k, percent, short, shown_k, signed, split_line
from mocktrial.envs.trajectory import Event, Trajectory

MAX_BYTES = 18_000_000  # of trajectories in one file
MAX_TEXT = 6_000  # characters of one message, argument or piece of evidence
_TEMPLATES = Path(__file__).parent / "templates"
_NOTES = {
    "release": "the user told",
    "question": "needless question:",
    "confirm": "the user said yes to",
    "fault": "the user's fault:",
}


def write_html(report: Report, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
    """Write `report` as one file. Raises `UsageError` when the disk refuses; the earlier file then stands."""
    environment = page_environment()
    pages = list(_within(max_bytes, report.pages, environment))
    style, script = page_file("report.css"), page_file("report.js")
    html = environment.get_template("report.html.j2").render(
        report=report,
        colors={agent.label: index % 8 for index, agent in enumerate(report.agents)},
        pages=pages,
        style=Markup(style),
        script=Markup(script),
        style_hash=csp_hash(style),
        script_hash=csp_hash(script),
    )
    with whole_file(path) as file:
        file.write(encoded(html))


def page_file(name: str) -> str:
    """A style or script that a page carries."""
    return (_TEMPLATES / name).read_text("utf-8")


def encoded(html: str) -> bytes:
    return html.encode("utf-8", "backslashreplace")  # lone surrogates stay readable


def page_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, short=short, signed=signed, clip=clip, plain=plain, split_line=split_line, at_k=at_k,
        counted=counted, shown_k=shown_k,
    )  # fmt: skip
    return environment


def csp_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _within(max_bytes: int, pages: tuple[Page, ...], environment: Environment) -> Iterator[Markup]:
    """Rendered pages, in order, until the next would pass `max_bytes` in all."""
    template = environment.get_template("trajectory.html.j2")
    left = max_bytes
    for number, page in enumerate(pages, start=1):
        html = template.render(page=page, number=number, turns=list(told(page.trajectory)))
        left -= len(encoded(html))
        if left < 0:
            return
        yield Markup(html)


def told(trajectory: Trajectory) -> Iterator[dict[str, Any]]:
    """Messages for reading: role, text, calls as (name, arguments), and what the message brought about."""
    turn = -1
    for message in trajectory.messages:
        notes: list[tuple[str, str]] = []
        if message.get("role") == "assistant":
            turn += 1
            notes = [(event.kind, _note(event)) for event in trajectory.events if _belongs(event, turn)]
        calls = message.get("tool_calls") or []
        yield {
            "role": str(message.get("role", "?")),
            "text": plain(message.get("content")),
            "calls": [_call(call) for call in (calls if isinstance(calls, list) else [calls])],
            "notes": notes,
        }


def _belongs(event: Event, turn: int) -> bool:
    return event.turn == turn and event.kind in _NOTES


def _note(event: Event) -> str:
    return f"{_NOTES[event.kind]} {event.name or event.text}".rstrip()


def _call(call: object) -> tuple[str, str]:
    """Name and arguments of a tool call as the model wrote them, however malformed."""
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(function, dict) and "name" in function:
        return plain(function["name"]), plain(function.get("arguments"))
    return "malformed call", plain(call)


def plain(value: object) -> str:
    """Text as it is, nothing for None, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def clip(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:MAX_TEXT]} … ({len(text) - MAX_TEXT} more characters in the export)"
