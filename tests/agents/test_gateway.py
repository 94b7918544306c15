"""The gateway between a client and a real endpoint on loopback: what passes, what is recorded, what is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from tests.support.endpoint import Endpoint, Raw, Request, events, message, refuse, say, stream
from tests.support.foreign import FOREIGN

from mocktrial.agents.endpoint import EndpointClient
from mocktrial.agents.gateway.app import running
from mocktrial.agents.gateway.journal import Journal
from mocktrial.agents.gateway.proxy import Proxy
from mocktrial.agents.gateway.recorder import MOST, Recorder
from mocktrial.agents.gateway.sse import Stream
from mocktrial.agents.gateway.tokens import Tokens, read_tokens
from mocktrial.agents.prices import Price
from mocktrial.agents.replies import read_reply
from mocktrial.agents.retry import Retry
from mocktrial.envs.chat import Message, ModelCall, TokenTrace, assistant, tool_call

FAST = Retry(attempts=3, deadline=5.0, wait_initial=0.01, wait_max=0.02, jitter=0.005)
HELLO: Message = {"role": "user", "content": "hello"}
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
Answers = Callable[[Request], Raw] | Sequence[Raw]


@asynccontextmanager
async def gateway(answers: Answers, recorder: Recorder, **options: Any) -> AsyncIterator[tuple[str, Endpoint]]:
    """The gateway's address, and the endpoint behind it."""
    door = {key: options.pop(key) for key in ("token", "control_token") if key in options}
    async with Endpoint(answers) as endpoint:
        proxy = Proxy(EndpointClient(endpoint.url, retry=FAST, timeout=5.0), recorder, **options)
        with running(proxy, **door) as (port,):
            yield f"http://127.0.0.1:{port}", endpoint


