"""What a run was played under: its config, hashed and set beside another's, and the hash of the grader.

Two runs are compared, and one is gone on with, only where what matters is the same. Keys of nested values are
dotted paths. Nothing here reads a ledger or a clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mocktrial.mocktools.values import stable

ABSENT = "absent"
SOURCE = "source"  # where the tasks came from; what matters of them is their hash, `tasks`
_GRADERS = (
    "envs/grading.py", "envs/rubric.py", "envs/users/base.py", "mocktools/values.py", "mocktools/autoslurp/catalog.py",
    "mocktools/autoslurp/compare.py", "mocktools/autoslurp/intents.json", "mocktools/autoslurp/resolve.py",
    "mocktools/autoslurp/resolve_date.py", "mocktools/autoslurp/resolve_terms.py",
    "mocktools/autoslurp/resolve_time.py", "mocktools/autoslurp/spoken.py", "mocktools/autoslurp/words.json",
)  # fmt: skip
_ROOT = Path(__file__).resolve().parents[1]


def config_hash(config: Mapping[str, Any]) -> str:
    """First 16 hex digits of SHA-256 over the resolved config; key order does not matter."""
    return hashlib.sha256(stable(config).encode()).hexdigest()[:16]


@lru_cache
def grader_hash() -> str:
    """First 12 hex digits of SHA-256 over the files that decide what is right, so that no change goes unseen."""
    seen = hashlib.sha256()
    for name in _GRADERS:
        seen.update((_ROOT / name).read_bytes())
    return seen.hexdigest()[:12]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Dotted path to what stands there in each, as JSON text or "absent", where they differ; paths sorted."""
    before, after = _flat(dict(first)), _flat(dict(second))
    return {
        key: (before.get(key, ABSENT), after.get(key, ABSENT))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }


def shown(changed: Mapping[str, tuple[str, str]]) -> str:
    """ "trials: 2 -> 3; user: absent -> "scripted" " """
    return "; ".join(f"{key}: {before} -> {after}" for key, (before, after) in changed.items())


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Dotted paths to the JSON text of what stands there; an empty object or list counts as a value."""
    if isinstance(value, dict) and value:
        children = list(value.items())
    elif isinstance(value, list) and value:
        children = list(enumerate(value))
    else:
        return {path: stable(value)}
    joined = f"{path}." if path else ""
    return {deep: text for key, item in children for deep, text in _flat(item, f"{joined}{key}").items()}
