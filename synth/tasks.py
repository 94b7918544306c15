"""One task from one goal, one world and one seed: bind, plan, hide, write.

    make_task(goal, image, domain=..., seed=...) -> Task

Raises `Unplannable` where the chosen rows do not make a good task; the caller counts the reason and
tries another seed. The task is not proved yet: `prove` does that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Ask, Call, Confirm, Fact, Finish, GoldStep, Persona, Task, Value
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.world import World
from mocktrial.synth.blueprint import FactTemplate, Goal
from mocktrial.synth.planning import PlanRun, Unplannable, Values, alternatives_of, bind, carry_out, finish_text
from mocktrial.synth.rubrics import build_rubric, row_of, subgoal_of
from mocktrial.synth.templates import fill, instruct
from mocktrial.synth.underspecify import (
    gives_away,
    needs,
    places_used,
    readable,
    telling_alternatives,
)

MAX_ALTERNATIVES = 3  # of a fact; each is played in the proof
MAX_HIDDEN = 2
_VIOLATION_TRIES = 40  # generated writes until one does what the task does not want


@dataclass(frozen=True)
class _Draft:
    """What is known of a task while it is made."""

    goal: Goal
    image: WorldImage
    values: dict[str, Any]
    spoken: dict[str, str]
    gold: PlanRun
    alternatives: dict[str, tuple[Any, ...]]
    hidden: tuple[str, ...]


def make_task(goal: Goal, image: WorldImage, *, domain: str, personas: Sequence[Persona], seed: int) -> Task:
    """Bind, plan, hide and write. Raises `Unplannable`."""
    chance = random.Random(seed)
    with World.open(image, seed) as world:
        values = bind(goal, world, chance)
        others = {fact.id: alternatives_of(goal, fact.id, world, values) for fact in goal.facts}
    gold = carry_out(goal, image, values, seed)
    alternatives = {}
    for fact, found in others.items():
        few = sorted(chance.sample(found, min(MAX_ALTERNATIVES, len(found))), key=repr)
        alternatives[fact] = telling_alternatives(goal, image, values, gold, fact, few, seed)
    spoken = {fact.id: fact.spoken.format(values[fact.id]) for fact in goal.facts}
    hidden = _hide(goal, values, spoken, gold, alternatives, chance)
    draft = _Draft(goal, image, values, spoken, gold, alternatives, hidden)
    instruction = _instruction(draft, chance)
    steps = _gold_steps(draft)
    rubric = build_rubric(goal, values, hidden, gold, carry_out(goal, image, values, seed + 1))
    return Task(
        id="draft",
        world=image.spec.name,
        world_hash=image.hash,
        domain=domain,
        difficulty=goal.difficulty,
        persona=chance.choice(personas),
        goal=fill(goal.wish, spoken),
        instruction=instruction,
        facts=tuple(_fact(draft, template) for template in goal.facts),
        rubric=rubric,
        gold=steps,
        violation=(*steps[:-1], _stray_write(draft, seed), steps[-1]),
        seed=seed,
        provenance={"generator": "procedural", "goal": goal.id},
    )


def _hide(
    goal: Goal,
    values: Values,
    spoken: dict[str, str],
    gold: PlanRun,
    alternatives: dict[str, tuple[Any, ...]],
    chance: random.Random,
) -> tuple[str, ...]:
    """One or two facts that the agent must ask for, in the goal's order."""
    fit = [
        fact.id
        for fact in goal.facts
        if fact.hide
        and alternatives[fact.id]
        and not gives_away(gold, fact.id, values[fact.id], alternatives[fact.id])
        and not readable(values[fact.id], spoken[fact.id], [text for other, text in spoken.items() if other != fact.id])
    ]
    if not fit:
        raise Unplannable(f"{goal.id}: no fact that must be asked for")
    count = min(len(fit), chance.randint(1, MAX_HIDDEN))
    chosen = set(chance.sample(fit, count))
    return tuple(name for name in fit if name in chosen)


def _instruction(draft: _Draft, chance: random.Random) -> str:
    texts = [instruct(template, draft.spoken, draft.hidden) for template in draft.goal.instructions]
    usable = [text for text in texts if text is not None]
    if not usable:
        raise Unplannable(f"{draft.goal.id}: no wording leaves out {', '.join(draft.hidden)}")
    text = chance.choice(usable)
    if any(readable(draft.values[name], draft.spoken[name], [text]) for name in draft.hidden):
        raise Unplannable(f"{draft.goal.id}: the instruction tells what is hidden")
    return text


def _fact(draft: _Draft, template: FactTemplate) -> Fact:
    goal, name = draft.goal, template.id
    served = [subgoal_of(call) for place, call in enumerate(draft.gold.calls) if name in needs(goal, place)]
    return Fact(
        id=name,
        label=template.label,
        value=draft.values[name],
        spoken=draft.spoken[name],
        question=template.question,
        aliases=template.aliases,
        hidden=name in draft.hidden,
        alternatives=draft.alternatives[name],
        needed_by=tuple(dict.fromkeys(filter(None, served))),
        used_in=places_used(goal, name),
    )


def _gold_steps(draft: _Draft) -> tuple[GoldStep, ...]:
    """The plan: first one question for all that is hidden, then the calls, each after a yes where one is due."""
    questions = [fact.question for fact in draft.goal.facts if fact.id in draft.hidden]
    steps: list[GoldStep] = [Ask(ask=draft.hidden, text=" ".join(questions))]
    places: dict[int, int] = {}
    for place, call in enumerate(draft.gold.calls):
        if call.template.confirm:
            steps.append(Confirm(confirm=fill(call.template.confirm, draft.spoken)))
        places[place] = len(steps)
        arguments = call.gold(places)
        steps.append(Call(call=call.template.call, arguments=arguments, subgoal=subgoal_of(call)))
    return (*steps, Finish(finish=finish_text(draft.goal, places, draft.spoken)))


def _stray_write(draft: _Draft, seed: int) -> Call:
    """A write that succeeds after the gold plan and changes a row that the plan leaves alone."""
    source = ArgumentSource(draft.image.spec, derive(seed, "violation"))
    tools = [tool for tool in draft.image.spec.tools() if tool.effect == "write"]
    own = {row_of(change) for change in draft.gold.changes}
    with World.open(draft.image, seed) as world:
        for call in draft.gold.calls:
            world.call(call.template.call, call.arguments)
        before = world.digest()
        for number in range(_VIOLATION_TRIES):
            tool = tools[number % len(tools)]
            given = source.draw(tool, strange=0.0)
            if world.call(tool.name, given).ok and world.digest() != before:
                if any(row_of(change) not in own for change in world.write_set()):
                    return Call(call=tool.name, arguments={name: Value(value=value) for name, value in given.items()})
                before = world.digest()
    raise Unplannable(f"{draft.goal.id}: no forbidden write found")
