"""Calls that nobody asked for: a few reads and writes that succeed in a world as it starts, drawn once an image.

A task's violation does one of the writes after the gold plan (`stray_write`); the proof plays others, and the reads.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Call, Value
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import ToolSpec
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.plan.planning import PlanRun
from mocktrial.synth.plan.rubrics import row_of
from mocktrial.synth.plan.stage import START, Stage

_DRAWS = 240  # generated calls an image
_KEPT = 12  # of those that succeed
_IMAGES = 32  # whose calls are remembered
Effect = Literal["read", "write"]
_drawn: OrderedDict[tuple[str, Effect], tuple[Call, ...]] = OrderedDict()


def has_writes(image: WorldImage) -> bool:
    return any(tool.spec.effect == "write" for tool in image.tools.values())


def stray_write(image: WorldImage, stage: Stage, run: PlanRun, seed: int) -> Call:
    """A write that succeeds after the plan and changes a row that the plan leaves alone. Raises `Unplannable`."""
    own = {row_of(change) for change in run.changes}
    for call in calls_of(image, "write", seed):
        outcome = stage.call(run.state, call.call, given_of(call))
        if outcome.ok and any(row_of(change) not in own for change in stage.changes(outcome.state)):
            return call
    raise Unplannable("no forbidden write found")


def calls_of(image: WorldImage, effect: Effect, first: int) -> tuple[Call, ...]:
    """Calls that succeed in the world as it starts, of as many tools as there are. The same for equal images, but
    for `first`, which says where among them to begin."""
    key = image.hash, effect
    found = _drawn.get(key)
    if found is None:
        found = _drawn[key] = _draw(image, effect)
        if len(_drawn) > _IMAGES:
            _drawn.popitem(last=False)
    start = first % len(found) if found else 0
    return found[start:] + found[:start]


def given_of(call: Call) -> dict[str, Any]:
    """The values of a drawn call's arguments."""
    return {name: argument.value for name, argument in call.arguments.items() if isinstance(argument, Value)}


def _draw(image: WorldImage, effect: Effect) -> tuple[Call, ...]:
    seed = derive(int(image.hash, 16), "strays")
    source = ArgumentSource(image.spec, seed)
    tools = [tool for tool in image.spec.tools_of("agent") if tool.effect == effect]
    kept: list[Call] = []
    with Stage(image, seed) as stage:
        for number in range(_DRAWS if tools else 0):
            call = drawn(source, tools[number % len(tools)])
            outcome = stage.call(START, call.call, given_of(call))
            if outcome.ok and (effect == "read" or stage.changes(outcome.state)) and call not in kept:
                kept.append(call)
            if len(kept) == _KEPT:
                break
    return tuple(kept)


def drawn(source: ArgumentSource, tool: ToolSpec) -> Call:
    """A call of the tool on generated arguments."""
    given = source.draw(tool, strange=0.0)
    return Call(call=tool.name, arguments={name: Value(value=value) for name, value in given.items()})
