"""A small dataset of the desk, and a tiny model that has learned by heart what the expert does there."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path

from mocktrial.agents.local.weights import LoadedModel
from mocktrial.agents.play import player
from mocktrial.agents.scripted import Expert
from mocktrial.envs.dataset import Dataset, Proof, Recipe
from mocktrial.envs.episode import Limits
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.training.engine import write_policy
from tests.support.desk import desk_image, desk_spec, desk_task
from tests.support.taught import taught


def desk_tasks(count: int) -> tuple[Task, ...]:
    """The desk's task, each time with another user's words."""
    return tuple(desk_task().model_copy(update={"id": f"desk-{n}", "seed": n}) for n in range(count))


def save_desk(folder: Path, count: int) -> Path:
    tasks = desk_tasks(count)
    proofs = tuple(Proof(task=task.id, task_hash=task.content_hash()) for task in tasks)
    Dataset(Recipe(seed=0, count=count), {"desk": desk_spec()}, tasks, proofs, folder.name).save(folder)
    return folder


def save_desk_model(folder: Path, sure: float = 0.8) -> Path:
    loaded = desk_model(sure)
    write_policy(loaded.model, folder, loaded.tokenizer)
    return folder


def desk_lessons(count: int) -> list[Trajectory]:
    """The expert's episodes."""
    play_one = player(Expert(), {"desk": desk_image()}, Limits())
    return [asyncio.run(play_one(task, 0)) for task in desk_tasks(count)]


@lru_cache
def desk_model(sure: float) -> LoadedModel:
    """Not to be trained on: others have it too. sure: least probability of each of the expert's tokens."""
    return taught(*((lesson.messages, lesson.tools) for lesson in desk_lessons(1)), sure=sure)
