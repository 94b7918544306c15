"""A task: everything that one episode needs except the agent. Frozen data, JSON in and out.

The agent sees `instruction` and the world's rules and tools. The user sees persona, goal and facts.
Only grading and scripted agents see rubric and gold plan.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import Field, model_validator

from mocktrial.envs.rubric import AskCriterion, ForbidCriterion, Rubric
from mocktrial.mocktools.faults import Fault
from mocktrial.mocktools.spec import FileName, Frozen, Name
from mocktrial.mocktools.values import stable


class Persona(Frozen):
    """Who the user is and how they write."""

    name: str = "Sam"
    occupation: str = ""
    manner: Literal["plain", "terse", "chatty"] = "plain"
    patience: int = Field(default=4, ge=1)  # needless messages the user takes before leaving
    locale: str = Field(default="en", pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$")  # BCP-47: of the name and the spelling
    privacy: int = Field(default=0, ge=0, le=2)  # 0 speaks freely of itself, 1 does not, 2 answers with reserve
    typing: Literal["clean", "lower", "typos", "brief"] = "clean"  # how the instruction is typed


def _is_empty(value: Any) -> bool:
    return not value  # what a task does not use does not change its hash


class UserCall(Frozen):
    """A call of a tool that the user has at hand (`ToolSpec.by`)."""

    tool: Name
    arguments: dict[str, Any] = Field(default_factory=dict)


class Via(UserCall):
    """Where the user looks a value up."""

    path: str = ""  # of the value in the result, dotted: "code" or "0.code"; empty: all of it


class Deed(UserCall):
    """What the user does when the agent asks for it (dual control): a call on the episode's own world."""

    id: Name  # no fact's
    label: str  # "restart the router": what an agent may ask for, as words after "please"
    description: str = ""
    question: str = ""  # how a good agent asks for it
    aliases: tuple[str, ...] = ()
    done: str = ""  # what the user says of it; {lights} stands for a part of the result. Empty: just that it is done


class Fact(Frozen):
    """One thing the user knows. Hidden facts are told only when asked for (DESIGN, invariants 4 and 5)."""

    id: Name
    label: str  # "the day of the visit"
    description: str = ""  # what it is, for a reader who finds the label too short
    value: Any
    spoken: str  # how the user says the value; contains it in a form the agent can use
    question: str = ""  # how a good agent asks
    aliases: tuple[str, ...] = ()  # other words for it in a question
    hidden: bool = True
    alternatives: tuple[Any, ...] = ()  # other values this world would accept: each has another gold plan
    needed_by: tuple[str, ...] = ()  # ids of the subgoals that need it
    used_in: tuple[str, ...] = ()  # "tool.argument" where the value goes; empty: anywhere
    discoverable: bool = False  # a tool can reveal it
    default_ok: bool = False  # an agent may take a default without asking
    kind: str = "missing"  # why it must be asked for: vague, ambiguous, presupposition, preference, constraint
    via: Via | None = Field(default=None, exclude_if=_is_empty)  # the user must look it up, when asked for it


class Value(Frozen):
    """A literal argument. `alternatives` are wrong values that the world would accept, for the proof."""

    value: Any
    alternatives: tuple[Any, ...] = ()


class FromFact(Frozen):
    """The value of a fact."""

    fact: str


class FromStep(Frozen):
    """Part of the result of an earlier gold step: `path` is dotted, "0.id" or "doctor.id"."""

    step: int
    path: str


Argument = Value | FromFact | FromStep


class Ask(Frozen):
    """Ask the user for facts, or to do something."""

    ask: tuple[str, ...]
    text: str
    does: tuple[str, ...] = Field(default=(), exclude_if=_is_empty)  # ids of deeds


class Call(Frozen):
    """Call a tool."""

    call: str
    arguments: dict[str, Argument] = Field(default_factory=dict)
    subgoal: str = ""  # id of the criterion that this call serves; empty for a look-up


class Confirm(Frozen):
    """Say what is about to be written and ask for a yes."""

    confirm: str


class Finish(Frozen):
    """The last message. `{2.id}` and `{fact.day}` stand for results of gold steps and for facts."""

    finish: str


GoldStep = Ask | Call | Confirm | Finish


class Task(Frozen):
    """One task; what each reader of it may see, the module says."""

    id: FileName
    world: FileName
    world_hash: str
    domain: str
    family: str = "tool_use"
    difficulty: int = 1  # calls in the gold plan
    split: Literal["train", "test"] = "train"
    persona: Persona = Persona()
    goal: str = ""  # the whole wish, hidden part included; the user's, never the agent's
    instruction: str
    facts: tuple[Fact, ...] = ()
    deeds: tuple[Deed, ...] = Field(default=(), exclude_if=_is_empty)
    rubric: Rubric
    gold: tuple[GoldStep, ...]
    violation: tuple[GoldStep, ...] = ()  # a whole plan that does a forbidden act; the proof plays it
    faults: tuple[Fault, ...] = ()  # what goes wrong with the tools, and when
    seed: int = 0
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _facts_known(self) -> Task:
        known = {fact.id for fact in self.facts}
        for criterion in self.rubric.criteria():
            plain = criterion.of if isinstance(criterion, ForbidCriterion) else criterion
            if isinstance(plain, AskCriterion) and plain.fact not in known:
                raise ValueError(f"criterion {criterion.id}: there is no fact {plain.fact!r}")
        return self

    def hidden(self) -> tuple[Fact, ...]:
        return tuple(fact for fact in self.facts if fact.hidden)

    def fact(self, name: str) -> Fact:
        return next(fact for fact in self.facts if fact.id == name)

    def content_hash(self) -> str:
        """First 16 hex digits of SHA-256 over all but id, split and provenance."""
        body = self.model_dump(mode="json", exclude={"id", "split", "provenance"})
        return hashlib.sha256(stable(body).encode()).hexdigest()[:16]
