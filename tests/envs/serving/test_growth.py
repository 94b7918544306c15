"""FAULTS 25: a server through which many episodes go takes no more memory than after the first of them."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from resource import getpagesize

import pytest

from mocktrial.envs.serving.sessions import Sessions, Start
from tests.support.doors import desk_sessions


async def play(sessions: Sessions, count: int) -> int:
    """Open, use, grade and end so many episodes; bytes that this process then has in memory."""
    for trial in range(count):
        key = json.loads(await sessions.open(Start(task="desk-1", trial=trial)))["episode"]
        await sessions.call(key, "find_members", b'{"name": "Alan"}')
        await sessions.call(key, "ask_user", b'{"message": "For how many days is the loan?"}', "asked")
        await sessions.call(key, "lend", b'{"member_id": "m1", "item": "tripod", "days": 7}')
        assert (await sessions.verify(key)).grade
        await sessions.end(key)
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * getpagesize()


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_memory_stays_while_episodes_come_and_go(count: int) -> None:
    sessions = desk_sessions()
    before = await play(sessions, 300)
    assert await play(sessions, count) < 1.05 * before
    assert sessions.keys() == []
