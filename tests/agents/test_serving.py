"""The model server on loopback, asked by OpenAI's own client: a tiny model that knows one conversation by heart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from tests.support.foreign import FOREIGN

torch = pytest.importorskip("torch", reason="pip install 'mocktrial[train]'")
from tests.support.taught import taught  # noqa: E402
from tests.support.tiny import busy, one_thread  # noqa: E402, F401

from mocktrial.agents.endpoint import EndpointClient  # noqa: E402
from mocktrial.agents.gateway.app import running as gateway  # noqa: E402
from mocktrial.agents.gateway.proxy import Proxy  # noqa: E402
from mocktrial.agents.gateway.recorder import Recorder  # noqa: E402
from mocktrial.agents.gateway.sse import Stream  # noqa: E402
from mocktrial.agents.local import decoding  # noqa: E402
from mocktrial.agents.local.policy import LocalPolicy  # noqa: E402
from mocktrial.agents.local.weights import LoadedModel  # noqa: E402
from mocktrial.agents.openai_client import OpenAIModel  # noqa: E402
from mocktrial.agents.serving.app import running  # noqa: E402
from mocktrial.envs.chat import CONTEXT_LIMIT, Message, assistant, tool_call  # noqa: E402
from mocktrial.mocktools.errors import UsageError  # noqa: E402

LOOK = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"name": {"type": "string"}}}},
}
ASKED: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Look up Zoé."}]
CALLED = assistant("One moment.", tool_call("call_0_0", "look", '{"name":  "Zoé"}'))  # two spaces: no JSON of ours
FOUND: Message = {"role": "tool", "tool_call_id": "call_0_0", "content": '{"age": 7}'}
TOLD = assistant("Zoé is 7 ✓")
Client = openai.AsyncOpenAI


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return taught(([*ASKED, CALLED, FOUND, TOLD], [LOOK]))


@pytest.fixture(scope="module")
def policy(loaded: LoadedModel) -> LocalPolicy:
    return LocalPolicy(loaded, max_new_tokens=80)


@pytest.fixture(scope="module")
def url(policy: LocalPolicy) -> Iterator[str]:
    with running(policy) as (port,):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def client(url: str) -> Any:
    async with Client(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def ask(client: Client, *messages: Message, **request: Any) -> dict[str, Any]:
    """The reply's JSON; token fields that the client does not know are asked for by `extra_body`."""
    given = {"model": "tiny", "messages": list(messages or ASKED), "tools": [LOOK], "temperature": 0, **request}
    return json.loads((await client.chat.completions.with_raw_response.create(**given)).text)  # type: ignore[no-any-return]


async def ask_streamed(url: str, *messages: Message, stream: bool = True, **request: Any) -> Stream:
    """What came of it, put together by the gateway's reader of streams; nothing where it is not streamed."""
    body = {"model": "tiny", "messages": list(messages or ASKED), "tools": [LOOK], "temperature": 0, **request}
    told = Stream()
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"{url}/v1/chat/completions", json=body | {"stream": stream}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
        async for chunk in answer.aiter_bytes():
            told.feed(chunk)
    return told


async def test_a_call_and_an_answer_as_the_local_policy_gives_them(client: Client, policy: LocalPolicy) -> None:
    chat = policy.start([LOOK], seed=0)
    own = [await chat.send(ASKED), await chat.send([FOUND])]
    first = await ask(client, extra_body={"return_token_ids": True}, logprobs=True)
    second = await ask(client, *ASKED, first["choices"][0]["message"], FOUND, extra_body={"return_token_ids": True})
    read: list[int] = []
    for completion, reply in zip(own, (first, second), strict=True):
        trace, choice = completion.trace, reply["choices"][0]
        assert trace is not None
        assert {key: value for key, value in choice["message"].items() if key != "refusal"} == completion.message
        assert reply["prompt_token_ids"] == [*read, *trace.context]
        assert choice["token_ids"] == list(trace.sampled)
        read = [*reply["prompt_token_ids"], *trace.sampled]
        usage = {"prompt_tokens": completion.usage.prompt_tokens, "completion_tokens": len(trace.sampled)}
        assert reply["usage"] == usage | {"total_tokens": sum(usage.values())}
    assert [first["choices"][0]["finish_reason"], second["choices"][0]["finish_reason"]] == ["tool_calls", "stop"]
    assert second["choices"][0]["message"]["content"] == TOLD["content"]
    told = [entry["logprob"] for entry in first["choices"][0]["logprobs"]["content"]]
    assert told == pytest.approx(own[0].trace.logprobs if own[0].trace else (), abs=1e-4)


