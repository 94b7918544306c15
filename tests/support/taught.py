"""A tiny model that speaks ChatML a byte at a time, and knows by heart what it was taught: real parts, in seconds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from mocktrial.agents.local.attention import install
from mocktrial.agents.local.render import Renderer, Row
from mocktrial.agents.local.weights import LoadedModel
from mocktrial.envs.chat import Message, ToolSchema
from tests.support.logprobs import logprobs_of
from tests.support.tiny import two_layers

Lesson = tuple[Sequence[Message], Sequence[ToolSchema]]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Of bytes, and the two tokens of ChatML."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_of = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    bytes_of.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_of.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_of, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )


def taught(*lessons: Lesson, name: str = "tiny", sure: float = 0.8) -> LoadedModel:
    """Two layers, trained until each token of the assistant's in the lessons has at least the probability `sure`."""
    tokenizer = byte_tokenizer()
    room = {"max_position_embeddings": 4096, "tie_word_embeddings": True}
    config = two_layers(len(tokenizer), width=64, inner=128, heads=4, spread=0.1, **room)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    install(model)
    renderer = Renderer(tokenizer)
    _teach(model, [renderer.render(messages, tools) for messages, tools in lessons], sure)
    return LoadedModel(model, tokenizer, name)


def _teach(model: PreTrainedModel, rows: Sequence[Row], sure: float) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(400):
        logprobs = torch.cat(logprobs_of(model, rows))
        if logprobs.detach().exp().min() > sure:
            return
        (-logprobs.mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    raise AssertionError("the tiny model did not learn its lessons")
