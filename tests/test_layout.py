"""The layout that DESIGN decides: links, import direction, what a bare import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mocktrial

ROOT = Path(__file__).parent.parent
FOLDERS = ("mocktools", "envs", "agents", "synth", "training")  # each may import those before it


def imported(path: Path) -> set[str]:
    """Top-level names and `mocktrial.X` folders that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("folder", FOLDERS)
def test_links_resolve(folder: str) -> None:
    link = ROOT / "src" / "mocktrial" / folder
    assert link.is_symlink()
    assert link.resolve() == (ROOT / folder).resolve()


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_run_one_way(folder: str) -> None:
    later = FOLDERS[FOLDERS.index(folder) + 1 :]
    for path in sorted((ROOT / folder).rglob("*.py")):
        for name in imported(path):
            assert not name.startswith(tuple(f"mocktrial.{other}" for other in later)), f"{path} imports {name}"


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        ("torch", ("training", "agents/local")),
        ("transformers", ("training", "agents/local")),
        ("langgraph", ("agents",)),
    ],
)
def test_heavy_packages_stay_in_their_folders(package: str, homes: tuple[str, ...]) -> None:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if any(name.split(".")[0] == package for name in imported(path)):
                assert place.startswith(homes), f"{place} imports {package}"


def test_a_bare_import_loads_nothing_heavy_and_no_bare_twin() -> None:
    code = (
        "import sys, mocktrial, mocktrial.cli, mocktrial.mocktools, mocktrial.envs, mocktrial.agents\n"
        "names = set(sys.modules)\n"
        "heavy = {'torch', 'transformers', 'langgraph', 'openai', 'fastapi', 'sqlmodel'}\n"
        "print(sorted(names & (heavy | {'mocktools', 'envs', 'agents', 'synth', 'training'})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_is_sorted_and_resolves() -> None:
    assert list(mocktrial.__all__) == sorted(mocktrial.__all__)
    for name in mocktrial.__all__:
        assert getattr(mocktrial, name) is not None


def test_no_file_is_too_long() -> None:
    for folder in (*FOLDERS, "src"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines: which two things is it?"
