"""Blueprints tried: other domains to borrow from, and whether tasks of a changed one still prove themselves."""

from __future__ import annotations

from collections import Counter

from mocktrial.mocktools.image import compile_world
from mocktrial.synth.blueprint import Blueprint, load_blueprint, shipped_domains
from mocktrial.synth.plan.planning import Unplannable
from mocktrial.synth.plan.rows import make_world
from mocktrial.synth.plan.tasks import make_task
from mocktrial.synth.proof.prove import prove


def others(domain: str) -> list[Blueprint]:
    return [load_blueprint(name) for name in shipped_domains() if name != domain]


def proved(blueprint: Blueprint, count: int) -> Counter[str]:
    """Outcomes of a few drafts a goal."""
    image = compile_world(make_world(blueprint, 0, 5))
    outcomes: Counter[str] = Counter()
    for number in range(count):
        goal = blueprint.goals.goals[number % len(blueprint.goals.goals)]
        try:
            task = make_task(goal, image, domain=blueprint.name, personas=blueprint.goals.personas, seed=number)
        except Unplannable:
            outcomes["unplannable"] += 1
            continue
        proof = prove(task, image)
        outcomes["proved" if proof.ok else "; ".join(proof.failures)] += 1
    return outcomes
