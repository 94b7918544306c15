"""The endpoint client against a real server on loopback: what it sends, keeps, retries and gives up on."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.endpoint import Endpoint, Raw, Request, message, refuse, say

from mocktrial.agents.openai_client import OpenAIModel
from mocktrial.agents.retry import Retry, TryAgain, call_with_retries, retry_after
from mocktrial.envs.chat import CONTEXT_LIMIT, Completion
from mocktrial.envs.failures import Failure
from mocktrial.mocktools.errors import NoResult, UsageError

FAST = Retry(attempts=4, deadline=5.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


async def send(endpoint: Endpoint, **options: Any) -> Completion:
    model = OpenAIModel("m", endpoint.url, **({"retry": FAST} | options))
    try:
        return await model.start([TOOL], seed=1).send(HELLO)
    finally:
        await model.aclose()


# What is sent and kept


async def test_a_chat_sends_history_tools_seed_and_sampling() -> None:
    async with Endpoint([say("hi"), say("bye")]) as endpoint:
        model = OpenAIModel("m", endpoint.url, temperature=0.5, top_k=3)
        chat = model.start([TOOL], seed=2**40 + 5)
        first = await chat.send(HELLO)
        await chat.send([{"role": "user", "content": "and now?"}])
        await model.aclose()
    assert first.message == {"role": "assistant", "content": "hi"}
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (7, 3)
    assert endpoint.requests[0].body == {
        "model": "m", "messages": HELLO, "tools": [TOOL], "seed": 5, "temperature": 0.5, "top_k": 3,
    }  # fmt: skip
    roles = [entry["role"] for entry in endpoint.requests[1].body["messages"]]
    assert roles == ["user", "assistant", "user"]


async def test_without_tools_none_are_sent() -> None:
    async with Endpoint([say("hi")]) as endpoint:
        await OpenAIModel("m", endpoint.url).start((), seed=1).send(HELLO)
    assert "tools" not in endpoint.requests[0].body


ARGUMENTS = ['{"a" : 1.0,\t"a":2 }', '{"day": "frid', "", "null", '{"n": 1e400, "é": "\\ud83d\\ude00"}']


@pytest.mark.parametrize("arguments", ARGUMENTS)
async def test_argument_text_is_kept_to_the_byte(arguments: str) -> None:
    call = {"id": "x-1", "type": "function", "function": {"name": "no such tool", "arguments": arguments}}
    async with Endpoint([message({"content": None, "tool_calls": [call]}), say("hi")]) as endpoint:
        chat = OpenAIModel("m", endpoint.url).start([TOOL], seed=1)
        completion = await chat.send(HELLO)
        await chat.send([{"role": "tool", "tool_call_id": "x-1", "content": "no"}])
    assert completion.message["tool_calls"] == [call]
    assert endpoint.requests[1].body["messages"][1]["tool_calls"] == [call]


async def test_odd_calls_are_left_to_the_episode() -> None:
    calls = [{"function": {"name": "look", "arguments": ["list"]}}, None, {"id": 3}]
    async with Endpoint([message({"content": "", "tool_calls": calls})]) as endpoint:
        assert (await send(endpoint)).message == {"role": "assistant", "content": "", "tool_calls": calls}


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": None}, {"prompt_tokens": -1}])
async def test_usage_is_optional(usage: Any) -> None:
    body = json.dumps({"choices": [{"message": {"content": "hi"}}], "usage": usage}).encode()
    async with Endpoint([Raw(body)]) as endpoint:
        assert (await send(endpoint)).usage.prompt_tokens == 0


# What is tried again


async def test_retry_after_is_never_undercut() -> None:
    replies = [refuse(429, retry_after="0.2"), refuse(429, retry_after_ms="150"), say("hi")]
    async with Endpoint(replies) as endpoint:
        await send(endpoint)
    first, second, third = (request.at for request in endpoint.requests)
    assert second - first >= 0.2
    assert third - second >= 0.15


FAULTS = {
    "429": refuse(429),
    "500": refuse(500),
    "503": refuse(503, retry_after="0"),
    "reset": Raw(fault="reset"),
    "closed": Raw(fault="close"),
    "cut": Raw(say("hi").body, fault="cut"),
    "hang": Raw(fault="hang"),
    "drip": Raw(b" " * 1000, fault="drip"),
    "not JSON": Raw(b'{"choices": [{"mess'),
    "page": Raw(b"<html>busy</html>", headers={"content-type": "text/html"}),
    "error body": Raw(b'{"error": {"message": "overloaded"}}'),
    "no choices": Raw(b'{"choices": []}'),
    "null choices": Raw(b'{"choices": null}'),
    "no message": Raw(b'{"choices": [{"message": null}]}'),
    "list": Raw(b"[1]"),
    "deep": Raw(b"[" * 100_000),
    "not Unicode": Raw(b'{"choices": [{"message": {"content": "\xff"}}]}'),
    "surrogate": Raw(b'{"choices": [{"message": {"content": "\\ud800"}}]}'),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_passing_fault_is_survived(fault: str) -> None:
    async with Endpoint([FAULTS[fault], say("hi")]) as endpoint:
        assert (await send(endpoint, timeout=0.3)).message["content"] == "hi"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lasting_fault_is_no_result(fault: str) -> None:
    async with Endpoint(lambda _: FAULTS[fault]) as endpoint:
        start = time.monotonic()
        with pytest.raises(NoResult) as caught:
            await send(endpoint, timeout=0.1)
    assert time.monotonic() - start < FAST.deadline + 1
    assert 1 < len(endpoint.requests) <= FAST.attempts  # on a busy machine an attempt may time out unsent
    assert caught.value.blame == "endpoint"
    assert str(caught.value).startswith(f"{endpoint.url}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 300


async def test_there_is_one_retry_layer() -> None:
    async with Endpoint(lambda _: refuse(500)) as endpoint:
        with pytest.raises(NoResult, match="HTTP 500"):
            await send(endpoint, timeout=10.0, retry=Retry(attempts=1))
    assert len(endpoint.requests) == 1


async def test_the_deadline_ends_a_call() -> None:
    async with Endpoint(lambda _: Raw(fault="hang")) as endpoint:
        start = time.monotonic()
        with pytest.raises(NoResult, match=r"no answer within 0\.2 s"):
            await send(endpoint, retry=Retry(deadline=0.2))
        assert time.monotonic() - start < 1


async def test_a_wait_past_the_deadline_is_not_begun() -> None:
    async with Endpoint(lambda _: refuse(429, "slow down", retry_after="600")) as endpoint:
        start = time.monotonic()
        with pytest.raises(NoResult, match="HTTP 429: slow down"):
            await send(endpoint)
        assert time.monotonic() - start < 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_other_4xx_are_not_tried_again(status: int) -> None:
    async with Endpoint(lambda _: refuse(status, "bad key")) as endpoint:
        with pytest.raises(NoResult, match=f"HTTP {status}: bad key"):
            await send(endpoint)
    assert len(endpoint.requests) == 1


async def test_nobody_listens() -> None:
    async with Endpoint([]) as endpoint:
        pass
    with pytest.raises(NoResult, match="connection failed"):
        await send(endpoint)


async def test_a_full_context_is_the_agents_own_limit() -> None:
    body = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    async with Endpoint([Raw(json.dumps(body).encode(), 400)]) as endpoint:
        assert (await send(endpoint)).message["refusal"] == CONTEXT_LIMIT


async def test_concurrency_is_bounded() -> None:
    slow = Raw(say("hi").body, delay=0.03)
    async with Endpoint(lambda _: slow) as endpoint:
        model = OpenAIModel("m", endpoint.url, concurrency=3)
        await asyncio.gather(*(model.start((), seed=1).send(HELLO) for _ in range(12)))
        await model.aclose()
    assert endpoint.peak == 3


def test_one_model_serves_several_event_loops() -> None:
    model: list[OpenAIModel] = []

    async def once() -> None:
        async with Endpoint(lambda _: say("hi")) as endpoint:
            if not model:
                model.append(OpenAIModel("m", endpoint.url, concurrency=1, retry=FAST))
            else:
                model[0].client.base_url = endpoint.url
            await asyncio.gather(*(model[0].start((), seed=1).send(HELLO) for _ in range(3)))

    asyncio.run(once())
    asyncio.run(once())


# Keys and settings


async def test_the_key_goes_to_the_endpoint_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary-1234")
    caplog.set_level("DEBUG")

    def echo(request: Request) -> Raw:
        return refuse(401, f"wrong key: {request.headers['authorization']}")

    async with Endpoint(echo) as endpoint:
        with pytest.raises(NoResult) as caught:
            await send(endpoint, api_key_env="MY_KEY")
        model = OpenAIModel("m", endpoint.url, api_key_env="MY_KEY")
    assert endpoint.requests[0].headers["authorization"] == "Bearer sk-canary-1234"
    shown = f"{caught.value!r} {caught.value} {model!r} {vars(model)!r} {caplog.text}"
    assert "canary" not in shown
    assert "[redacted]" in str(caught.value)


async def test_a_password_in_the_address_is_not_shown() -> None:
    async with Endpoint(lambda _: refuse(404)) as endpoint:
        model = OpenAIModel("m", endpoint.url.replace("//", "//me:secret@"))
        with pytest.raises(NoResult, match="HTTP 404") as caught:
            await model.start((), seed=1).send(HELLO)
    assert "secret" not in str(caught.value)


def test_the_public_endpoint_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY is not set") as caught:
        OpenAIModel("m")
    assert caught.value.hint
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert OpenAIModel("m").name == "openai:m"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "v1", "http://[x/v1", "http://h:99999/"])
def test_addresses_are_checked(url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        OpenAIModel("m", url)


def test_keys_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u201cquoted\u201d")
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as caught:
        OpenAIModel("m")
    assert "quoted" not in str(caught.value)


# The retry layer by itself


def test_retry_after_reads_numbers_and_dates() -> None:
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    date = retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert date is not None
    assert 57 < date <= 60
    assert retry_after({"retry-after": formatdate(0, usegmt=True)}) == 0.0
    assert retry_after({"retry-after": "-3"}) == 0.0


@given(st.text(max_size=30))
def test_retry_after_survives_any_header(text: str) -> None:
    seconds = retry_after({"retry-after": text})
    assert seconds is None or seconds >= 0


async def test_a_bug_is_not_tried_again() -> None:
    calls = 0

    async def attempt() -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call_with_retries(attempt, FAST, "here")
    assert calls == 1


async def test_the_last_failure_is_told_when_time_runs_out() -> None:
    async def attempt() -> None:
        raise TryAgain("busy", Failure.SERVER_ERROR)

    with pytest.raises(NoResult, match="busy"):
        await call_with_retries(attempt, Retry(deadline=0.05, wait_initial=1.0), "here")
