"""A task of somebody else's in tau2's form, as far as ours can hold it.

    actions            the gold plan; what they change in the world is what must change, and nothing else may
    communicate_info   `tell` criteria; nl_assertions  `judge` criteria: each where `reward_basis` counts it
    known_info         hidden facts, from sentences such as "Your LABEL is VALUE." and "You are NAME."; those that the
                       actions use must be asked for
    user's actions     deeds, where the world has that tool for its user

The rest of a user's instructions becomes the goal's text, which users with a model see. What could not be carried is
counted in `left`; what makes no task that can be graded raises `Unplannable` with a short reason. The entry itself is
kept in the provenance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import ValidationError

from mocktrial.envs.rubric import (
    AskCriterion,
    CallCriterion,
    Criterion,
    JudgeCriterion,
    Rubric,
    TellCriterion,
    WritesCriterion,
)
from mocktrial.envs.task import Fact, Persona, Task
from mocktrial.envs.users.base import says
from mocktrial.mocktools.files import broken
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import fold
from mocktrial.synth.exchange.tau2.out import SOURCE, Entry
from mocktrial.synth.exchange.tau2.shape import Evaluation, Instructions, Tau2Task
from mocktrial.synth.exchange.tau2.solution import DATABASE, Solution
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.plan.strays import has_writes

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_NAMED = re.compile(r"You are (?P<name>[A-Z][\w'-]*(?: [A-Z][\w'-]*)*)\.?")
_KNOWN = re.compile(r"(?:Your|You know|and your) (?P<label>[\w ]{2,40}?)(?: is:?|:) (?P<value>\S.*?)\.?")
_UNNAMED = re.compile(r"[^a-z0-9]+")


def task_of(entry: Entry, image: WorldImage, name: str, split: Literal["train", "test"], left: Counter[str]) -> Task:
    """The task `name` of an entry in the world `image`. Raises `Unplannable`, and `SpecError` for no such entry."""
    try:
        theirs = Tau2Task.model_validate(entry)
    except ValidationError as error:
        raise broken(f"task {entry.get('id')!r}", error) from error
    told = theirs.user_scenario.instructions
    instructions = told if isinstance(told, Instructions) else Instructions(reason_for_call=told)
    criteria = theirs.evaluation_criteria or Evaluation()
    _count_left(theirs, criteria, left)
    facts = {fact.id: fact for fact in _facts(instructions, left)}
    solution = Solution(criteria.actions or (), tuple(facts.values()), _told(criteria), image)
    return Task(
        id=name,
        world=image.spec.name,
        world_hash=image.hash,
        domain=instructions.domain or image.spec.name,
        difficulty=sum(action.requestor == "assistant" for action in solution.actions),
        split=split,
        persona=Persona(name=facts["name"].value) if "name" in facts else Persona(),
        goal=_whole(theirs.user_scenario.persona, instructions),
        instruction=instructions.reason_for_call,
        facts=solution.facts,
        deeds=tuple(solution.deeds),
        rubric=_rubric(criteria, solution, writable=has_writes(image)),
        gold=solution.gold,
        violation=solution.violation,
        provenance={SOURCE: entry},
    )


def _whole(persona: str | None, told: Instructions) -> str:
    parts = (persona, told.reason_for_call, told.known_info, told.unknown_info, told.task_instructions)
    return "\n\n".join(part.strip() for part in parts if part and part.strip())


def _count_left(theirs: Tau2Task, criteria: Evaluation, left: Counter[str]) -> None:
    """What no part of a task of ours can hold. Diagnostics, which score nothing, are counted apart."""
    state = theirs.initial_state
    if state:
        left["initialization_data"] += bool(state.initialization_data)
        left["initialization_actions"] += len(state.initialization_actions or ())
        left["message_history"] += bool(state.message_history)
    asserted = "env_assertions" if "ENV_ASSERTION" in criteria.reward_basis else "env_assertions, diagnostic"
    left[asserted] += len(criteria.env_assertions or ())
    if "NL_ASSERTION" not in criteria.reward_basis:
        left["nl_assertions, diagnostic"] += len(criteria.nl_assertions or ())
    left["communicate_info"] += len(criteria.communicate_info or ()) - len(_told(criteria))


def _facts(told: Instructions, left: Counter[str]) -> Iterator[Fact]:
    """A sentence of no form that can be read stays in the goal only. What the first message says is not hidden."""
    first = fold(told.reason_for_call)
    for sentence in filter(None, map(str.strip, _SENTENCE.split(told.known_info or ""))):
        if named := _NAMED.fullmatch(sentence):
            label, value = "name", named["name"]
        elif known := _KNOWN.fullmatch(sentence):
            label, value = known["label"], known["value"]
        else:
            left["sentences of known_info"] += 1
            continue
        name = _UNNAMED.sub("_", label.lower()).strip("_")
        question = f"What is {_owned(label)}?"
        yield Fact(id=name, label=label, value=value, spoken=value, question=question, hidden=not says(first, value))


def _owned(label: str) -> str:
    return label if label.startswith(("the ", "a ", "your ")) else f"your {label}"


def _told(criteria: Evaluation) -> list[str]:
    """What must reach the user. Braces stand for values in our gold plans."""
    if "COMMUNICATE" not in criteria.reward_basis:
        return []
    return [text for text in criteria.communicate_info or () if text.strip() and "{" not in text]


def _rubric(criteria: Evaluation, solution: Solution, *, writable: bool) -> Rubric:
    """writable: the world has writes, so that none but the solution's may happen."""
    subgoals: list[Criterion] = []
    forbidden: list[Criterion] = []
    if "DB" in criteria.reward_basis:
        changes = solution.changes
        subgoals += [WritesCriterion(id=DATABASE, required=changes)] if changes else []
        forbidden += [WritesCriterion(id="nothing-else", allowed=changes, most=len(changes))] if writable else []
    told = enumerate(_told(criteria))
    subgoals += [TellCriterion(id=f"communicate-{number}", any_of=(text,)) for number, text in told]
    if "ACTION" in criteria.reward_basis:
        own = enumerate(action for action in solution.actions if action.requestor == "assistant")
        subgoals += [CallCriterion(id=f"action-{n}", tool=one.name, arguments=one.compared()) for n, one in own]
    if not subgoals:
        raise Unplannable("nothing to check: doing nothing would pass")
    if "NL_ASSERTION" in criteria.reward_basis:
        texts = enumerate(criteria.nl_assertions or ())
        said = ("say", "call", "result")
        subgoals += [JudgeCriterion(id=f"nl-{number}", question=text, sources=said) for number, text in texts]
    asks = tuple(AskCriterion(id=f"ask-{fact.id}", fact=fact.id) for fact in solution.asked)
    return Rubric(subgoals=tuple(subgoals), interactions=asks, forbidden=tuple(forbidden))
