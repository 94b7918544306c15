"""A tiny random Llama in double precision, and decoding with it. Importing this needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from mocktrial.agents.local.attention import install
from mocktrial.agents.local.decoding import Decoder
from mocktrial.agents.local.policy import LocalPolicy
from mocktrial.agents.local.sampler import Request, Sample
from mocktrial.agents.local.weights import LoadedModel, load_tokenizer

VOCABULARY = 24


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """For as long as a module's tests run: threads cost more than such small products take."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def two_layers(vocabulary: int, *, width: int, inner: int, heads: int, spread: float, **more: Any) -> LlamaConfig:
    """A Llama that answers in no time: so many heads on two key/value heads, weights of this spread."""
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=inner, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=2, initializer_range=spread, **more,
    )  # fmt: skip


def tiny_llama(moved: float = 0.0, *, vocabulary: int = VOCABULARY, spread: float = 0.5) -> PreTrainedModel:
    """Always the same weights, of this spread. moved: spread of what is added to them, as if they had been trained."""
    config = two_layers(vocabulary, width=36, inner=48, heads=6, spread=spread)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        tiny = LlamaForCausalLM(config).double().eval()
        for weight in tiny.parameters():
            weight.add_(moved * torch.randn_like(weight))
    install(tiny)
    return tiny


def busy(decoder: Decoder) -> bool:
    """Whether a request waits or is being decoded."""
    return bool(decoder._waiting or decoder._rows)


def decode(decoder: Decoder, requests: Sequence[Request]) -> list[Sample]:
    """One turn for each request, in their order."""
    for request in requests:
        decoder.submit(request)
    over: dict[Request, Sample] = {}
    while busy(decoder):
        over.update(decoder.step())
    return [over[request] for request in requests]


def tiny_policy(*, max_new_tokens: int = 6, temperature: float = 1.0, moved: float = 0.0) -> LocalPolicy:
    """A policy that talks nonsense at once: SmolLM2's tokenizer (mark the test `model`) on a tiny model."""
    loaded = LoadedModel(tiny_llama(moved, vocabulary=49152, spread=0.05), _tokenizer(), "tiny")
    return LocalPolicy(loaded, max_new_tokens=max_new_tokens, temperature=temperature)


@lru_cache
def _tokenizer() -> Any:
    return load_tokenizer()
