"""A help desk whose customer has tools too: one task in which it does something, one in which it looks something up."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from mocktrial.envs.task import Task
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec

_FILE = Path(__file__).parent.parent / "data" / "router.json"


@lru_cache
def _data() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return read


def router_spec() -> WorldSpec:
    return WorldSpec.model_validate(_data()["world"])


@lru_cache
def router_image() -> WorldImage:
    return compile_world(router_spec())


def router_task(number: int) -> Task:
    """1: the router is to be restarted. 2: a code is in a letter that the agent must send first."""
    return Task.model_validate(_data()["tasks"][number - 1] | {"world_hash": router_image().hash})
