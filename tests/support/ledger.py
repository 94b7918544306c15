"""Tasks and trajectories for the tests of ledger, runner and report; run as a script it is a run to kill.

python -m tests.support.ledger PLACE EXPORT N  plays N cheap tasks into the ledger at PLACE, then exports them.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from mocktrial.envs.chat import assistant, tool_call
from mocktrial.envs.database import open_engine
from mocktrial.envs.rubric import Rubric
from mocktrial.envs.runner import run, trial_seed
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Asking, CriterionResult, Event, Grade, Trajectory
from mocktrial.mocktools.writeset import Change

CONFIG = {"agent": {"name": "cheap", "temperature": 0.5}, "trials": 2}


def make_task(number: int, **changes: Any) -> Task:
    fields = {
        "id": f"task-{number:04}",
        "world": "desk",
        "world_hash": "w",
        "domain": ("clinic", "parcels")[number % 2],
        "difficulty": 1 + number % 4,
        "instruction": "Book it.",
        "rubric": Rubric(),
        "gold": (),
        "seed": number,
    }
    return Task.model_validate(fields | changes)


def make_trajectory(
    task: Task,
    trial: int = 0,
    *,
    agent: str = "cheap",
    success: bool = True,
    asking: Asking = Asking(hidden=1),  # noqa: B008  frozen
    **changes: Any,
) -> Trajectory:
    call = tool_call("c1", "book", '{"day": "2026-01-05"}')
    criterion = CriterionResult(id="booked", kind="state", group="subgoal", passed=success, evidence="row 7 of visit")
    fields = {
        "task_id": task.id,
        "task_hash": task.content_hash(),
        "world_hash": task.world_hash,
        "agent": agent,
        "seed": trial_seed(task, trial),
        "trial": trial,
        "outcome": "scored",
        "end": "finished",
        "messages": (
            {"role": "system", "content": "You work at a desk."},
            {"role": "user", "content": task.instruction},
            assistant(None, call),
            {"role": "tool", "tool_call_id": "c1", "content": '{"id": 7}'},
            assistant("Done."),
        ),
        "events": (
            Event(turn=0, kind="release", name="day"),
            Event(turn=0, kind="call", name="book", arguments={"day": "2026-01-05"}),
        ),
        "writes": (Change(table="visit", op="insert", key={"id": 7}, columns={"day": (None, "2026-01-05")}),),
        "grade": Grade(reward=float(success), success=success, criteria=(criterion,), asking=asking),
    }
    return Trajectory.model_validate(fields | changes)


async def play(task: Task, trial: int) -> Trajectory:
    """Succeeds or not by the trial's seed; ends in an order that no seed fixes."""
    await asyncio.sleep(random.random() / 200)
    return make_trajectory(task, trial, success=trial_seed(task, trial) % 3 > 0)


@contextmanager
def begin(place: Path | str) -> Iterator[Connection]:
    """A transaction of somebody who knows nothing of ledgers."""
    engine = open_engine(place, create=False)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def main(place: Path | str, export: Path, count: int) -> None:
    tasks = [make_task(number) for number in range(count)]
    with Ledger.open(place, CONFIG) as ledger:
        print("playing", flush=True)
        asyncio.run(
            run(
                tasks,
                2,
                play,
                ledger,
                agent="cheap",
                concurrency=4,
                on_progress=lambda progress: print(progress.done, flush=True),
            )
        )
        ledger.export_jsonl(export)
        print("exported", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
