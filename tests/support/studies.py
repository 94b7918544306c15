"""A study small enough for a test: a tiny model of bytes, one domain, two seeds, two ways to learn from one play."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mocktrial.training.engine import write_policy
from mocktrial.training.study.config import Study, parse_study
from tests.support.taught import byte_tokenizer

STUDY = """
name = "small"
seeds = [0, 1]
compare = [["base", "sft"], ["real", "reinforce"]]

[datasets.here]
domains = ["clinic"]
tasks = 8
per_world = 4
max_calls = 2
voices = false

[datasets.there]
domains = ["clinic"]
tasks = 3
max_calls = 1
voices = false
draw = 1

[play.expert]
dataset = "here"
agent = "expert"
tasks = 4

[play.practice]
dataset = "here"
tasks = 2
trials = 2
turns = 2
max_new_tokens = 4

[train.sft]
objective = "sft"
batch_size = 2
save_every = 1

[train.real]
objective = "rl"
rl = { preset = "reinforce", clip_low = 0.1 }

[train.reinforce]
objective = "rl"
rl = { preset = "reinforce" }

[held_out]
dataset = "there"
turns = 2
max_new_tokens = 4

[arms]
base = []
sft = ["expert", "sft"]
real = ["expert", "sft", "practice", "real"]
reinforce = ["expert", "sft", "practice", "reinforce"]
"""


def given(**changed: Any) -> dict[str, Any]:
    """The study as its file has it, with some keys changed; a dotted one lies deeper, None takes it out."""
    made = tomllib.loads(STUDY)
    for path, value in changed.items():
        *above, last = path.split(".")
        table = made
        for key in above:
            table = table.setdefault(key, {})
        table[last] = value
        if value is None:
            del table[last]
    return made


def small_study(model: Path | None = None, **changed: Any) -> Study:
    return parse_study(given(**({"model": str(model)} if model else {}), **changed), "small.toml")


def save_tiny(folder: Path) -> Path:
    """A random model of bytes as a checkpoint; it knows nothing, and is quick about it."""
    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=8192, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        write_policy(LlamaForCausalLM(config), folder, tokenizer)
    return folder
