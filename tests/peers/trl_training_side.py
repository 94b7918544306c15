"""Runs where TRL is: reads our exports as `datasets` does, and takes one step of each trainer on what it read."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import datasets
import torch
import trl
from tests.support.taught import byte_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

TRAINERS = {
    "trl-sft": (trl.SFTTrainer, trl.SFTConfig),
    "trl-kto": (trl.KTOTrainer, trl.KTOConfig),
    "trl-dpo": (trl.DPOTrainer, trl.DPOConfig),
}


def tokenizer() -> Any:
    made = byte_tokenizer()
    made.pad_token = made.eos_token
    made.chat_template = (Path(next(iter(trl.__path__))) / "chat_templates" / "qwen3.jinja").read_text("utf-8")
    return made


def step(form: str, data: datasets.Dataset, folder: str) -> dict[str, Any]:
    """One step on a model of one layer: its loss, how far the model moved, and the first row as the trainer has it."""
    kind, config = TRAINERS[form]
    arguments = config(
        output_dir=folder, per_device_train_batch_size=4, max_steps=1, learning_rate=1e-2, max_length=None,
        logging_steps=1, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    words = tokenizer()
    shape = LlamaConfig(
        vocab_size=len(words), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, max_position_embeddings=32768,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(shape).save_pretrained(f"{folder}/model")  # from a place: the reference is made from it too
    trainer = kind(model=f"{folder}/model", args=arguments, train_dataset=data, processing_class=words)
    first = trainer.train_dataset[0]
    before = trainer.model.lm_head.weight.detach().clone()
    trainer.train()
    return {
        "rows": len(trainer.train_dataset),
        "loss": next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry),
        "moved": (trainer.model.lm_head.weight - before).abs().max().item(),
        "seen": words.decode(first["prompt_ids"] if "prompt_ids" in first else first["input_ids"]),
    }


def main() -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form, place in json.load(sys.stdin).items():
            data = datasets.load_dataset(place, split="train", cache_dir=f"{folder}/cache-{form}")
            tools = {row["id"]: row["tools"] for row in data}
            found[form] = {"tools": tools, **step(form, data, f"{folder}/{form}")}
    print(json.dumps(found))


main()
