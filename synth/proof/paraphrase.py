"""The gold plan in another order, which must pass: a task is not about the order that its planner chose.

Reads come first, as far as data flow lets them, writes keep their order, each `Confirm` stays right before
its call, and questions come as late as they may. Whether such an order is legal in the world's eyes (every
call gives what it gave) is seen when it is played.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mocktrial.envs.task import Ask, Call, Confirm, Fact, FromFact, FromStep
from mocktrial.synth.proof.variants import Numbered, Scene


@dataclass
class _Unit:
    """A call with the `Confirm` before it."""

    steps: list[Numbered] = field(default_factory=list)
    writes: bool = False

    def needs(self) -> set[int]:
        """Numbers of the calls whose results this one takes."""
        return {
            argument.step
            for _, step in self.steps
            for argument in (step.arguments.values() if isinstance(step, Call) else ())
            if isinstance(argument, FromStep)
        }

    def uses(self, fact: Fact) -> bool:
        for _, step in self.steps:
            if isinstance(step, Confirm) and f"{{fact.{fact.id}}}" in step.confirm:
                return True
            for name, argument in step.arguments.items() if isinstance(step, Call) else ():
                direct = isinstance(argument, FromFact) and argument.fact == fact.id
                if direct or (isinstance(step, Call) and f"{step.call}.{name}" in fact.used_in):
                    return True
        return False


def reordered(scene: Scene) -> tuple[Numbered, ...] | None:
    """Another order of the gold plan; None where there is none."""
    units = _units(scene)
    questions = [(number, step) for number, step in scene.gold if isinstance(step, Ask)]
    facts = {fact.id: fact for fact in scene.task.facts}
    order: list[Numbered] = []
    done: set[int] = set()
    waiting = sorted(units, key=lambda unit: unit.writes)  # stable: reads first, in each group as planned
    while waiting:
        unit = next((u for u in waiting if u.needs() <= done and _in_turn(u, waiting)), None)
        if unit is None:
            return None
        waiting.remove(unit)
        for question in list(questions):
            if _is_due([facts[name] for name in question[1].ask], unit, waiting):
                questions.remove(question)
                order.append(question)
        order += unit.steps
        done |= {number for number, _ in unit.steps}
    order += [*questions, scene.gold[-1]]
    return tuple(order) if tuple(order) != scene.gold else None


def _units(scene: Scene) -> list[_Unit]:
    units: list[_Unit] = []
    held: list[Numbered] = []
    for number, step in scene.gold:
        if isinstance(step, Confirm):
            held.append((number, step))
        elif isinstance(step, Call):
            units.append(_Unit([*held, (number, step)], step.call in scene.writers))
            held = []
    return units


def _in_turn(unit: _Unit, waiting: list[_Unit]) -> bool:
    """A write waits for the writes that the plan has before it."""
    return not unit.writes or unit is next(other for other in waiting if other.writes)


def _is_due(asked: list[Fact], unit: _Unit, waiting: list[_Unit]) -> bool:
    """Whether to ask right before `unit`, since it is the first to use an answer, or, where none does, to write."""
    if any(other.uses(fact) for other in (unit, *waiting) for fact in asked):
        return any(unit.uses(fact) for fact in asked)
    return unit.writes
