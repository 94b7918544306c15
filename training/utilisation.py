"""How much of a machine a training step used: model FLOPs by formula, the peak of the device, memory.

Pure arithmetic but for `device_peak` and `peak_memory`, which ask the device. Peaks are the makers' dense figures
(`peaks.toml`); of a device that is not listed nothing is claimed.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedModel

from mocktrial.training.packing import Segment

_PEAKS = Path(__file__).with_name("peaks.toml")


@dataclass(frozen=True)
class Shape:
    """parameters: N, tied ones once. layers: L. width: of a layer's queries, heads times the width of a head."""

    parameters: int
    layers: int
    width: int


def shape_of(model: PreTrainedModel) -> Shape:
    config = model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    parameters = sum(value.numel() for value in model.parameters())
    return Shape(parameters, config.num_hidden_layers, config.num_attention_heads * width)


def step_flops(shape: Shape, tokens: int, pairs: int) -> float:
    """`6 N tokens + 12 L width pairs`: multiplications and additions of a forward and a backward pass.

    tokens: computed ones; pairs: of a query and a key that it sees, in one layer (`seen_pairs`). A forward pass is 2 N
    a token and 4 width a pair (two products), a backward pass twice that; nothing for what is computed again.
    PaLM, arXiv 2204.02311, appendix B, with the pairs that causal attention has in place of tokens x length.
    """
    return 6.0 * shape.parameters * tokens + 12.0 * shape.layers * shape.width * pairs


def seen_pairs(segments: Sequence[Segment]) -> int:
    """Pairs of a pack: a token sees the segments before its own, and causally its own."""
    pairs = 0
    for segment in segments:
        own = segment.stop - segment.start
        before = sum(stop - start for start, stop in segment.ancestors)
        pairs += own * before + own * (own + 1) // 2
    return pairs


def machine_metrics(
    model: PreTrainedModel, tokens: int, pairs: int, seconds: float, dtype: torch.dtype
) -> dict[str, float]:
    """`flops` a second, `utilisation` where the device's peak is known, and `memory` in bytes, of one step.

    tokens, pairs: computed by this process in `seconds`. dtype: of the products. memory: of this process.
    """
    device, flops = model.device, step_flops(shape_of(model), tokens, pairs)
    peak = device_peak(device, dtype)
    shares = {} if peak is None else {"utilisation": utilisation(flops, seconds, peak)}
    return {"flops": flops / seconds, **shares, "memory": float(peak_memory(device))}


def utilisation(flops: float, seconds: float, peak: float) -> float:
    """The share of `peak` FLOPs a second that `flops` in `seconds` are."""
    if not (flops >= 0 and seconds > 0 and peak > 0):
        raise ValueError(f"needs flops >= 0, seconds > 0 and peak > 0, got {flops}, {seconds}, {peak}")
    return flops / (seconds * peak)


def device_peak(device: torch.device, dtype: torch.dtype) -> float | None:
    """FLOPs a second that the device's maker names for dense products of `dtype`; None where that is not known."""
    if device.type != "cuda":
        return None
    return listed_peak(torch.cuda.get_device_name(device), str(dtype).removeprefix("torch."))


def listed_peak(name: str, dtype: str) -> float | None:
    """Of the first device in `peaks.toml` whose name is part of `name`."""
    return next((kinds.get(dtype) for part, kinds in _peaks().items() if part in name), None)


def peak_memory(device: torch.device) -> int:
    """Bytes: most that tensors took on a GPU since the start; elsewhere most that this process took at all."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@cache
def _peaks() -> dict[str, dict[str, float]]:
    return tomllib.loads(_PEAKS.read_text(encoding="utf-8"))
