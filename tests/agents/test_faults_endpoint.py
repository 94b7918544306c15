"""FAULTS 1 to 4 at the counts of the table: whole episodes against an endpoint on loopback that fails as told."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.desk import desk_image, desk_task
from tests.support.endpoint import Endpoint, Raw
from tests.support.storm import CALLS, FAULTS, Storm, answer, play, records, slowest

from mocktrial.agents.retry import Retry
from mocktrial.envs.chat import tool_call
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.failures import Failure, read_reason

PATIENT = Retry(wait_initial=0.01, jitter=0.01)
BRIEF = Retry(attempts=2, deadline=3.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)


def counts(tenth: int) -> pytest.MarkDecorator:
    """A tenth of the table's count by default, the whole with `-m soak`."""
    return pytest.mark.parametrize("count", [tenth, pytest.param(10 * tenth, marks=pytest.mark.soak)])


@counts(50)
async def test_a_storm_of_429(tmp_path: Path, count: int) -> None:
    """FAULTS 1: all finish, no request sooner than told, at most 1.5 requests a needed call."""
    storm = Storm()
    async with Endpoint(storm) as endpoint:
        done = await play(tmp_path, endpoint.url, count, retry=PATIENT)
    assert (done.scored, done.no_result) == (count, 0)
    assert storm.early == []
    assert storm.needed == CALLS * count
    assert len(endpoint.requests) <= 1.5 * storm.needed


@counts(5)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lasting_fault(tmp_path: Path, fault: str, count: int) -> None:
    """FAULTS 2: every episode ends within the call's deadline and a second, as `no_result` with its class."""
    raw, kind = FAULTS[fault]
    async with Endpoint(lambda _: raw) as endpoint:
        done = await play(tmp_path, endpoint.url, count, retry=BRIEF, timeout=1.0 if kind == Failure.TIMEOUT else 3.0)
    assert (done.scored, done.no_result) == (0, count)
    found = records(tmp_path)
    assert {(record.outcome, record.reward, read_reason(record.reason).kind) for record in found} == {
        ("no_result", None, kind)
    }
    assert slowest(tmp_path) < BRIEF.deadline + 1


async def test_an_episode_has_a_deadline_of_its_own(tmp_path: Path) -> None:
    async with Endpoint(lambda _: Raw(fault="hang")) as endpoint:
        done = await play(tmp_path, endpoint.url, 2, retry=PATIENT, timeout=60, deadline=0.2)
    assert done.no_result == 2
    assert {read_reason(record.reason).kind for record in records(tmp_path)} == {"DEADLINE"}


@counts(50)
async def test_a_dead_endpoint_stops_the_run(tmp_path: Path, count: int) -> None:
    """FAULTS 3: stops within 20; the same command finishes all when the endpoint lives again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    stopped = await play(tmp_path, f"http://127.0.0.1:{port}/v1", count, retry=BRIEF, breaker=20)
    assert stopped.stopped.startswith("20 failures in a row: endpoint: CONNECT: ")
    assert stopped.no_result == 20
    async with Endpoint(answer) as endpoint:
        resumed = await play(tmp_path, endpoint.url, count, retry=BRIEF, breaker=20)
    assert (resumed.scored, resumed.done, resumed.stopped) == (count, count, "")


# FAULTS 4: what a model may write in place of a tool call

BROKEN = ["", "{", '{"name": "Al', "nonsense", '{"name": NaN', "[" * 5000, "\\", '"\\ud800', '{"name": "Alan"} {}']
NO_OBJECT = ["null", "[]", "[1, 2]", "3", '"text"', "true"]
WRONG = ['{"nom": "Alan"}', '{"name": 5}', '{"name": null}', '{"name": {"a": []}}', "{}"]


def malformed(rng: random.Random) -> list[Any]:
    """The calls of one message, none of which may run."""
    lend = '{"member_id": "m1", "item": "lens"}'
    makers: list[Callable[[], list[Any]]] = [
        lambda: [tool_call("a", "lend", rng.choice(BROKEN))],
        lambda: [tool_call("a", "lend", rng.choice(NO_OBJECT))],
        lambda: [tool_call("a", "find_members", rng.choice(WRONG))],
        lambda: [tool_call("a", rng.choice(["lent", "", "drop table", "x" * 10**5, "\udcff", "<tool>"]), lend)],
        lambda: [{"id": "a", "type": "function", "function": rng.choice([None, [], "lend", {}, {"name": 3}])}],
        lambda: [rng.choice([None, 3, "lend", [], {}, {"id": []}, {"name": "lend", "arguments": lend}])],
        lambda: [tool_call("a", "lend", rng.choice([None, {"member_id": "m1"}, ["x"], 7]))],  # type: ignore[arg-type]
        lambda: [tool_call("a", "lend", '{"member_id": "' + rng.choice("xé\0") * 10**6 + '"}')],
        lambda: [tool_call("a", "lend", lend.replace("lens", chr(0xDC80 + rng.randrange(128))))],  # bad UTF-8
        lambda: [tool_call("a", "lend", lend.replace("lens", r"\udc80"))],
        lambda: [tool_call("same", "nothing", "{}"), tool_call("same", "lend", lend)],
    ]  # fmt: skip
    return rng.choice(makers)()


@counts(100)
async def test_malformed_tool_calls(count: int) -> None:
    """FAULTS 4: a short structured error for each, nothing runs, nothing is mended, nothing breaks."""
    rng, limits = random.Random(4), Limits(turns=count + 1, calls=2 * count + 1, seconds_per_turn=0)
    async with Episode(desk_task(), desk_image(), limits=limits) as episode:
        await episode.reset()
        before = episode.world.digest()
        for number in range(count):
            calls = malformed(rng)
            observation = await episode.step({"role": "assistant", "content": None, "tool_calls": calls})
            assert len(observation.messages) == len(calls), number
            for reply in observation.messages:
                assert len(reply["content"].encode()) <= 2048
                assert set(json.loads(reply["content"])) == {"error"}
        assert not any(event.ok for event in episode.events)
        assert (episode.world.digest(), episode.world.write_set()) == (before, ())
