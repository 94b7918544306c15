"""FAULTS 9 to 11: one player a run, nothing crosses between episodes, the same seed gives the same bytes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mocktrial.envs.chat import assistant, tool_call
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.values import dumps
from tests.support.desk import desk_image, desk_task
from tests.support.ledger import CONFIG

ROOT = Path(__file__).parents[2]
EPISODES, CALLS = 64, 10  # episodes at once; writes in one message
ENDLESS = Limits(turns=10_000, calls=100_000, minutes=1e6)


@pytest.mark.parametrize("starts", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_of_many_players_of_one_run_one_wins(tmp_path: Path, starts: int) -> None:
    """FAULTS 9, in real processes that start together."""
    place = tmp_path / "ledger.sqlite"
    command = [sys.executable, "-m", "tests.support.ledger", str(place), str(tmp_path / "export.jsonl"), "200"]
    children = [
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(starts)
    ]
    outputs = [child.communicate(timeout=300) for child in children]
    assert sum(child.returncode == 0 for child in children) == 1
    refused = [err for child, (_, err) in zip(children, outputs, strict=True) if child.returncode]
    assert all(f"another process is playing run {tmp_path}" in err for err in refused)
    with Ledger.open(place, CONFIG) as ledger:
        assert len(ledger.done()) == 400


async def write_alone(number: int, writes: int) -> tuple[str, str, str]:
    """One episode that writes its own canary again and again: state, messages and write set at the end."""
    async with Episode(desk_task(), desk_image(), trial=number, limits=ENDLESS) as episode:
        await episode.reset()
        for start in range(0, writes, CALLS):
            calls = [
                tool_call(f"c{n}", "lend", json.dumps({"member_id": "m2", "item": f"canary {number} of {n}"}))
                for n in range(start, min(start + CALLS, writes))
            ]
            await episode.step(assistant(None, *calls))
            await asyncio.sleep(0)  # the next episode's turn
        changes = [change.model_dump(mode="json") for change in episode.world.write_set()]
        return episode.world.digest(), dumps(list(episode.messages)), dumps(changes)


@pytest.mark.parametrize("writes", [100, pytest.param(1000, marks=pytest.mark.soak)])
async def test_64_episodes_at_once_are_as_each_alone(writes: int) -> None:
    """FAULTS 10: database, clock, ids, randomness and remembered reads are each episode's own."""
    together = await asyncio.gather(*(write_alone(number, writes) for number in range(EPISODES)))
    alone = [await write_alone(number, writes) for number in range(EPISODES)]
    assert together == alone
    for number, (_, messages, changes) in enumerate(together):
        assert changes.count(f"canary {number} of ") == writes
        assert all(f"canary {other} of " not in messages + changes for other in range(EPISODES) if other != number)
    assert len({digest for digest, _, _ in together}) == EPISODES


@pytest.mark.parametrize("runs", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, runs: int) -> None:
    """FAULTS 11: generated tasks and what agents did with them, over runs, worker counts and hash seeds."""
    digests = []
    for hash_seed in ("0", "4242"):
        command = [sys.executable, "-m", "tests.support.played", str(tmp_path / hash_seed), str(runs)]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        digests += done.stdout.split()
    assert len(digests) == 2 * 2 * runs
    assert len(set(digests)) == 1
