"""Writes that nobody asked for: what a task's violation does after the gold plan.

A few writes that succeed in a world are drawn once an image and kept; `stray_write` tries them after a plan.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Call, Value
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.plan.planning import PlanRun
from mocktrial.synth.plan.rubrics import row_of
from mocktrial.synth.plan.stage import START, Stage

_DRAWS = 240  # generated writes an image
_KEPT = 12  # of those that succeed
_IMAGES = 32  # whose writes are remembered
_Write = tuple[str, dict[str, Any]]
_drawn: OrderedDict[str, tuple[_Write, ...]] = OrderedDict()


def has_writes(image: WorldImage) -> bool:
    return any(tool.spec.effect == "write" for tool in image.tools.values())


def stray_write(image: WorldImage, stage: Stage, run: PlanRun, seed: int) -> Call:
    """A write that succeeds after the plan and changes a row that the plan leaves alone. Raises `Unplannable`."""
    own = {row_of(change) for change in run.changes}
    writes = _writes_of(image)
    for number in range(len(writes)):
        tool, given = writes[(seed + number) % len(writes)]
        outcome = stage.call(run.state, tool, given)
        if outcome.ok and any(row_of(change) not in own for change in stage.changes(outcome.state)):
            return Call(call=tool, arguments={name: Value(value=value) for name, value in given.items()})
    raise Unplannable("no forbidden write found")


def _writes_of(image: WorldImage) -> tuple[_Write, ...]:
    """Writes that succeed in the world as it starts, of as many tools as there are. The same for equal images."""
    found = _drawn.get(image.hash)
    if found is None:
        found = _drawn[image.hash] = _draw(image)
        if len(_drawn) > _IMAGES:
            _drawn.popitem(last=False)
    return found


def _draw(image: WorldImage) -> tuple[_Write, ...]:
    seed = derive(int(image.hash, 16), "strays")
    source = ArgumentSource(image.spec, seed)
    tools = [tool for tool in image.spec.tools() if tool.effect == "write"]
    kept: list[_Write] = []
    with Stage(image, seed) as stage:
        for number in range(_DRAWS if tools else 0):
            tool = tools[number % len(tools)]
            given = source.draw(tool, strange=0.0)
            outcome = stage.call(START, tool.name, given)
            if outcome.ok and stage.changes(outcome.state):
                kept.append((tool.name, given))
            if len(kept) == _KEPT:
                break
    return tuple(kept)
