"""Which tools are of the kind that an intent of Auto-SLURP asks for (`autoslurp.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources


def autoslurp_tools() -> Mapping[str, frozenset[str]]:
    """By intent; empty where the device cannot serve it."""
    text = resources.files(__package__).joinpath("autoslurp.toml").read_text(encoding="utf-8")
    return {intent: frozenset(tools) for intent, tools in tomllib.loads(text).items()}
