"""A reference solution of tau2's played in a world of ours: a gold plan, and what it changes and tells.

It is played once, and once with another seed, to see which of its changes depend on that. A call that fails raises
`Unplannable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mocktrial.envs.rubric import WritePattern
from mocktrial.envs.task import Argument, Ask, Call, Deed, Fact, Finish, FromFact, GoldStep, Value
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import same
from mocktrial.mocktools.world import World
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.exchange.tau2.shape import Action
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.plan.rubrics import exactly, row_of
from mocktrial.synth.plan.strays import calls_of, given_of

DATABASE = "db"  # id of the subgoal that the writes serve


class Solution:
    """`gold` and `violation` as a task has them; `changes` as patterns; `facts` with the places of their use."""

    def __init__(
        self, actions: Sequence[Action], facts: Sequence[Fact], told: Sequence[str], image: WorldImage
    ) -> None:
        self.actions, self._image = actions, image
        self._facts = {fact.id: fact for fact in facts}
        self.deeds: list[Deed] = []
        with World.open(image, 0) as world, World.open(image, 1) as twin:
            results = [_given(world, action) for action in actions]
            for action in actions:
                _given(twin, action)
            changes = world.write_set()
            self.changes: tuple[WritePattern, ...] = exactly(changes, twin.write_set())
            stray = _stray(world, changes)
        steps = [self._step(number, action) for number, action in enumerate(actions)]
        asks = [Ask(ask=(fact.id,), text=fact.question) for fact in self.asked]
        finish = Finish(finish=" ".join(["Done.", *(_slot(text, results, len(asks)) for text in told)]))
        self.gold: tuple[GoldStep, ...] = (*asks, *steps, finish)
        self.violation: tuple[GoldStep, ...] = (*asks, *steps, stray, finish) if stray else ()

    @property
    def facts(self) -> tuple[Fact, ...]:
        return tuple(self._facts.values())

    @property
    def asked(self) -> tuple[Fact, ...]:
        """What the calls use and nobody has said."""
        return tuple(fact for fact in self.facts if fact.used_in and fact.hidden)

    def _step(self, number: int, action: Action) -> GoldStep:
        if action.requestor == "user":
            label = action.name.replace("_", " ")
            deed = Deed(id=f"deed_{number}", label=label, tool=action.name, arguments=action.arguments)
            self.deeds.append(deed)
            return Ask(ask=(), text=f"Please {label}.", does=(deed.id,))
        arguments = {key: self._argument(f"{action.name}.{key}", value) for key, value in action.arguments.items()}
        writes = self._image.tools[action.name].spec.effect == "write"
        return Call(call=action.name, arguments=arguments, subgoal=DATABASE if writes and self.changes else "")

    def _argument(self, place: str, value: Any) -> Argument:
        for fact in self._facts.values():
            if same(fact.value, value):
                places = tuple(dict.fromkeys((*fact.used_in, place)))
                self._facts[fact.id] = fact.model_copy(update={"value": value, "used_in": places})
                return FromFact(fact=fact.id)
        return Value(value=value)


def _given(world: World, action: Action) -> Any:
    """What an action gives. Raises `Unplannable` where it fails."""
    result = (world.call_as_user if action.requestor == "user" else world.call)(action.name, action.arguments)
    if not result.ok:
        raise Unplannable(f"an action fails in this world: {result.code}")
    return result.value


def _stray(world: World, changes: Sequence[Change]) -> Call | None:
    """A write that succeeds after the plan and changes a row that the plan leaves alone."""
    own = {row_of(change) for change in changes}
    for call in calls_of(world.image, "write", 0):
        if world.call(call.call, given_of(call)).ok and any(row_of(one) not in own for one in world.write_set()):
            return call
    return None


def _slot(text: str, results: Sequence[Any], before: int) -> str:
    """What must be told, as the part of a result that says it; `before`: how many steps come before the results."""
    for number, result in enumerate(results):
        for path, leaf in _leaves(result):
            if path and same(leaf, text):
                return f"{{{before + number}.{path}}}"
    return text


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield path, value
    else:
        for key, part in parts:
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
