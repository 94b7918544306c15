"""What the documentation says can be done: every command of it is one, with options that it takes; its Python runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from mocktrial.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "AGENTS.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "training").rglob("*.md")]
)
_CODE = re.compile(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def commands(page: Path) -> Iterator[str]:
    """Every `mocktrial ...` that stands in code, up to a comment, a pipe or what is left open."""
    for block, inline in _CODE.findall(page.read_text("utf-8")):
        for line in (block or inline).replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|[\s/(])mocktrial\s+([a-z].*)", line)
            if found:
                yield re.split(r"\s+[#>|&]|\s*;|\s\.\.\.", found[1])[0]


def problem(line: str, command: Any) -> str:
    """What is wrong with a command, empty when nothing is."""
    words = shlex.split(line.replace("[", " ").replace("]", " "))
    while hasattr(command, "commands") and words:
        names = words.pop(0).split("|")
        if unknown := [name for name in names if name not in command.commands]:
            return f"no verb {unknown[0]!r}"
        command = command.commands[names[0]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    given = [word.split("=")[0] for word in words if word.startswith("-") and len(word) > 1]
    return next((f"no option {option}" for option in given if option not in known), "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one(page: Path) -> None:
    group = typer.main.get_command(app)
    assert {line: wrong for line in commands(page) if (wrong := problem(line, group))} == {}


def test_a_command_that_is_none_is_found() -> None:
    group = typer.main.get_command(app)
    assert problem("dance --now", group) == "no verb 'dance'"
    assert problem("serve dance", group) == "no verb 'dance'"
    assert problem("run DATASET --nonsense 3", group) == "no option --nonsense"
    assert problem("run DATASET --agent expert", group) == ""


@pytest.mark.parametrize(
    "page", [page for page in PAGES if _BLOCK.search(page.read_text("utf-8"))], ids=lambda p: p.name
)
def test_the_python_of_a_page_runs(page: Path) -> None:
    """All blocks of a page together, in order, from the project's root."""
    source = "\n".join(_BLOCK.findall(page.read_text("utf-8")))
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text("utf-8"))
    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in _text(ROOT / file)] == []


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


def test_every_invariant_names_a_test() -> None:
    rows = [line for line in (ROOT / "docs" / "invariants.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    assert [row for row in rows[2:] if "::test_" not in row] == []


def test_the_picture_is_legible_by_day_and_by_night() -> None:
    """Texts of at least 12 px on boxes of their own, with a contrast of 7 and more in both themes."""
    source = (ROOT / "docs" / "architecture.svg").read_text("utf-8")
    day, night = source.split("@media (prefers-color-scheme: dark)")
    for part in (day, night):
        ink = _colour(part, "text")
        assert all(_contrast(ink, _colour(part, f".{box}")) >= 7 for box in ("box", "inner", "kept"))
    assert all(float(size) >= 12 for size in re.findall(r"font-size[:=]\W*([\d.]+)", source))


def _colour(style: str, selector: str) -> str:
    found = re.search(rf"{re.escape(selector)} {{ fill: (#\w{{6}})", style)
    assert found, selector
    return found[1]


def _contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio of two colours."""
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