def said(choice: dict[str, Any]) -> list[Any]:
    """All that a choice says, log-probabilities to a thousandth: batches differ in the last bits."""
    message, entries = choice["message"], choice["logprobs"]["content"]
    tokens = [(entry["token"], bytes(entry["bytes"]), round(entry["logprob"], 3)) for entry in entries]
    return [message.get("content"), message.get("tool_calls"), choice["finish_reason"], choice["token_ids"], tokens]


@pytest.mark.parametrize("messages", [ASKED, [*ASKED, CALLED, FOUND]])
@pytest.mark.parametrize("extra", [{}, {"stop": "o"}, {"max_tokens": 5}, {"temperature": 1.5, "seed": 3}])
async def test_streamed_or_not_the_reply_is_the_same(
    client: Client, url: str, messages: list[Message], extra: dict[str, Any]
) -> None:
    tokens = {"return_token_ids": True}
    whole = await ask(client, *messages, **extra, logprobs=True, extra_body=tokens)
    options = {"stream_options": {"include_usage": True}}
    stream = await ask_streamed(url, *messages, **extra, **tokens, **options, logprobs=True)
    assert stream.done
    assert said(stream.body["choices"][0]) == said(whole["choices"][0])
    assert stream.body["usage"] == whole["usage"]
    assert stream.body["prompt_token_ids"] == whole["prompt_token_ids"]


async def test_the_clients_own_stream_puts_it_together(client: Client) -> None:
    given: Any = {"model": "tiny", "messages": ASKED, "tools": [LOOK], "temperature": 0}
    async with client.chat.completions.stream(**given) as stream:
        async for _ in stream:
            pass
        message = (await stream.get_final_completion()).choices[0].message
    assert message.content == "One moment."
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"name":  "Zoé"}'


async def test_a_conversation_goes_on_with_the_ids_that_were_sampled(loaded: LoadedModel) -> None:
    """Drawn at random, so that the text's own ids are others; only what is new is run."""
    with running(LocalPolicy(loaded, max_new_tokens=40)) as (port,):
        async with Client(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
            options = {"temperature": 2.0, "seed": 1, "extra_body": {"return_token_ids": True}}
            first = await ask(client, **options)
            answered = [*ASKED, first["choices"][0]["message"], FOUND]
            again = [await ask(client, *answered, **options) for _ in range(2)]
    sampled = [*first["prompt_token_ids"], *first["choices"][0]["token_ids"]]
    for reply in again:
        assert reply["prompt_token_ids"][: len(sampled)] == sampled
        assert reply["choices"] == again[0]["choices"]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_gateway_records_the_tokens_of_both_turns(url: str, policy: LocalPolicy, stream: bool) -> None:
    recorder, chat = Recorder(), policy.start([LOOK], seed=0)
    own = [await chat.send(ASKED), await chat.send([FOUND])]
    with gateway(Proxy(EndpointClient(f"{url}/v1"), recorder, ask_tokens=True)) as (port,):
        through = f"http://127.0.0.1:{port}/e/a"
        await ask_streamed(through, stream=stream)
        await ask_streamed(through, *ASKED, own[0].message, FOUND, stream=stream)
    calls = recorder.take("a")
    assert [call.continues for call in calls] == [None, 0]
    for call, completion in zip(calls, own, strict=True):
        assert call.trace is not None
        assert completion.trace is not None
        assert (call.trace.context, call.trace.sampled) == (completion.trace.context, completion.trace.sampled)


async def test_requests_at_one_time_are_decoded_together(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    real = decoding.Decoder.step

    def counted(self: decoding.Decoder) -> Any:
        over = real(self)
        rows.append(len(self._rows) + len(over))
        return over

    monkeypatch.setattr(decoding.Decoder, "step", counted)
    replies = await asyncio.gather(*(ask(client, n=2) for _ in range(4)))
    assert max(rows) >= 6
    assert len({json.dumps(reply["choices"][0]) for reply in replies}) == 1


async def test_choices_differ_by_their_draws_and_a_seed_repeats_them(client: Client) -> None:
    options: dict[str, Any] = {"n": 3, "temperature": 2.0, "max_tokens": 12}
    one, two, other = [await ask(client, **options, seed=seed) for seed in (5, 5, 6)]
    texts = [[choice["message"]["content"] for choice in reply["choices"]] for reply in (one, two, other)]
    assert texts[0] == texts[1]
    assert len({*texts[0], *texts[2]}) == 6
    free = [await ask(client, temperature=2.0, max_tokens=12) for _ in range(2)]
    assert free[0]["choices"] != free[1]["choices"]


async def until(wanted: bool, policy: LocalPolicy) -> None:
    """Wait for the decoder to be at work, or not."""
    async with asyncio.timeout(60):
        while busy(policy.sampler._decoder) != wanted:  # type: ignore[attr-defined]
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_takes_its_request_with_it(url: str, policy: LocalPolicy, stream: bool) -> None:
    body = {"model": "tiny", "messages": ASKED, "max_tokens": 3000, "temperature": 2.0, "seed": 1, "stream": stream}
    async with httpx.AsyncClient(timeout=60) as client:
        asking = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=body))
        await until(True, policy)
        asking.cancel()
        await asyncio.wait([asking])
        await until(False, policy)
    assert asking.cancelled()


