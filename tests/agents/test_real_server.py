"""Agents against a real model behind a real server on loopback: llama.cpp with SmolLM2-135M, started and stopped here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.llama import serving

from mocktrial.agents.endpoint import EndpointClient
from mocktrial.agents.gateway.app import running
from mocktrial.agents.gateway.proxy import Proxy
from mocktrial.agents.gateway.recorder import Recorder
from mocktrial.cli import main
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory

pytestmark = pytest.mark.llama
MOST_TOKENS = 24


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(MOST_TOKENS) as url:
        yield url


def command(*arguments: str, patch: pytest.MonkeyPatch) -> int:
    patch.setattr(sys, "argv", ["mocktrial", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def played(run: Path) -> list[Trajectory]:
    with Ledger.read(run / "ledger.sqlite") as ledger:
        return list(ledger.trajectories())


def test_a_run_against_a_real_server(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line, with a gateway between: every episode scored, every call in the record."""
    monkeypatch.chdir(tmp_path)
    Path("prices.toml").write_text("[smollm2]\nprompt = 1.0\ncompletion = 2.0\n")
    assert command("synth", "small", "--tasks", "2", "--domains", "depot", patch=monkeypatch) == 0
    chosen = ["run", "datasets/small", "--agent", "openai:smollm2", "--base-url", server]
    assert command(*chosen, "--gateway", "--prices", "prices.toml", "--name", "real", patch=monkeypatch) == 0
    for one in played(Path("runs/real")):
        assert (one.outcome, one.agent) == ("scored", "openai:smollm2")
        assert [call.reply for call in one.calls] == [said for said in one.messages if said["role"] == "assistant"]
        assert [call.continues for call in one.calls] == [None, *range(len(one.calls) - 1)]
        assert one.usage.prompt_tokens > 100 * len(one.calls)
        assert 0 < one.usage.completion_tokens <= MOST_TOKENS * len(one.calls)
        cost = (one.usage.prompt_tokens + 2 * one.usage.completion_tokens) / 1e6
        assert one.usage.cost == pytest.approx(cost)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_sampled_tokens_are_those_of_the_text(server: str, stream: bool) -> None:
    """llama.cpp tells ids and log-probabilities of what it sampled; its own detokeniser gives the text back."""
    recorder = Recorder()
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": "Say hello."}],
        "temperature": 0,
        "stream": stream,
    }
    with running(Proxy(EndpointClient(server), recorder, ask_tokens=True)) as (port,):
        async with httpx.AsyncClient(timeout=60) as client:
            await client.post(f"http://127.0.0.1:{port}/e/a/v1/chat/completions", json=request)
            (call,) = recorder.take("a")
            assert call.trace is not None
            detokenize = server.removesuffix("/v1") + "/detokenize"
            answer = await client.post(detokenize, content=json.dumps({"tokens": call.trace.sampled}))
    text = answer.json()["content"].removesuffix("<|im_end|>")
    assert text == call.reply["content"] != ""
    assert call.trace.context == ()  # the prompt's ids are not told
    # Streamed, it leaves the end-of-turn token out.
    assert call.usage.completion_tokens - len(call.trace.sampled) in ({0, 1} if stream else {0})
    assert all(value <= 0 for value in call.trace.logprobs)
