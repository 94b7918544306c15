"""What is read of a task in tau2's form. Keys that are not here are kept as they stand, and mean nothing to us."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Component = Literal["DB", "ENV_ASSERTION", "NL_ASSERTION", "ACTION", "COMMUNICATE"]


class _Theirs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Instructions(_Theirs):
    domain: str = ""
    reason_for_call: str
    known_info: str | None = None
    unknown_info: str | None = None
    task_instructions: str = ""


class Scenario(_Theirs):
    persona: str | None = None
    instructions: Instructions | str


class Action(_Theirs):
    """One call of the reference solution."""

    name: str
    arguments: dict[str, Any]
    requestor: Literal["assistant", "user"] = "assistant"
    compare_args: tuple[str, ...] | None = None  # None: all of them

    def compared(self) -> dict[str, Any]:
        """The arguments that component ACTION compares."""
        names = self.arguments if self.compare_args is None else self.compare_args
        return {name: self.arguments[name] for name in names if name in self.arguments}


class InitialState(_Theirs):
    initialization_data: dict[str, Any] | None = None
    initialization_actions: tuple[dict[str, Any], ...] | None = None
    message_history: tuple[dict[str, Any], ...] | None = None


class Evaluation(_Theirs):
    """The reward is the product of the components in `reward_basis`; the other fields are diagnostics."""

    actions: tuple[Action, ...] | None = None
    env_assertions: tuple[dict[str, Any], ...] | None = None
    communicate_info: tuple[str, ...] | None = None
    nl_assertions: tuple[str, ...] | None = None
    reward_basis: tuple[Component, ...] = Field(default=("DB", "COMMUNICATE"))


class Tau2Task(_Theirs):
    id: str
    user_scenario: Scenario
    initial_state: InitialState | None = None
    evaluation_criteria: Evaluation | None = None
