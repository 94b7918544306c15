"""How rollouts are played: the `[rollouts]` table of a config. Defaults stand beside their meaning."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from mocktrial.training.keys import Table

ReuseMode: TypeAlias = Literal["none", "lenient", "exact"]


class RolloutConfig(Table):
    group: int = Field(8, ge=1)
    """Episodes of a task."""
    concurrency: int = Field(64, ge=1)
    """Episodes at a time."""
    max_new_tokens: int = Field(64, ge=1)
    """Of a turn, at most."""
    temperature: float = Field(1.0, ge=0)
    """Of sampling."""
    turns: int = Field(16, ge=1)
    """Of an episode, at most."""
    reuse: ReuseMode = "none"
    """Of the last epoch's turns (agents/local/speculation.py)."""
    spare: int = Field(0, ge=0)
    """Groups that may be played in place of those whose rewards are all equal."""
