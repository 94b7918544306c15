"""A tiny random Llama with grouped heads, and rows with shared prefixes and tool tokens in the middle."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.support.tiny import two_layers
from transformers import LlamaForCausalLM, PreTrainedModel

from mocktrial.agents.local.attention import install
from mocktrial.training.data import Example, example

VOCABULARY = 61


def tiny_model(seed: int = 0, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """Two layers, four query heads on two key/value heads, tied embeddings."""
    torch.manual_seed(seed)
    room = {"max_position_embeddings": 256, "tie_word_embeddings": True}
    config = two_layers(VOCABULARY, width=32, inner=48, heads=4, spread=0.2, **room)
    model = LlamaForCausalLM(config).to(dtype)
    install(model)
    return model


def some_rows(count: int = 6, seed: int = 0) -> list[Example]:
    """Two worlds with a prompt of 24 tokens each; call, tool result, answer; all KTO and GRPO fields set."""
    rng = random.Random(seed)

    def draw(length: int) -> list[int]:
        return [rng.randrange(VOCABULARY) for _ in range(length)]

    worlds = [draw(24), draw(24)]
    rows = []
    for place in range(count):
        lengths = [rng.randrange(1, 6), rng.randrange(2, 9), rng.randrange(1, 9), rng.randrange(2, 9), 3]
        written = [False, True, False, True, False]
        ids = worlds[place % 2] + draw(sum(lengths))
        mask = [False] * 24 + [bit for bit, length in zip(written, lengths, strict=True) for _ in range(length)]
        weight = rng.choice((0.5, 1.0, 2.0))
        behaviour = [-rng.uniform(3.0, 5.0) if bit else 0.0 for bit in mask]
        row = example(f"task-{place // 3}", ids, mask, behaviour)
        rows.append(replace(row, weight=weight, desirable=place % 3 == 0, reward=float(place % 3)))
    return rows


@pytest.fixture
def tiny() -> PreTrainedModel:
    return tiny_model()


@pytest.fixture
def fresh() -> Callable[[], PreTrainedModel]:
    """The same start policy again and again."""
    return tiny_model


@pytest.fixture
def make_wide() -> Callable[[], PreTrainedModel]:
    """`fresh` in float64."""
    return lambda: tiny_model(dtype=torch.float64)


@pytest.fixture
def wide() -> PreTrainedModel:
    """In float64."""
    return tiny_model(dtype=torch.float64)


@pytest.fixture
def rows() -> list[Example]:
    return some_rows()


def after_one_prompt(rows: list[Example]) -> list[Example]:
    """The rows after one and the same prompt, of weight 1; each group has both labels and three rewards."""
    start = rows[0].prompt
    none = (False,) * len(start)
    return [
        replace(
            row,
            ids=start + row.ids[row.prompt_length :],
            mask=none + row.mask[row.prompt_length :],
            behaviour=(0.0,) * len(start) + (row.behaviour or ())[row.prompt_length :],
            weight=1.0,
        )
        for row in rows
    ]


@pytest.fixture
def one_prompt(rows: list[Example]) -> list[Example]:
    """`after_one_prompt`."""
    return after_one_prompt(rows)