async def ask(url: str, *messages: Message, key: str = "sk-agent-key", **request: Any) -> Any:
    """One completion by OpenAI's own client."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=2) as client:
        return await client.chat.completions.create(model="m", messages=list(messages or (HELLO,)), **request)


# What passes, and what is recorded


async def test_a_reply_comes_back_byte_for_byte_and_is_recorded() -> None:
    recorder, odd = Recorder(), Raw(b'{ "choices":[{"message":{"content":"h\\u00e9"}}],"new_field" : 1e3}')
    async with gateway([odd], recorder) as (url, endpoint), httpx.AsyncClient() as client:
        request = {"model": "m", "messages": [HELLO], "temperature": 0.5, "user": "somebody"}
        answer = await client.post(f"{url}/e/one/v1/chat/completions", json=request)
    assert answer.content == odd.body
    assert endpoint.requests[0].body == request
    call = ModelCall(number=0, model="m", messages=(HELLO,), settings={"temperature": 0.5}, reply=assistant("hé"))
    assert recorder.take("one") == (call,)
    assert recorder.take("one") == ()


async def test_the_header_names_the_episode_too() -> None:
    recorder = Recorder()
    async with gateway([say("hi")], recorder) as (url, _):
        await ask(url, extra_headers={"X-Mocktrial-Episode": "two"})
        with pytest.raises(openai.BadRequestError, match="name the episode"):
            await ask(url)
    assert [call.reply["content"] for call in recorder.take("two")] == ["hi"]


async def test_a_call_keeps_only_what_it_adds() -> None:
    call = tool_call("c1", "look", '{"at":1}')
    replies = [message(assistant(None, call)), say("done")]
    rewritten = assistant("", tool_call("c1", "look", '{"at": 1}')) | {"name": "helper"}
    result = {"role": "tool", "tool_call_id": "c1", "content": "nothing"}
    recorder = Recorder()
    async with gateway(replies, recorder) as (url, _):
        await ask(f"{url}/e/a", HELLO, tools=[LOOK])
        await ask(f"{url}/e/a", HELLO, rewritten, result, tools=[LOOK])
    first, second = recorder.take("a")
    assert (first.continues, first.tools, first.reply["tool_calls"]) == (None, (LOOK,), [call])
    assert (second.continues, second.tools, second.messages) == (0, (), (result,))


async def test_agents_of_a_team_are_told_apart_and_kept_in_order() -> None:
    planner: Message = {"role": "system", "content": "You plan."}
    worker: Message = {"role": "system", "content": "You work."}
    recorder = Recorder()
    async with gateway(lambda request: say(f"{len(request.body['messages'])}"), recorder) as (url, _):
        await ask(f"{url}/e/a", planner, HELLO)
        await ask(f"{url}/e/a", worker, HELLO)
        await ask(f"{url}/e/a", worker, HELLO, assistant("2"), HELLO)
        await ask(f"{url}/e/a", planner, HELLO, assistant("2"), HELLO)
        await ask(f"{url}/e/b", planner, HELLO, assistant("2"), HELLO)
    calls = recorder.take("a")
    assert [(call.number, call.continues, len(call.messages)) for call in calls] == [
        (0, None, 2), (1, None, 2), (2, 1, 1), (3, 0, 1),
    ]  # fmt: skip
    assert [call.continues for call in recorder.take("b")] == [None]


async def test_calls_stand_in_the_order_of_their_requests() -> None:
    recorder = Recorder()
    first, second = recorder.begin("a"), recorder.begin("a")
    async with gateway([say("hi")], recorder):
        pass
    for number, text in ((second, "later"), (first, "sooner")):
        recorder.add("a", number, {"messages": [HELLO]}, read_reply(say(text).body), ())
    assert [call.reply["content"] for call in recorder.take("a")] == ["sooner", "later"]


def test_memory_is_bounded() -> None:
    recorder = Recorder()
    for number in range(MOST + 10):
        recorder.begin(str(number))
    assert len(recorder._books) == MOST


async def test_models_are_the_upstreams() -> None:
    models = Raw(b'{"object": "list", "data": [{"id": "m", "object": "model"}]}')
    async with (
        gateway([models], Recorder()) as (url, endpoint),
        openai.AsyncOpenAI(base_url=f"{url}/e/a/v1", api_key="sk-agent-key") as client,
    ):
        assert [model.id async for model in client.models.list()] == ["m"]
    assert endpoint.requests[0].path == "/v1/models"
    assert endpoint.requests[0].headers["authorization"] == "Bearer sk-agent-key"


async def test_cost_is_recorded_where_the_price_is_known(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "calls.jsonl")
    recorder = Recorder({"m": Price(prompt=1.0, completion=1.0)}, journal)
    async with gateway([say("hi")], recorder) as (url, _):
        await ask(f"{url}/e/a")
    journal.close()
    (line,) = (tmp_path / "calls.jsonl").read_text().splitlines()
    assert json.loads(line)["episode"] == "a"
    assert json.loads(line)["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "cost": pytest.approx(1e-5)}


# Streams


async def read(url: str) -> str:
    """The text of a streamed completion, by OpenAI's own client."""
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-agent-key") as client:
        chunks = await client.chat.completions.create(model="m", messages=[HELLO], stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


async def test_a_stream_passes_and_is_recorded_as_one_message() -> None:
    recorder = Recorder()
    whole = stream({"role": "assistant", "content": "he"}, {"content": "llo"}, prompt_tokens=4, completion_tokens=2)
    async with gateway([whole], recorder) as (url, _), httpx.AsyncClient() as client:
        request = {"model": "m", "messages": [HELLO], "stream": True}
        answer = await client.post(f"{url}/e/a/v1/chat/completions", json=request)
    assert answer.content == whole.body
    assert answer.headers["content-type"] == "text/event-stream"
    (call,) = recorder.take("a")
    assert (call.reply, call.finish_reason) == (assistant("hello"), "stop")
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (4, 2)


async def test_streamed_tool_calls_are_put_together() -> None:
    parts = [
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"at"'}}]},
        {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "see", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]},
    ]
    recorder = Recorder()
    async with gateway([stream(*parts)], recorder) as (url, _):
        await read(f"{url}/e/a")
    (call,) = recorder.take("a")
    assert call.reply["tool_calls"] == [tool_call("c1", "look", '{"at": 1}'), tool_call("c2", "see", "{}")]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    body = b": ping\r\n\r\n" + stream({"content": "hé"}, {"content": "llo"}, prompt_tokens=4).body.replace(
        b"\n", b"\r\n"
    )
    one = Stream()
    for start in range(0, len(body), size):
        one.feed(body[start : start + size])
    assert one.done
    assert one.body["choices"][0] == {"message": {"content": "héllo"}, "finish_reason": "stop"}


