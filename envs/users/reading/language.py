"""A message read behind all facts of a user by the lower layers of a language model, computed with numpy.

The model reads "I know:", the facts a line each, and then the message, whose last token stands after "My". A fact's
logit is the product of its last token and the message's in a narrow space, less what a message that asks for nothing
comes to. The facts' keys and values are kept: after the first message only the message is computed. The layers are
those of Llama (Touvron et al. 2023, section 2.2) with grouped queries (Ainslie et al. 2023); what was learnt stands
beside their weights as narrow products (LoRA: Hu et al. 2021, section 4.1) and is added to them when they are read.

Shapes: T tokens of a text, N tokens before it, F facts, D the model's width, H heads on K of keys and values.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mocktrial.mocktools.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float32]
Layer: TypeAlias = "Mapping[str, Matrix]"
BEFORE, FACT, MESSAGE = "I know:\n", "- {}\n", "They: {}\nMy"
_FILE = Path(__file__).parent / "language.npz"
_SETS, _TEXTS = 16, 4096  # sets of facts that are kept, about 5 MB each; messages whose logits are
_LONGEST = 256  # tokens of a message that are read: its last ones
_DIGITS = 3  # of a logit: what processors differ in lies below


@dataclass(frozen=True)
class Shape:
    heads: int
    keys: int
    theta: float  # of the rotary places (Su et al. 2021, section 3.2.2)
    eps: float  # of the norms


@dataclass(frozen=True)
class _Known:
    """What is computed once for a set of facts."""

    seen: tuple[tuple[Matrix, Matrix], ...]  # keys and values of each layer, (K, N, D / H)
    facts: Matrix  # (F, R)
    length: int  # N


class Language:
    """layers: by the names that Llama gives their weights. embed: (T, D) of a text.

    head: has asking and saying (R, D), norm and none (D,), none_b and scale.
    """

    def __init__(
        self, layers: Sequence[Layer], shape: Shape, embed: Callable[[str], Matrix], head: Mapping[str, Matrix]
    ) -> None:
        self._layers, self._shape, self._embed, self._head = layers, shape, embed, head
        self._known = lru_cache(maxsize=_SETS)(self._know)
        self._kept = lru_cache(maxsize=_TEXTS)(self._scores)

    def scores(self, message: str, facts: tuple[str, ...]) -> list[float]:
        """A logit for each fact, put in words; above 0 where it is likelier asked for than nothing."""
        return list(self._kept(message, facts)) if facts else []

    def _scores(self, message: str, facts: tuple[str, ...]) -> tuple[float, ...]:
        known, head = self._known(facts), self._head
        x, start = self._embed(MESSAGE.format(message))[-_LONGEST:], known.length
        for layer, seen in zip(self._layers, known.seen, strict=True):
            x, _ = self._step(x, layer, start, seen)
        asked = self._normed(x[-1], head["norm"])
        near = known.facts @ (head["asking"] @ asked) * (head["scale"] / math.sqrt(len(head["asking"])))
        logits = near - (head["none"] @ asked / math.sqrt(len(asked)) + head["none_b"])
        return tuple(round(float(logit), _DIGITS) for logit in logits)

    def _know(self, facts: tuple[str, ...]) -> _Known:
        import numpy as np

        parts = [self._embed(BEFORE), *(self._embed(FACT.format(fact)) for fact in facts)]
        x, seen = np.concatenate(parts), []
        for layer in self._layers:
            x, own = self._step(x, layer, 0, None)
            seen.append(own)
        last = np.cumsum([len(part) for part in parts])[1:] - 1
        return _Known(tuple(seen), self._normed(x[last], self._head["norm"]) @ self._head["saying"].T, len(x))

    def _step(
        self, x: Matrix, layer: Layer, start: int, before: tuple[Matrix, Matrix] | None
    ) -> tuple[Matrix, tuple[Matrix, Matrix]]:
        """A layer over tokens at places `start` and on, and their keys and values. before: those they see besides."""
        import numpy as np

        shape = self._shape
        inner = self._normed(x, layer["input_layernorm.weight"])
        query, own, value = (
            (inner @ layer[f"self_attn.{name}_proj.weight"].T).reshape(len(x), heads, -1).transpose(1, 0, 2)
            for name, heads in (("q", shape.heads), ("k", shape.keys), ("v", shape.keys))
        )
        query, own = self._turned(query, start), self._turned(own, start)
        keys, values = own, value
        if before is not None:
            keys, values = np.concatenate([before[0], own], 1), np.concatenate([before[1], value], 1)
        shared = query.reshape(shape.keys, -1, *query.shape[1:])  # (K, H / K, T, D / H)
        scores = shared @ keys[:, None].transpose(0, 1, 3, 2) / np.sqrt(np.float32(keys.shape[-1]))
        later = np.triu(np.full((len(x), len(x)), -np.inf, dtype=np.float32), 1)
        scores[..., keys.shape[1] - len(x) :] += later
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = (weights @ values[:, None]).reshape(query.shape).transpose(1, 0, 2).reshape(x.shape)
        x = x + mixed @ layer["self_attn.o_proj.weight"].T
        inner = self._normed(x, layer["post_attention_layernorm.weight"])
        gate = inner @ layer["mlp.gate_proj.weight"].T
        wide = gate / (1 + np.exp(-gate)) * (inner @ layer["mlp.up_proj.weight"].T)
        return x + wide @ layer["mlp.down_proj.weight"].T, (own, value)

    def _turned(self, part: Matrix, start: int) -> Matrix:
        """(heads, T, width) with rotary places from `start` on."""
        import numpy as np

        half = part.shape[-1] // 2
        turns = self._shape.theta ** (-np.arange(half, dtype=np.float32) / half)
        angle = np.arange(start, start + part.shape[1], dtype=np.float32)[:, None] * turns
        cos, sin = np.cos(angle), np.sin(angle)
        first, second = part[..., :half], part[..., half:]
        turned: Matrix = np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)
        return turned

    def _normed(self, x: Matrix, gain: Matrix) -> Matrix:
        import numpy as np

        scaled: Matrix = x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(self._shape.eps)) * gain
        return scaled


def load_language(folder: Path) -> Language:
    """The reader on the model in `folder`, as transformers writes one. 2 s, 420 MB.

    Raises `MissingExtra` without safetensors and tokenizers.
    """
    import numpy as np

    try:
        from safetensors import safe_open
        from tokenizers import Tokenizer
    except ImportError as missing:
        raise MissingExtra(
            f"scripted+dense needs the package {missing.name}", hint="pip install 'mocktrial[train]'"
        ) from missing

    with np.load(_FILE) as kept:
        learnt = {name: kept[name] for name in kept.files}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        base = {name.removeprefix("model."): file.get_tensor(name) for name in file.keys() if _is_read(name, learnt)}  # noqa: SIM118

    def embed(text: str) -> Matrix:
        found: Matrix = base["embed_tokens.weight"][tokenizer.encode(text, add_special_tokens=False).ids]
        return found

    layers = [_layer(f"layers.{number}.", base, learnt) for number in range(int(learnt["layers"]))]
    shape = Shape(
        heads=config["num_attention_heads"],
        keys=config["num_key_value_heads"],
        theta=config["rope_parameters"]["rope_theta"],
        eps=config["rms_norm_eps"],
    )
    return Language(layers, shape, embed, {name: learnt[name].astype(np.float32) for name in _HEAD})


_HEAD = ("asking", "saying", "norm", "none", "none_b", "scale")


def _is_read(name: str, learnt: Mapping[str, Matrix]) -> bool:
    head, _, rest = name.removeprefix("model.").partition(".")
    return head == "embed_tokens" or (head == "layers" and int(rest.partition(".")[0]) < int(learnt["layers"]))


def _layer(prefix: str, base: Mapping[str, Matrix], learnt: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """A layer's weights by their names in it, with what was learnt added."""
    own = {name: weight for name, weight in base.items() if name.startswith(prefix)}
    for name in own:
        if f"{name}.in" in learnt:
            own[name] = own[name] + _unpacked(f"{name}.out", learnt) @ _unpacked(f"{name}.in", learnt)
    return {name.removeprefix(prefix): weight for name, weight in own.items()}


def _unpacked(name: str, learnt: Mapping[str, Matrix]) -> Matrix:
    """Bytes with a sign; each row has its own unit."""
    import numpy as np

    whole: Matrix = learnt[name].astype(np.float32) * learnt[f"{name}.unit"].astype(np.float32)
    return whole
