"""Transformers' continuous batching behind the same protocol: what it draws is on record as our own engine's is."""

from __future__ import annotations

import asyncio
import random

import pytest

torch = pytest.importorskip("torch", reason="pip install 'mocktrial[train]'")
from tests.support.logprobs import logprobs_of  # noqa: E402
from tests.support.taught import byte_tokenizer  # noqa: E402
from tests.support.tiny import one_thread, tiny_llama  # noqa: E402, F401
from transformers import PreTrainedModel  # noqa: E402

from mocktrial.agents.local import batching, paged  # noqa: E402
from mocktrial.agents.local.paged import PagedSampler  # noqa: E402
from mocktrial.agents.local.policy import LocalPolicy  # noqa: E402
from mocktrial.agents.local.render import Row  # noqa: E402
from mocktrial.agents.local.sampler import History, Request, Sample  # noqa: E402
from mocktrial.agents.local.speculation import Draft  # noqa: E402
from mocktrial.agents.local.weights import LoadedModel  # noqa: E402
from mocktrial.mocktools.errors import UsageError  # noqa: E402
from mocktrial.training.config import RolloutConfig  # noqa: E402
from mocktrial.training.play import LocalCollect  # noqa: E402

STOP = frozenset({1, 6})


async def _chat(sampler: PagedSampler, place: int, temperature: float) -> tuple[History, list[int], list[Sample]]:
    """Two turns: the history, where each turn begins in it, and what was drawn."""
    history, begins, samples = History([4, 8, 2 + place]), [], []
    for _ in range(2):
        begins.append(len(history.ids))
        samples.append(await sampler.sample(Request(history, random.Random(place), 6, temperature)))
        history.ids += [3, 7]
    return history, begins, samples


def _chats(model: PreTrainedModel, temperature: float) -> list[tuple[History, list[int], list[Sample]]]:
    sampler = PagedSampler(model, STOP)

    async def play() -> list[tuple[History, list[int], list[Sample]]]:
        return await asyncio.gather(*(_chat(sampler, place, temperature) for place in range(3)))

    chats = asyncio.run(play())
    sampler.forget()
    return chats


@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.soak), pytest.param("cuda", marks=pytest.mark.gpu)]
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_turns_are_on_record_and_the_model_is_given_back(device: str, temperature: float) -> None:
    model = tiny_llama().float().to(device)
    for history, begins, samples in _chats(model, temperature):
        row = Row(tuple(history.ids), (0,) + (1,) * (len(history.ids) - 1))
        with torch.no_grad():
            (expected,) = logprobs_of(model, [row])  # by our attention: the manager has given the model back
        for begin, sample in zip(begins, samples, strict=True):
            assert tuple(history.ids[begin : begin + len(sample.ids)]) == sample.ids
            assert sample.ids[-1] in STOP or len(sample.ids) == 6
            told = torch.tensor(sample.logprobs, device=device)
            torch.testing.assert_close(told, expected[begin - 1 : begin - 1 + len(sample.ids)], atol=1e-4, rtol=0)


def test_on_a_gpu_we_decode_what_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreTrainedModel, "device", torch.device("cuda"))
    monkeypatch.setattr(batching, "BatchedSampler", lambda *_, **__: "batching")
    monkeypatch.setattr(paged, "PagedSampler", lambda *_, **__: "paged")
    loaded = LoadedModel(tiny_llama(), byte_tokenizer(), "tiny")
    chosen = [LocalPolicy(loaded, temperature=temperature).sampler for temperature in (0.0, 1.0, 0.7)]
    assert chosen == ["paged", "paged", "batching"]
    assert LocalPolicy(loaded, paged=False).sampler == "batching"
    collects = [LocalCollect(loaded, {}, RolloutConfig(reuse=reuse)) for reuse in ("none", "lenient")]
    assert [collect._policy.sampler for collect in collects] == ["paged", "batching"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Request(History([4]), random.Random(0), 6, 0.7), "temperature"),
        (Request(History([4]), random.Random(0), 6, 1.0, Draft((5,), (-1.0,))), "reuses no turns"),
    ],
)
def test_what_it_cannot_do_is_refused(request_: Request, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        asyncio.run(PagedSampler(tiny_llama(), STOP).sample(request_))
