"""The files that ship: both joint readers, the vocabulary of the small one, the weights of the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from mocktrial.envs.users.reading.weights import Weights
from reader.models import DENSE, LARGE_LAYERS, LARGE_SEPARATE, MOST, Large, Reader, Small, run, units

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
def write_large(large: Large, out: Path = OUT) -> None:
    kept = {}
    for number in range(LARGE_SEPARATE, LARGE_LAYERS):
        for name in DENSE:
            key = f"{number}.{name}".replace(".", "-")
            kept[f"encoder.layer.{number}.{name}.weight.in"] = large.into[key].numpy().astype(np.float16)
            kept[f"encoder.layer.{number}.{name}.weight.out"] = large.out[key].numpy().astype(np.float16)
    np.savez_compressed(out / "dense.npz", **kept, **_head(large))


def _head(reader: Reader) -> dict[str, np.ndarray]:
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
