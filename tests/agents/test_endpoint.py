"""What all clients of one endpoint share: room that follows 429, a circuit breaker; and classes, prices, addresses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.desk import desk_task
from tests.support.endpoint import Endpoint, Raw, message, refuse, say
from tests.support.ledger import make_trajectory

from mocktrial.agents import circuit
from mocktrial.agents.circuit import Circuit
from mocktrial.agents.current import key_of, named
from mocktrial.agents.openai_client import OpenAIModel
from mocktrial.agents.prices import Price, read_prices
from mocktrial.agents.retry import Retry, TryAgain
from mocktrial.agents.slots import Slots, Turn
from mocktrial.envs.chat import NO_USAGE, Usage
from mocktrial.envs.failures import Failure, Reason, read_reason
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult, UsageError

HELLO = [{"role": "user", "content": "hello"}]
FAST = Retry(attempts=3, deadline=5.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)


async def ask(url: str, **options: Any) -> Usage:
    model = OpenAIModel("m", url, **({"retry": FAST} | options))
    try:
        return (await model.start((), seed=1).send(HELLO)).usage
    finally:
        await model.aclose()


# Room for requests


async def test_room_is_halved_by_a_429_and_grows_back_one_by_one() -> None:
    slots = Slots(8)
    async with Turn(slots) as turn:
        await turn.take()
        slots.throttled(turn)
    assert slots.limit == 4
    for _ in range(4):
        slots.answered()
    assert slots.limit == 5
    for _ in range(100):
        slots.answered()
    assert slots.limit == 8


async def test_requests_of_before_the_halving_halve_no_further() -> None:
    slots = Slots(8)
    async with Turn(slots) as first, Turn(slots) as second:
        await first.take()
        await second.take()
        slots.throttled(first)
        slots.throttled(second)
        assert slots.limit == 4
        async with Turn(slots) as third:
            await third.take()
            slots.throttled(third)
    assert slots.limit == 2


async def test_the_room_is_kept_to_at_every_moment() -> None:
    slots, under_way, seen = Slots(6), 0, []

    async def request(number: int) -> None:
        nonlocal under_way
        async with Turn(slots) as turn:
            await turn.take()
            under_way += 1
            if not slots._owed:
                seen.append(under_way <= slots.limit)
            await asyncio.sleep(0.001)
            slots.throttled(turn) if number % 9 == 0 else slots.answered()
            under_way -= 1

    await asyncio.gather(*map(request, range(200)))
    assert len(seen) > 50
    assert all(seen)
    assert slots._free._value == slots.limit  # nothing was lost or made


async def test_models_of_one_endpoint_share_its_room() -> None:
    slow = Raw(say("hi").body, delay=0.02)
    async with Endpoint(lambda _: slow) as endpoint:
        await asyncio.gather(*(ask(endpoint.url, concurrency=3) for _ in range(12)))
    assert endpoint.peak == 3


async def test_waiting_for_a_place_is_not_the_calls_time() -> None:
    slow = Raw(say("hi").body, delay=0.2)
    async with Endpoint(lambda _: slow) as endpoint:
        retry = Retry(attempts=1, deadline=0.9)
        await asyncio.gather(*(ask(endpoint.url, concurrency=1, retry=retry) for _ in range(6)))


async def test_a_throttled_endpoint_gets_fewer_requests_at_once() -> None:
    async with Endpoint(lambda _: Raw(b"{}", 429, delay=0.01)) as endpoint:
        asked = (ask(endpoint.url, concurrency=8, retry=Retry(attempts=4, wait_initial=0.01)) for _ in range(8))
        await asyncio.gather(*asked, return_exceptions=True)
        start = len(endpoint.requests)
        endpoint.peak = 0
        await asyncio.gather(*(ask(endpoint.url, concurrency=8) for _ in range(8)), return_exceptions=True)
    assert start > 8
    assert endpoint.peak == 1


# The circuit breaker


def failed(times: int, kind: Failure = Failure.RESET) -> Circuit:
    """A circuit after failures at even distances, the last at 0 s."""
    one = Circuit()
    for number in range(times):
        one.failed(TryAgain("connection failed", kind), circuit.SILENCE * (number + 1 - times) / (times - 1))
    return one


def test_a_circuit_opens_and_one_probe_at_a_time_goes_out() -> None:
    one = failed(circuit.THRESHOLD)
    with pytest.raises(TryAgain, match="connection failed") as caught:
        one.check(0.1)
    assert caught.value.reason == "endpoint: RESET: connection failed"
    one.check(1.0)  # the probe
    with pytest.raises(TryAgain):
        one.check(1.1)
    one.answered()
    one.check(1.2)


def test_an_outage_that_goes_on_is_told(caplog: pytest.LogCaptureFixture) -> None:
    one = Circuit()
    for second in (0, 3, 6, 9, 11, 13):
        one.failed(TryAgain("http://127.0.0.1:9/v1: refused", Failure.CONNECT), float(second))
    assert [entry.getMessage() for entry in caplog.records] == [
        "http://127.0.0.1:9/v1: refused; no answer for 6 s, still trying",
        "http://127.0.0.1:9/v1: refused; no answer for 13 s, still trying",
    ]
    one.answered()
    one.failed(TryAgain("again", Failure.CONNECT), 20.0)
    assert len(caplog.records) == 2


def test_a_circuit_stays_closed_for_few_failures_for_many_kinds_and_for_a_burst() -> None:
    failed(circuit.THRESHOLD - 1).check(0.1)
    one = failed(circuit.THRESHOLD - 1)
    one.failed(TryAgain("no answer", Failure.TIMEOUT), 0.0)
    one.check(0.1)
    burst = Circuit()
    for _ in range(2 * circuit.THRESHOLD):
        burst.failed(TryAgain("connection failed", Failure.RESET), 0.0)
    burst.check(0.1)


def test_a_long_outage_is_not_waited_for() -> None:
    one = failed(circuit.THRESHOLD)
    one.check(circuit.PATIENCE)  # the probe that was due
    with pytest.raises(NoResult, match="connection failed") as caught:
        one.check(circuit.PATIENCE)
    assert not isinstance(caught.value, TryAgain)


async def test_a_dead_endpoint_is_left_alone_until_it_lives_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circuit, "SILENCE", 0.0)
    dead = True
    async with Endpoint(lambda _: refuse(500) if dead else say("hi")) as endpoint:
        retry = Retry(attempts=200, deadline=20.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)
        waiting = asyncio.gather(*(ask(endpoint.url, retry=retry) for _ in range(16)))
        await asyncio.sleep(0.4)  # each would have asked twenty times
        assert len(endpoint.requests) < circuit.THRESHOLD + 16
        dead = False
        assert len(await waiting) == 16


# Classes of failures


KINDS = {
    Failure.RATE_LIMIT: refuse(429),
    Failure.SERVER_ERROR: refuse(503),
    Failure.RESET: Raw(fault="reset"),
    Failure.CUT: Raw(say("hi").body, fault="cut"),
    Failure.TIMEOUT: Raw(fault="hang"),
    Failure.BAD_BODY: Raw(b'{"error": {"message": "busy"}}'),
    Failure.REFUSED: refuse(404),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_has_its_class(kind: Failure) -> None:
    async with Endpoint(lambda _: KINDS[kind]) as endpoint:
        with pytest.raises(NoResult) as caught:
            await ask(endpoint.url, timeout=0.2)
    assert read_reason(caught.value.reason) == Reason("endpoint", kind, str(caught.value))


async def test_nobody_listening_has_its_class() -> None:
    async with Endpoint([]) as endpoint:
        pass
    with pytest.raises(NoResult) as caught:
        await ask(endpoint.url)
    assert caught.value.kind == Failure.CONNECT


def test_a_reason_without_a_class_is_read_too() -> None:
    assert read_reason("user: it: broke") == Reason("user", "", "it: broke")
    assert read_reason("") == Reason("", "", "")


# Prices


def test_costs_are_summed_and_never_invented() -> None:
    price = Price(prompt=2.0, completion=10.0)
    paid = price.priced(Usage(prompt_tokens=1000, completion_tokens=100))
    assert paid.cost == pytest.approx(0.003)
    assert (paid + paid).cost == pytest.approx(0.006)
    assert (NO_USAGE + paid).cost == paid.cost
    assert (paid + Usage(prompt_tokens=5)).cost is None
    assert price.priced(NO_USAGE).cost is None


async def test_cost_is_known_where_the_price_is(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('["m"]\nprompt = 1.0\ncompletion = 2.0\n')
    prices = read_prices(tmp_path / "prices.toml")
    async with Endpoint(lambda _: say("hi")) as endpoint:
        assert (await ask(endpoint.url, price=prices["m"])).cost == pytest.approx(13e-6)
        assert (await ask(endpoint.url)).cost is None


async def test_a_cost_that_the_endpoint_names_is_not_taken() -> None:
    async with Endpoint([message({"content": "hi"}, prompt_tokens=1, cost=9)]) as endpoint:
        assert await ask(endpoint.url) == Usage(prompt_tokens=1)


@pytest.mark.parametrize(
    ("text", "named"),
    [('["m"]\nprompt = 1\n', "m.completion"), ("[m]\nprompt = -1\ncompletion = 0", "m.prompt"), ("m", "prices from"),
     ("[m]\nprompt = 1\ncompletion = 1\ncached = 1", "m.cached"), ("[m]\nprompt = nan\ncompletion = 1", "m.prompt")],
)  # fmt: skip
def test_prices_are_checked(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(UsageError, match=named):
        read_prices(tmp_path / "prices.toml")


# Addresses that name the episode


async def test_an_address_is_filled_with_the_episode_that_is_played() -> None:
    paths: list[str] = []

    async def play(task: Task, trial: int) -> Trajectory:
        await ask(f"{endpoint.url}/e/{{episode}}/v1")
        return make_trajectory(task, trial)

    async with Endpoint(lambda request: paths.append(request.path) or say("hi")) as endpoint:
        await asyncio.gather(*(named(play)(desk_task(), trial) for trial in range(3)))
        with pytest.raises(UsageError, match="names an episode"):
            await ask(f"{endpoint.url}/e/{{episode}}/v1")
    assert sorted(paths) == [f"/v1/e/{key_of(desk_task(), trial)}/v1/chat/completions" for trial in range(3)]
