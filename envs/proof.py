"""What stands beside tasks in a dataset: the proof of each, and the recipe of them all. Data only."""

from __future__ import annotations

from typing import Any

import tomlkit
from pydantic import Field

from mocktrial.mocktools.spec import FileName, Frozen


class Proof(Frozen):
    """What was played to prove a task (DESIGN, invariant 7): the number of episodes of each kind.

    `failures` lists what did not end as it must; a task that ships has none.
    """

    task: FileName
    task_hash: str
    counts: dict[str, int] = Field(default_factory=dict)
    mutants: dict[str, tuple[int, int]] = Field(default_factory=dict)  # by operator: (made, killed)
    failures: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.failures


class Recipe(Frozen):
    """How the dataset was made; enough to make it again, under whatever name."""

    generator: str = "procedural"
    seed: int = 0
    count: int = Field(default=0, ge=0)  # tasks asked for
    per_world: int = Field(default=0, ge=0)  # tasks a world at most
    max_calls: int = Field(default=0, ge=0)  # in a gold plan; 0: no bound
    gap: bool = True  # whether tasks hide facts that must be asked for; False: the control set
    domains: tuple[str, ...] = ()  # that were asked for; empty: all
    voices: bool = False  # whether personas of their own speak, not the goals' own words
    personas: str = ""  # hash of the list of personas that was given; empty: none was
    max_tools: int = Field(default=0, ge=0)  # of a world's own; 0: no bound
    distractors: int = Field(default=0, ge=0)  # foreign tools in every world
    scramble: bool = False  # tools and arguments have opaque names
    reword: bool = False  # tools are described in other words
    rewrite: str = ""  # the model that reworded instructions; empty: none did
    stopped: str = ""  # why there are fewer tasks than were asked for
    dropped: dict[str, int] = Field(default_factory=dict)  # drafts that did not become tasks, by reason
    reworded: dict[str, int] = Field(default_factory=dict)  # tasks that the model reworded, or why it did not
    costs: dict[str, dict[str, Any]] = Field(default_factory=dict)  # of "teacher" and "rewrite": tokens, requests, ...
    versions: dict[str, str] = Field(default_factory=dict)  # of what decides the bytes

    def toml(self) -> str:
        """The recipe as its file holds it."""
        return tomlkit.dumps(self.model_dump(mode="json"))
