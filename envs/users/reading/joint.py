"""A message read beside all facts of a user at once, by a small transformer computed with numpy.

The facts see one another and the message sees them, so that "and the other date?" can be told from the first. A fact's
logit is how near the message then is to it, scale * (q . f + Aq . Sf), less what a message that asks for nothing comes
to, n . q + b. What is known of a set of facts is kept: after the first message only the message is computed.
Weights come from elsewhere (`shipped`), trained by `benchmarks/fit_reader.py`.

Shapes: T tokens of a text, F facts, D = 384, H = 12 heads. A layer's weights have the names that BERT gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from mocktrial.envs.users.reading.weights import Table
from mocktrial.mocktools.minilm import gelu

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[Any]  # float64 or float32, as the weights are
Layer: TypeAlias = "Mapping[str, Matrix]"
_HEADS = 12
_REMEMBERED = 64  # sets of facts that are kept, about 1 MB each
_DIGITS = 4  # of a logit: what processors differ in lies far below


@dataclass(frozen=True)
class _Known:
    """What is computed once for a set of facts."""

    seen: tuple[tuple[Matrix, Matrix], ...]  # keys and values of each joint layer, (H, N, D / H)
    facts: Matrix  # (F, D), rows of length 1


class Joint:
    """separate: how many of the first layers see one text only. embed: (T, D) of a text.

    head: has asking (A) and saying (S), none (n), none_b (b) and scale.
    """

    name: Table = "lexical"

    def __init__(
        self, layers: Sequence[Layer], separate: int, embed: Callable[[str], Matrix], head: Mapping[str, Matrix]
    ) -> None:
        self._separate, self._together = layers[:separate], layers[separate:]
        self._embed, self._head = embed, head
        self._known = lru_cache(maxsize=_REMEMBERED)(self._know)

    def scores(self, message: str, facts: tuple[str, ...]) -> list[float]:
        """A logit for each fact, put in words; above 0 where it is likelier asked for than nothing."""
        if not facts:
            return []
        known, head = self._known(facts), self._head
        x = self._alone(message)
        for layer, (keys, values) in zip(self._together, known.seen, strict=True):
            x = _step(x, layer, keys, values)
        asked = _unit(x.sum(0))  # (D,)
        near = known.facts @ asked + (known.facts @ head["saying"].T) @ (head["asking"] @ asked)  # (F,)
        logits = near * head["scale"] - (head["none"] @ asked + head["none_b"])
        return [round(float(logit), _DIGITS) for logit in logits]

    def _know(self, facts: tuple[str, ...]) -> _Known:
        import numpy as np

        parts = [self._alone(text) for text in facts]
        x, seen = np.concatenate(parts), []
        for layer in self._together:
            seen.append(_keys_values(x, layer))
            x = _step(x, layer)
        starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
        return _Known(tuple(seen), _unit(np.add.reduceat(x, starts)))

    def _alone(self, text: str) -> Matrix:
        """(T, D) of a text that sees itself only."""
        x = self._embed(text)
        for layer in self._separate:
            x = _step(x, layer)
        return x


def _step(x: Matrix, layer: Layer, *beside: Matrix) -> Matrix:
    """A layer. beside: keys and values of what the text sees besides itself."""
    import numpy as np

    keys, values = _keys_values(x, layer)  # (H, T, D / H)
    if beside:
        keys, values = (np.concatenate(pair, axis=1) for pair in zip(beside, (keys, values), strict=True))
    query = _by_head(_dense(x, layer, "attention.self.query"))
    scores = query @ keys.transpose(0, 2, 1) / np.sqrt(keys.shape[-1], dtype=x.dtype)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = (weights @ values).transpose(1, 0, 2).reshape(x.shape)
    x = normed(x + _dense(mixed, layer, "attention.output.dense"), layer, "attention.output.LayerNorm")
    wide = gelu(_dense(x, layer, "intermediate.dense"))
    return normed(x + _dense(wide, layer, "output.dense"), layer, "output.LayerNorm")


def _keys_values(x: Matrix, layer: Layer) -> tuple[Matrix, Matrix]:
    return _by_head(_dense(x, layer, "attention.self.key")), _by_head(_dense(x, layer, "attention.self.value"))


def _by_head(x: Matrix) -> Matrix:
    return x.reshape(len(x), _HEADS, -1).transpose(1, 0, 2)


def _dense(x: Matrix, layer: Layer, name: str) -> Matrix:
    product: Matrix = x @ layer[f"{name}.weight"].T + layer[f"{name}.bias"]
    return product


def normed(x: Matrix, layer: Layer, name: str) -> Matrix:
    """Layer normalisation (Ba et al. 2016) with gain and offset."""
    import numpy as np

    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-12)
    out: Matrix = centred / spread * layer[f"{name}.weight"] + layer[f"{name}.bias"]
    return out


def _unit(x: Matrix) -> Matrix:
    import numpy as np

    unit: Matrix = x / np.sqrt((x * x).sum(-1, keepdims=True))
    return unit
