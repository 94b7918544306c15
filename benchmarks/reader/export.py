"""The files that ship: the joint readers, the vocabulary of the small one, the weights of the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from mocktrial.envs.users.reading.weights import Weights
from reader.language import DENSE, FROZEN, LAYERS, Language
from reader.models import MOST, JointReader, Small, run, units

OUT = Path(__file__).parents[2] / "envs/users/reading"
_WEIGHTS = """\
# Weights of the evidence, by logistic regressions with l2 = 2, made by benchmarks/fit_reader.py.
# words: of the features of reading/match.py, over (clause, fact) pairs; of a fact's clauses the likeliest counts, again
# after each of three fits (multiple-instance learning). lexical, dense: of that beside what a joint reader says.
# threshold: probability from which a fact is asked for; sure: from which a user tells it without asking back;
# maybe: from which it asks back.
"""


@torch.no_grad()
def write_small(small: Small, out: Path = OUT) -> None:
    kept: dict[str, np.ndarray] = {}
    for name, weight in small.own().items():
        size = run(name, weight)
        if not size:
            kept[name] = weight.numpy().astype(np.float16)
            continue
        unit = units(weight, size).half().float()
        numbers = torch.round(weight.view(-1, size) / unit).clamp(-MOST, MOST).view(len(weight), -1)
        bits = (numbers + MOST + 1).numpy().astype(np.uint8)
        kept[name] = bits[:, ::2] | bits[:, 1::2] << 4
        kept[f"{name}.unit"] = unit.numpy().astype(np.float16)[:, 0]
    np.savez_compressed(out / "joint.npz", **kept, **_head(small))
    (out / "pieces.txt").write_text("".join(f"{piece}\n" for piece in small.vocabulary), encoding="ascii")


@torch.no_grad()
def write_language(language: Language, out: Path = OUT) -> None:
    """Narrow products in bytes, a unit a row."""
    kept: dict[str, np.ndarray] = {"layers": np.int64(LAYERS), "norm": language.norm.numpy()}
    for number in range(FROZEN, LAYERS):
        for name in DENSE:
            for end, learnt in (("in", language.into), ("out", language.out)):
                weight = learnt[f"{number}.{name}".replace(".", "-")].numpy()
                unit = (np.abs(weight).max(1, keepdims=True).clip(1e-8) / 127).astype(np.float32)
                kept[f"layers.{number}.{name}.weight.{end}"] = np.round(weight / unit).astype(np.int8)
                kept[f"layers.{number}.{name}.weight.{end}.unit"] = unit
    np.savez_compressed(out / "language.npz", **kept, **_head(language))


def _head(reader: JointReader | Language) -> dict[str, np.ndarray]:
    return {
        "asking": reader.asking.numpy().astype(np.float16),
        "saying": reader.saying.numpy().astype(np.float16),
        "scale": np.float32(reader.scale.exp().item()),
        "none": reader.none.numpy().astype(np.float32),
        "none_b": np.float32(reader.none_b.item()),
    }


def write_weights(found: Mapping[str, Weights], out: Path = OUT) -> None:
    """found: by table; the limits of the words' table are nobody's."""
    lines = [_WEIGHTS]
    for table, weights in found.items():
        limits = {} if table == "words" else {name: getattr(weights, name) for name in ("threshold", "sure", "maybe")}
        if limits:
            lines += [f"[{table}]", *(f"{name} = {value:g}" for name, value in limits.items()), ""]
        lines += [f"[{table}.weights]", *(f"{name} = {value:.3f}" for name, value in weights.weights.items()), ""]
    (out / "weights.toml").write_text("\n".join(lines), encoding="utf-8")
