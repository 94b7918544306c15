"""The full record of an episode: what was said, called, released and changed, and what it scored.

Frozen data on the wire and to disk; `episode` writes it, `grading` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from mocktrial.envs.chat import NO_USAGE, Message, ModelCall, TokenTrace, Usage
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.writeset import Change

Outcome = Literal["scored", "no_result", "masked"]
End = Literal["finished", "turn_limit", "call_limit", "time_limit", "user_left", "context_limit", "no_result"]


_STRICT = ConfigDict(extra="forbid")


def _is_agents(by: str) -> bool:
    return by == "agent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened, in order. `turn` counts assistant messages from 0.

    call      a tool call: name, arguments, ok, code of the failure; `by` the agent, or by the user with its own tools
    release   the user told a fact: name
    question  the agent asked for something the user could not or need not tell: name "unknown",
              "repeated", "public" or "everything"
    confirm   the user said yes to a proposed write
    say       words that reached the user: text
    fault     the user's model said or read something that was not let through: name, a kind of `envs.users.base.Flaw`

    A plain dataclass, as is `CriterionResult`: they are made by the dozen in every episode, from checked parts.
    """

    __pydantic_config__ = _STRICT
    turn: int
    kind: Literal["call", "release", "question", "confirm", "say", "fault"]
    name: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    ok: bool = True
    code: str = ""
    text: str = ""
    by: Annotated[Literal["agent", "user"], Field(exclude_if=_is_agents)] = "agent"


@dataclass(frozen=True, kw_only=True, slots=True)
class CriterionResult:
    """What became of one criterion, and what shows it."""

    __pydantic_config__ = _STRICT
    id: str
    kind: str
    group: Literal["subgoal", "interaction", "forbidden"]
    passed: bool
    weight: float = 1.0
    evidence: str = ""


class Asking(Frozen):
    """How the agent asked (DESIGN, invariant 5). Counts; rates are taken over tasks by `report`."""

    hidden: int = 0  # hidden facts that had to be asked for
    under_ask: int = 0  # of these, never released
    over_ask: int = 0  # questions for what is public, was told already, or nobody knows
    guess: int = 0  # hidden values used in a call before they were released


def _is_empty(value: object) -> bool:
    return not value


class Grade(Frozen):
    """The score of one episode."""

    reward: float  # R, in [0, 1]
    success: bool  # R == 1
    criteria: tuple[CriterionResult, ...] = ()
    asking: Asking = Asking()
    judge: str = Field(default="", exclude_if=_is_empty)  # MODEL@PROMPT HASH of what decided the judge criteria


class Trajectory(Frozen):
    """The record of one episode."""

    task_id: str
    task_hash: str
    world_hash: str
    agent: str
    seed: int
    trial: int
    outcome: Outcome
    end: End
    reason: str = ""  # of no_result: what failed and who is to blame
    messages: tuple[Message, ...] = ()  # OpenAI's form, system message first
    tools: tuple[dict[str, Any], ...] = ()
    events: tuple[Event, ...] = ()
    writes: tuple[Change, ...] = ()
    traces: tuple[TokenTrace | None, ...] = ()  # one for each assistant message
    calls: tuple[ModelCall, ...] = ()  # what a gateway recorded, in order
    usage: Usage = NO_USAGE  # of the agent's model
    roles: dict[str, Usage] = Field(default_factory=dict, exclude_if=_is_empty)  # of the others': "user", "judge"
    grade: Grade | None = None  # None exactly when outcome is no_result

    @property
    def cost(self) -> float | None:
        """Of all roles together; None where one of them has tokens and no price."""
        return sum(self.roles.values(), self.usage).cost