ODD = [b"data: {", b"data: []", b'data: {"choices": 3}', b'data: {"choices": [{"delta": {"tool_calls": 3}}]}',
       b'data: {"choices": [{"delta": {"tool_calls": [3, {"index": "x"}, {"index": 0, "function": 3}]}}]}',
       b"data: " + b"[" * 10**5, b"nothing", b'data: {"choices": [{"delta": 3, "logprobs": [], "token_ids": 3}]}']  # fmt: skip


@pytest.mark.parametrize("line", ODD, ids=range(len(ODD)))
def test_odd_chunks_break_nothing(line: bytes) -> None:
    one = Stream()
    one.feed(line + b"\n" + stream({"content": "hi"}).body)
    assert one.done
    assert one.body["choices"][0]["message"]["content"] == "hi"


BROKEN = {
    "CUT": stream({"content": "he"}, done=False),
    "BAD_BODY": events({"error": {"message": "overloaded"}}),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_stream_that_breaks_off_is_an_error_to_the_agent_and_no_call(kind: str) -> None:
    recorder = Recorder()
    async with gateway([BROKEN[kind]], recorder) as (url, _):
        with pytest.raises(openai.APIError):
            await read(f"{url}/e/a")
    assert recorder.failure("a").startswith(f"endpoint: {kind}: ")
    assert recorder.take("a") == ()


async def test_a_stream_cut_by_the_connection_is_told() -> None:
    half = Raw(stream({"content": "hello"}).body, headers={"content-type": "text/event-stream"}, fault="cut")
    recorder = Recorder()
    async with gateway([half], recorder) as (url, _):
        with pytest.raises(openai.APIError, match="connection failed"):
            await read(f"{url}/e/a")
    assert recorder.failure("a").startswith("endpoint: CUT: ")


# Failures of the endpoint


async def test_there_is_one_retry_layer_with_the_gateway_between() -> None:
    recorder = Recorder()
    async with gateway(lambda _: refuse(500, "broken"), recorder) as (url, endpoint):
        with pytest.raises(openai.InternalServerError, match="HTTP 500: broken"):
            await ask(f"{url}/e/a")
    assert len(endpoint.requests) == FAST.attempts  # the agent's own client would have tried three times
    assert recorder.failure("a").startswith("endpoint: SERVER_ERROR: ")


async def test_a_refusal_is_passed_on_as_it_came() -> None:
    recorder, refusal = Recorder(), refuse(422, "no such format")
    async with gateway([refusal, refusal, say("hi")], recorder) as (url, _):
        for streamed in (False, True):
            with pytest.raises(openai.UnprocessableEntityError, match="no such format"):
                await ask(f"{url}/e/a", stream=streamed)
        assert "REFUSED" in recorder.failure("a")
        await ask(f"{url}/e/a")
    assert recorder.failure("a") == ""


async def test_a_full_context_is_no_failure_of_the_endpoint() -> None:
    recorder = Recorder()
    body = b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'
    async with gateway([Raw(body, 400)], recorder) as (url, _):
        with pytest.raises(openai.BadRequestError, match="too long"):
            await ask(f"{url}/e/a")
    assert recorder.failure("a") == ""


# Tokens


LLAMA = {
    "logprobs": {"content": [{"id": 57, "token": "I", "logprob": -2.5}, {"id": 9, "token": "'m", "logprob": -0.1}]}
}
VLLM = {
    "token_ids": [57, 9],
    "logprobs": {"content": [{"token": "I", "logprob": -2.5}, {"token": "'m", "logprob": -0.1}]},
}
NUMBERED = {
    "logprobs": {"content": [{"token": "token_id:57", "logprob": -2.5}, {"token": "token_id:9", "logprob": -0.1}]}
}
HELD = Tokens((1, 2), (57, 9), (-2.5, -0.1))


@pytest.mark.parametrize("choice", [LLAMA, VLLM, NUMBERED], ids=["llama.cpp", "vLLM", "vLLM, as names"])
def test_tokens_are_read_in_each_servers_form(choice: dict[str, Any]) -> None:
    assert read_tokens({"choices": [choice], "prompt_token_ids": [1, 2]}) == HELD
    assert read_tokens({"choices": [choice]}) == Tokens((), HELD.sampled, HELD.logprobs)


MISSING = [{}, {"logprobs": None}, {"logprobs": {"content": [{"token": "I", "logprob": -1.0}]}},
           {"logprobs": {"content": [{"id": 1, "logprob": None}]}}, {"logprobs": {"content": [{"id": "1", "logprob": -1.0}]}},
           VLLM | {"token_ids": [57]}, {"logprobs": {"content": [{"id": 2**70, "logprob": -1.0}]}}, {"logprobs": {"content": [3]}}]  # fmt: skip


@pytest.mark.parametrize("choice", MISSING, ids=range(len(MISSING)))
def test_tokens_that_do_not_fit_are_none(choice: dict[str, Any]) -> None:
    assert read_tokens({"choices": [choice]}) is None


def with_tokens(prompt: list[int], sampled: list[int]) -> Raw:
    entries = [{"token": "x", "logprob": -0.5} for _ in sampled]
    choice = {
        "message": assistant("hi"),
        "finish_reason": "stop",
        "token_ids": sampled,
        "logprobs": {"content": entries},
    }
    return Raw(json.dumps({"choices": [choice], "prompt_token_ids": prompt}).encode())


async def test_tokens_are_kept_as_what_each_call_adds() -> None:
    replies = [with_tokens([1, 2], [3, 4]), with_tokens([1, 2, 3, 4, 5], [6]), with_tokens([1, 2, 9, 4, 5, 6, 7], [8])]
    history = [HELLO, assistant("hi"), HELLO, assistant("hi"), HELLO]
    recorder = Recorder()
    async with gateway(replies, recorder, ask_tokens=True) as (url, endpoint):
        for count in (1, 3, 5):
            await ask(f"{url}/e/a", *history[:count])
    first, second, third = recorder.take("a")
    assert first.trace == TokenTrace(context=(1, 2), sampled=(3, 4), logprobs=(-0.5, -0.5))
    assert (second.continues, second.trace) == (0, TokenTrace(context=(5,), sampled=(6,), logprobs=(-0.5,)))
    assert third.continues is None  # the server read its own words otherwise: no single history stands behind it
    assert third.trace is not None
    assert third.trace.context == (1, 2, 9, 4, 5, 6, 7)
    assert endpoint.requests[0].body["return_token_ids"] is True
    assert "logprobs" not in first.settings


# Secrets (FAULTS 22) and senders (FAULTS 17)


async def test_secrets_go_where_they_belong_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twelve canaries, planted in headers, address, body, reply, error and stream: none is kept."""
    caplog.set_level("DEBUG")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-00-own")
    headers = {
        "Authorization": "Bearer canary-01-bearer", "api-key": "canary-02-apikey", "x-api-key": "canary-03-xkey",
        "Cookie": "session=canary-04-cookie", "X-Other": "canary-05-other",
    }  # fmt: skip
    request = {
        "model": "m", "user": "canary-06-user", "metadata": {"k": "canary-07-meta"}, "api_key": "canary-08-field",
        "messages": [{"role": "user", "content": "my key is canary-01-bearer"}],
        "tools": [{"type": "function", "function": {"name": "f", "description": "use canary-02-apikey"}}],
    }  # fmt: skip
    echo = say("you said canary-03-xkey and canary-00-own")
    replies = [echo, stream({"content": "canary-01-bearer"}), refuse(401, "bad canary-01-bearer"), say("hi")]
    journal = Journal(tmp_path / "calls.jsonl")
    recorder = Recorder(told=journal)
    async with gateway(replies, recorder) as (url, endpoint), httpx.AsyncClient(headers=headers) as client:
        path = f"{url}/e/a/v1/chat/completions?key=canary-09-query"
        await client.post(path, json=request)
        await client.post(path, json=request | {"stream": True})
        await client.post(path, json=request)
        failure = recorder.failure("a")
        await client.post(path.replace("//", "//me:canary-10-password@"), json=request)
    journal.close()
    assert endpoint.requests[0].headers["authorization"] == "Bearer canary-01-bearer"
    assert "canary-05-other" not in str(endpoint.requests[0].headers)
    kept = f"{failure} {(tmp_path / 'calls.jsonl').read_text()} {recorder.take('a')}"
    assert failure.endswith("bad [redacted]")
    assert "canary" not in kept
    assert "canary" not in "".join(record.getMessage() for record in caplog.records if "mocktrial" in record.name)


async def test_behind_a_token_the_agents_key_is_the_gateways_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-upstream")
    async with gateway([say("hi")], Recorder(), token="door-secret", own_key=True) as (url, endpoint):
        await ask(f"{url}/e/a", key="door-secret")
        with pytest.raises(openai.AuthenticationError):
            await ask(f"{url}/e/a", key="wrong")
    assert [request.headers["authorization"] for request in endpoint.requests] == ["Bearer sk-upstream"]


@pytest.mark.parametrize("path", ["/e/a/v1/chat/completions", "/v1/chat/completions", "/episodes"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_host_or_origin_is_refused(path: str, headers: dict[str, str]) -> None:
    """FAULTS 17: 24 cases; the token of the control plane does not help."""
    token = {"Authorization": "Bearer control"}
    async with (
        gateway([say("hi")], Recorder(), control_token="control") as (url, endpoint),
        httpx.AsyncClient(headers=token) as client,
    ):
        answer = await client.post(url + path, json={"model": "m", "messages": [HELLO]}, headers=headers)
    assert answer.status_code in (400, 403)
    assert endpoint.requests == []


@pytest.mark.parametrize("body", [{}, {"messages": 3}, {"messages": [3]}, {"messages": [], "tools": 3}, [], 3, "x"])
async def test_a_request_that_is_none_is_refused_and_sent_to_nobody(body: Any) -> None:
    async with gateway([say("hi")], Recorder()) as (url, endpoint), httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/e/a/v1/chat/completions", json=body)
    assert answer.status_code in (400, 422)
    assert endpoint.requests == []


async def test_a_shell_script_is_an_agent_too() -> None:
    recorder = Recorder()
    async with gateway([say("hi")], recorder) as (url, _):
        command = ["curl", "-s", f"{url}/e/a/v1/chat/completions", "-H", "Content-Type: application/json", "-d"]
        body = json.dumps({"model": "m", "messages": [HELLO]})
        script = await asyncio.create_subprocess_exec(*command, body, stdout=asyncio.subprocess.PIPE)
        said, _ = await script.communicate()
    assert json.loads(said)["choices"][0]["message"]["content"] == "hi"
    assert len(recorder.take("a")) == 1
