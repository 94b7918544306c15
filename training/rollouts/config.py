"""How rollouts are played: the `[rollouts]` table of a config. Defaults stand beside their meaning."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from mocktrial.training.keys import Table

ReuseMode: TypeAlias = Literal["none", "lenient", "exact"]


class CurriculumConfig(Table):
    """A task is drawn the likelier, the surer its cell's success rate lies in a band (`synth.curriculum`)."""

    low: float = Field(0.2, ge=0, le=1)
    """The band begins at this success rate ..."""
    high: float = Field(0.8, ge=0, le=1)
    """... and ends at this one."""
    forget: float = Field(0.8, gt=0, le=1)
    """What an outcome still counts a step later."""
    explore: float = Field(0.1, gt=0, le=1)
    """Share of the draws that do not look at success."""
    prior: float = Field(1.0, gt=0)
    """What cells of as many calls count for in a cell, in outcomes."""

    @model_validator(mode="after")
    def _meaningful(self) -> CurriculumConfig:
        if self.low >= self.high:
            raise ValueError("low is below high in a curriculum")
        return self


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
