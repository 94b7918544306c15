"""The desk world and its one task: small enough that a test can be read without opening a file."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from mocktrial.envs.task import Task
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec

DATA = Path(__file__).parent.parent / "data"


def desk_spec() -> WorldSpec:
    return WorldSpec.model_validate_json((DATA / "desk.json").read_text(encoding="utf-8"))


@lru_cache
def desk_image() -> WorldImage:
    return compile_world(desk_spec())


@lru_cache
def desk_task() -> Task:
    task = Task.model_validate_json((DATA / "desk_task.json").read_text(encoding="utf-8"))
    return task.model_copy(update={"world_hash": desk_image().hash})
