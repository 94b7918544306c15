"""The joint reader that comes with the package: weights of four bits and its own vocabulary (`pieces`).

It began as the first three layers of all-MiniLM-L6-v2 (Apache-2.0), with narrower inner layers, and was trained on
questions and the facts they ask for (`benchmarks/fit_reader.py`). Computed in float64, in which what processors
differ in is below what a logit is rounded to: it reads the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mocktrial.envs.users.reading.joint import Joint, normed
from mocktrial.envs.users.reading.pieces import load_pieces

if TYPE_CHECKING:
    from mocktrial.envs.users.reading.joint import Matrix

_FILE = Path(__file__).parent / "joint.npz"
_LAYERS, _SEPARATE = 3, 1


@lru_cache(maxsize=1)
def load_shipped() -> Joint:
    """Read once (0.1 s, 40 MB)."""
    import numpy as np

    with np.load(_FILE) as kept:
        weights = {name: _unpacked(name, kept) for name in kept.files if not name.endswith(".unit")}
    layers = [
        {name.removeprefix(f"{number}."): weight for name, weight in weights.items() if name.startswith(f"{number}.")}
        for number in range(_LAYERS)
    ]

    cut = load_pieces()

    def embed(text: str) -> Matrix:
        places = np.array(cut.places(text))
        x = weights["pieces"][places] @ weights["proj"] + weights["place"][: len(places)]
        return normed(x, weights, "LayerNorm")

    return Joint(layers, _SEPARATE, embed, weights)


def _unpacked(name: str, kept: Mapping[str, Matrix]) -> Matrix:
    """A weight as float64. Beside units a byte holds two numbers from -7 to 7; runs of numbers share a unit."""
    import numpy as np

    stored = kept[name]
    if f"{name}.unit" not in kept:
        return stored.astype(np.float64)
    unit = kept[f"{name}.unit"].astype(np.float64)  # (runs,)
    numbers = np.stack([stored & 15, stored >> 4], axis=-1).astype(np.float64) - 8
    whole: Matrix = (numbers.reshape(len(unit), -1) * unit[:, None]).reshape(len(stored), -1)
    return whole
