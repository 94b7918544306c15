"""Auto-SLURP's rows as tasks: the human command, the calls it asks for, and how they are graded.

A row becomes one task on the services' world. Its gold plan calls one tool an intent with the row's slots,
resolved against the virtual clock. It is graded by predicates (METHODS section 2): each call reached its
service with the gold slots under the published leniencies, and the state changed where the gold calls
change it and nowhere else. Where a required slot is missing in the row itself, reaching the service's
clarifying question is the right end. No row is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mocktrial.envs.rubric import CallCriterion, Rubric, WritePattern, WritesCriterion
from mocktrial.envs.task import Call, Finish, GoldStep, Persona, Task, Value
from mocktrial.mocktools.autoslurp.change import change_one_slot
from mocktrial.mocktools.autoslurp.compare import PUBLISHED
from mocktrial.mocktools.autoslurp.dataset import Dataset, GoldCall, Row
from mocktrial.mocktools.autoslurp.resolve import canonical_arguments
from mocktrial.mocktools.autoslurp.services import autoslurp_image, for_tool
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.world import World
from mocktrial.mocktools.writeset import Change

EXPECTED_FAILURES = ("need_slot", "not_found")  # the service answers, if not with a success


def tasks_of(dataset: Dataset, *, rules: frozenset[str] = PUBLISHED) -> list[Task]:
    """A task for each row, in the file's order. `rules`: the leniencies in force."""
    image = autoslurp_image()
    return [_task(row, number, image, rules) for number, row in enumerate(dataset.rows)]


def _task(row: Row, number: int, image: WorldImage, rules: frozenset[str]) -> Task:
    codes, changes = _rehearse(row.calls, image)
    calls = tuple(
        CallCriterion(
            id=f"call-{place}", tool=call.intent, compare="autoslurp", code=code,
            description=f"{call.intent} with the row's slots",
            arguments={"slots": [list(slot) for slot in call.slots], "rules": sorted(rules)},
        )
        for place, (call, code) in enumerate(zip(row.calls, codes, strict=True), 1)
    )  # fmt: skip
    patterns = tuple(
        WritePattern(table=table, op=op) for table, op in sorted({(change.table, change.op) for change in changes})
    )
    state = (WritesCriterion(id="state", description="the state it left", required=patterns),)
    kept = WritesCriterion(id="nothing-else", description="nothing else changed", allowed=patterns)
    return Task(
        id=f"row-{number + 1}", world=image.spec.name, world_hash=image.hash, family="autoslurp",
        domain=row.calls[0].intent.partition("_")[0], difficulty=len(row.calls), split="test",
        persona=Persona(), goal=row.query, instruction=row.query,
        rubric=Rubric(subgoals=calls + (state if patterns else ()), forbidden=(kept,)),
        gold=_plan(row.calls, image), violation=_plan(_changed(row.calls, number, image), image), seed=number,
        provenance={"source": Path(row.id).name, "problems": list(row.problems), "unmapped": list(row.unmapped)},
    )  # fmt: skip


def _rehearse(calls: Iterable[GoldCall], image: WorldImage) -> tuple[list[str], tuple[Change, ...]]:
    """What the gold calls do in a fresh world: the code of each, and the net changes."""
    with World.open(image, seed=0) as world:
        codes = [world.call(call.intent, _arguments(call, image)).code for call in calls]
        return [code if code in EXPECTED_FAILURES else "" for code in codes], world.write_set()


def _arguments(call: GoldCall, image: WorldImage) -> dict[str, Any]:
    """The call's slots, resolved, as its tool takes them."""
    return for_tool(call.intent, canonical_arguments(call.slots, image.now))


def _plan(calls: Iterable[GoldCall], image: WorldImage) -> tuple[GoldStep, ...]:
    steps: list[GoldStep] = []
    for call in calls:
        arguments = _arguments(call, image)
        steps.append(Call(call=call.intent, arguments={name: Value(value=v) for name, v in arguments.items()}))
    return (*steps, Finish(finish="Done."))


def _changed(calls: tuple[GoldCall, ...], number: int, image: WorldImage) -> tuple[GoldCall, ...]:
    """The row's calls with one slot of one call changed to another meaning."""
    place = next((at for at, call in enumerate(calls) if call.slots), 0)
    tool = image.tools.get(calls[place].intent)
    labels = sorted(set(tool.spec.parameters) - {"other"}) if tool else []
    wrong = change_one_slot(calls[place].slots, number, image.now, labels)
    return (*calls[:place], GoldCall(calls[place].intent, wrong), *calls[place + 1 :])
