"""requirements.lock: every version that the image installs, with its hashes, as pyproject.toml and constraints.txt say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\$", LOCK, re.MULTILINE))


def extras() -> list[str]:
    """Those that the Makefile locks."""
    found = re.search(r"^LOCKED := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert found
    return found[1].split()


def wanted(lines: Iterable[str]) -> Iterator[Requirement]:
    """Requirements of Linux, those of our own extras in their place."""
    for requirement in map(Requirement, lines):
        if requirement.name == "mocktrial":
            yield from (one for extra in requirement.extras for one in wanted(PROJECT["optional-dependencies"][extra]))
        elif requirement.marker is None or requirement.marker.evaluate(
            {**default_environment(), "sys_platform": "linux"}
        ):
            yield requirement


def missing(locked: dict[str, str]) -> list[str]:
    """What the project asks for and these versions do not give."""
    asked = [
        *PROJECT["dependencies"],
        *(line for extra in extras() for line in PROJECT["optional-dependencies"][extra]),
    ]
    found = ((one, locked.get(canonicalize_name(one.name))) for one in wanted(asked))
    return [str(one) for one, version in found if version is None or version not in one.specifier]


def test_it_has_all_that_the_project_asks_for() -> None:
    assert missing(LOCKED) == []


def test_what_it_lacks_is_found() -> None:
    assert missing({**LOCKED, "apsw": "3.1"}) == ["apsw>=3.50"]
    assert missing({name: version for name, version in LOCKED.items() if name != "httpx2"}) == ["httpx2>=2"]


def test_its_versions_are_the_tested_ones() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    assert {name: LOCKED[name] for name in tested if name in LOCKED} == {
        name: version for name, version in tested.items() if name in LOCKED
    }


def test_every_version_has_a_hash_and_none_is_of_torch() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.split("make lock\n", 1)[1].strip())
    assert len(entries) == len(LOCKED) > 40
    assert all(re.fullmatch(r"[a-z0-9-]+==\S+ \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+", entry) for entry in entries)
    assert "torch" not in LOCKED


def test_the_image_is_made_by_it() -> None:
    """And what it installs beyond the lock is only what the lock leaves to the place."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert "--require-hashes --requirement requirements.lock" in dockerfile
    default = re.search(r"^ARG EXTRAS=(.*)$", dockerfile, re.MULTILINE)
    assert default
    assert set(default[1].split(",")) <= set(extras())