async def test_a_conversation_that_does_not_fit_is_the_agents_own_limit(url: str, client: Client) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, max_tokens=4000)
    assert caught.value.code == "context_length_exceeded"
    model = OpenAIModel("tiny", f"{url}/v1", max_tokens=4000)
    assert (await model.start([LOOK], seed=0).send(ASKED)).message["refusal"] == CONTEXT_LIMIT
    await model.aclose()


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 0.5}, "top_p"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "x", "parameters": {"properties": []}}}]}, "tools.0"),
        ({"n": 0}, "n"),
        ({"stop": [""]}, "stop"),
        ({"model": "other"}, "model"),
    ],
    ids=str,
)
async def test_a_wrong_request_is_refused_by_the_name_of_its_field(url: str, wrong: dict[str, Any], param: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/chat/completions", json={"model": "tiny", "messages": ASKED} | wrong)
    error = answer.json()["error"]
    assert answer.status_code == (404 if param == "model" else 400)
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)
    assert param.split(".")[0] in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b'{"messages": "\\ud800"}', b"[" * 100_000])
async def test_a_body_that_is_no_request_is_refused(url: str, body: bytes) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/v1/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_what_breaks_while_decoding_is_a_server_error(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding.Decoder, "_draw", lambda *given: 1 / 0)
    with pytest.raises(openai.InternalServerError, match="division"):
        await ask(client)
    stream = await ask_streamed(url)
    assert "division" in stream.body["error"]["message"]
    assert not stream.done


async def test_what_the_policy_cannot_do_is_the_clients_to_mend(
    url: str, client: Client, policy: LocalPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unable(request: object) -> None:
        raise UsageError("turns of two temperatures at a time, on CUDA")

    monkeypatch.setattr(policy.sampler, "sample", unable)
    with pytest.raises(openai.BadRequestError, match="two temperatures"):
        await ask(client)
    assert (await ask_streamed(url)).body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/health"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_host_or_origin_is_refused(url: str, path: str, headers: dict[str, str]) -> None:
    """FAULTS 17: 24 cases."""
    async with httpx.AsyncClient() as client:
        answer = await client.request("POST" if "chat" in path else "GET", url + path, headers=headers)
    assert answer.status_code in (400, 403)


async def test_behind_a_token_the_model_is_listed_to_its_holder(policy: LocalPolicy) -> None:
    with running(policy, token="door") as (port,):
        address = f"http://127.0.0.1:{port}/v1"
        async with Client(base_url=address, api_key="door") as client:
            assert [model.id async for model in client.models.list()] == ["tiny"]
        async with Client(base_url=address, api_key="wrong") as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.models.list()
    assert caught.value.code == "invalid_api_key"
