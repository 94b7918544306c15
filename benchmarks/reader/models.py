"""The two joint readers while they learn. What they compute is `mocktrial.envs.users.reading.joint`, in torch.

`Large` is MiniLM with narrow products beside the weights of its upper layers, `Small` the first layers of MiniLM with
fewer inner units, a vocabulary of its own and narrow word vectors; all of it learns.

Shapes: T tokens of all texts together, D = 384, H = 12 heads.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from mocktrial.envs.users.reading.pieces import LONGEST, Pieces
from mocktrial.mocktools.minilm import HINT, Encoder, load_encoder

D, H = 384, 12
DENSE = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
RANK, HEAD_RANK = 32, 32
LARGE_LAYERS, LARGE_SEPARATE = 6, 3
SMALL_LAYERS, SMALL_SEPARATE, INNER, NARROW = 3, 1, 768, 192
RUN, MOST = 64, 7  # numbers that share a unit, and the greatest: four bits with a sign
Layer: TypeAlias = Mapping[str, Tensor]
Group: TypeAlias = tuple[Sequence[str], Sequence[str]]  # facts as texts, and messages that are read beside them


def encoder() -> Encoder:
    found = load_encoder()
    if found is None:
        raise SystemExit(HINT)
    return found


class Reader(nn.Module, ABC):
    """Gives each fact of a group a logit for each message, and one for asking for nothing."""

    @abstractmethod
    def rates(self, rate: float) -> list[dict[str, object]]:
        """Parameters with their rates, for an optimizer."""

    @abstractmethod
    def forward(self, groups: Sequence[Group]) -> list[Tensor]:
        """Of each group the logits, (messages, facts + 1); the last is that of asking for nothing."""


class JointReader(Reader):
    """separate: how many of the first layers see one text only."""

    drop = 0.1

    def __init__(self, separate: int) -> None:
        super().__init__()
        self.separate = separate
        self.asking = nn.Parameter(torch.randn(HEAD_RANK, D) * 0.02)  # (R, D)
        self.saying = nn.Parameter(torch.randn(HEAD_RANK, D) * 0.02)  # (R, D)
        self.scale = nn.Parameter(torch.tensor(2.6))  # its logarithm
        self.none = nn.Parameter(torch.zeros(D))
        self.none_b = nn.Parameter(torch.tensor(5.0))

    @abstractmethod
    def layers(self) -> list[Layer]:
        """Weights of each layer, by the names that BERT gives them."""

    @abstractmethod
    def begin(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        """(T, D) before the layers, and how many tokens each text has."""

    def forward(self, groups: Sequence[Group]) -> list[Tensor]:
        x, lengths = self.begin(list(chain.from_iterable((*facts, *messages) for facts, messages in groups)))
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        texts = [len(facts) + len(messages) for facts, messages in groups]
        tokens = [sum(part) for part in _cut(lengths, texts)]
        masks = [
            _masks(own, len(facts)) for own, (facts, _) in zip(owner.split(tokens), groups, strict=True)
        ]  # fmt: skip
        for number, layer in enumerate(self.layers()):
            seen = [alone if number < self.separate else together for alone, together in masks]
            x = step(x, layer, seen, tokens, self.drop if self.training else 0.0)
        unit = functional.normalize(torch.zeros(len(lengths), D).index_add(0, owner, x), dim=1)
        found = zip(unit.split(texts), groups, strict=True)
        return [self._logits(part[: len(facts)], part[len(facts) :]) for part, (facts, _) in found]

    def _logits(self, facts: Tensor, asked: Tensor) -> Tensor:
        near = asked @ facts.T + (asked @ self.asking.T) @ (facts @ self.saying.T).T
        return torch.cat([near * self.scale.exp(), (asked @ self.none + self.none_b)[:, None]], 1)


def step(x: Tensor, layer: Layer, masks: Sequence[Tensor], tokens: list[int], drop: float = 0.0) -> Tensor:
    """A layer over texts in groups. masks: of each group what sees what; tokens: how many each has."""

    def dense(inner: Tensor, name: str) -> Tensor:
        return functional.linear(inner, layer[f"{name}.weight"], layer[f"{name}.bias"])

    def added(inner: Tensor, more: Tensor, name: str) -> Tensor:
        total = inner + functional.dropout(more, drop, drop > 0)
        return functional.layer_norm(total, (D,), layer[f"{name}.weight"], layer[f"{name}.bias"], 1e-12)

    heads = [dense(x, name).view(-1, H, D // H).transpose(0, 1).split(tokens, 1) for name in DENSE[:3]]
    mixed = [
        functional.scaled_dot_product_attention(*(part[None] for part in parts), attn_mask=mask)[0]
        for *parts, mask in zip(*heads, masks, strict=True)
    ]
    together = torch.cat(mixed, 1).transpose(0, 1).reshape(x.shape)
    x = added(x, dense(together, DENSE[3]), NORMS[0])
    return added(x, dense(functional.gelu(dense(x, DENSE[4])), DENSE[5]), NORMS[1])


def _cut(values: Sequence[int], sizes: Iterable[int]) -> list[list[int]]:
    rest = iter(values)
    return [[next(rest) for _ in range(size)] for size in sizes]


def _masks(owner: Tensor, facts: int) -> tuple[Tensor, Tensor]:
    """(T, T) what each token of a group sees: of its own text; of it and of all facts. Facts see facts."""
    owner = owner - owner[0]
    alone = owner[:, None] == owner[None, :]
    return alone, alone | (owner[None, :] < facts)


class Large(JointReader):
    """MiniLM; the lower layers stand still, so what they make of a text is kept."""

    def __init__(self) -> None:
        super().__init__(separate=0)
        self._base = {name: torch.tensor(weight) for name, weight in encoder().weights.items()}
        self._kept: dict[str, Tensor] = {}
        self.into, self.out = nn.ParameterDict(), nn.ParameterDict()
        for number in range(LARGE_SEPARATE, LARGE_LAYERS):
            for name in DENSE:
                rows, columns = self._base[f"encoder.layer.{number}.{name}.weight"].shape
                key = f"{number}.{name}".replace(".", "-")
                self.into[key] = nn.Parameter(torch.randn(RANK, columns) / math.sqrt(columns))
                self.out[key] = nn.Parameter(torch.zeros(rows, RANK))

    def layers(self) -> list[Layer]:
        return [self._layer(number) for number in range(LARGE_SEPARATE, LARGE_LAYERS)]

    def rates(self, rate: float) -> list[dict[str, object]]:
        narrow = [*self.into.values(), *self.out.values()]
        head = [self.asking, self.saying, self.scale, self.none, self.none_b]
        return [{"params": narrow, "lr": rate}, {"params": head, "lr": 2 * rate, "weight_decay": 0.0}]

    def _layer(self, number: int) -> Layer:
        own = _under(f"encoder.layer.{number}.", self._base)
        for name in DENSE if number >= LARGE_SEPARATE else ():
            key = f"{number}.{name}".replace(".", "-")
            own[f"{name}.weight"] = own[f"{name}.weight"] + self.out[key] @ self.into[key]
        return own

    def begin(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        parts = [self._below(text) for text in texts]
        return torch.cat(parts).float(), [len(part) for part in parts]

    @torch.no_grad()
    def _below(self, text: str) -> Tensor:
        if text not in self._kept:
            ids = torch.tensor(encoder().ids(text))
            x = embedded(self._base, ids)
            for number in range(LARGE_SEPARATE):
                x = step(x, self._layer(number), [_all(len(ids))], [len(ids)])
            self._kept[text] = x.half()
        return self._kept[text]


def embedded(base: Mapping[str, Tensor], ids: Tensor) -> Tensor:
    """(T, D) before MiniLM's first layer."""
    x = base["embeddings.word_embeddings.weight"][ids] + base["embeddings.position_embeddings.weight"][: len(ids)]
    name = "embeddings.LayerNorm"
    x = x + base["embeddings.token_type_embeddings.weight"][0]
    return functional.layer_norm(x, (D,), base[f"{name}.weight"], base[f"{name}.bias"], 1e-12)


class Small(JointReader):
    """All of it learns. `rounded`: its weights are used as they will ship, and gradients go straight through the
    rounding (Bengio et al. 2013, section 2).

    vocabulary: its pieces and their places in MiniLM's. sample: texts that show which inner units MiniLM uses.
    """

    rounded = False

    def __init__(self, vocabulary: Mapping[str, int], sample: Sequence[str]) -> None:
        super().__init__(SMALL_SEPARATE)
        base = {name: torch.tensor(weight) for name, weight in encoder().weights.items()}
        words = base["embeddings.word_embeddings.weight"][list(vocabulary.values())]
        left, size, right = torch.linalg.svd(words - words.mean(0), full_matrices=False)
        place = base["embeddings.position_embeddings.weight"][:LONGEST]
        start = {
            "pieces": left[:, :NARROW] * size[:NARROW],  # (V, NARROW)
            "proj": right[:NARROW],  # (NARROW, D)
            "place": place + base["embeddings.token_type_embeddings.weight"][0] + words.mean(0),
            "LayerNorm.weight": base["embeddings.LayerNorm.weight"],
            "LayerNorm.bias": base["embeddings.LayerNorm.bias"],
        }
        x = [embedded(base, torch.tensor(encoder().ids(text))) for text in sample]
        for number in range(SMALL_LAYERS):
            layer, x = _narrowed(base, number, x)
            start |= {f"{number}.{name}": weight for name, weight in layer.items()}
        self._names = tuple(start)
        self.weights = nn.ParameterDict({name.replace(".", "-"): nn.Parameter(w.clone()) for name, w in start.items()})
        self.vocabulary = tuple(vocabulary)
        self._pieces = Pieces(self.vocabulary)

    def rates(self, rate: float) -> list[dict[str, object]]:
        return [{"params": list(self.parameters()), "lr": rate}]

    def own(self) -> dict[str, Tensor]:
        """The weights by name."""
        return {name: self.weights[name.replace(".", "-")] for name in self._names}

    def kept(self) -> dict[str, Tensor]:
        """The weights by name, as they are used."""
        return {name: rounded(name, weight) if self.rounded else weight for name, weight in self.own().items()}

    def layers(self) -> list[Layer]:
        kept = self.kept()
        return [_under(f"{number}.", kept) for number in range(SMALL_LAYERS)]

    def begin(self, texts: Sequence[str]) -> tuple[Tensor, list[int]]:
        found = [torch.tensor(self._pieces.places(text)) for text in texts]
        kept, lengths = self.kept(), [len(part) for part in found]
        place = kept["place"][torch.cat([torch.arange(length) for length in lengths])]
        x = kept["pieces"][torch.cat(found)] @ kept["proj"] + place
        return functional.layer_norm(x, (D,), kept["LayerNorm.weight"], kept["LayerNorm.bias"], 1e-12), lengths

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """(N, D) of length 1, of texts that see themselves only."""
        x, lengths = self.begin(texts)
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        for layer in self.layers():
            x = step(x, layer, [owner[:, None] == owner[None, :]], [len(x)])
        return functional.normalize(torch.zeros(len(lengths), D).index_add(0, owner, x), dim=1)


def run(name: str, weight: Tensor) -> int:
    """How many of a weight's numbers share a unit; 0 where it is not rounded."""
    if name == "pieces":
        return NARROW
    return RUN if name[0].isdigit() and weight.dim() == 2 else 0


def units(weight: Tensor, size: int) -> Tensor:
    """(runs, 1) what a number of each run is counted in."""
    return weight.view(-1, size).abs().amax(1, keepdim=True).clamp_min(1e-8) / MOST


def rounded(name: str, weight: Tensor) -> Tensor:
    """The weight as it will ship; its gradient is the weight's."""
    size = run(name, weight)
    if not size:
        return weight
    unit = units(weight, size)
    near = (torch.round(weight.view(-1, size) / unit).clamp(-MOST, MOST) * unit).view_as(weight)
    return weight + (near - weight).detach()


def _under(prefix: str, weights: Layer) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


@torch.no_grad()
def _narrowed(base: Layer, number: int, x: Sequence[Tensor]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """A layer with the `INNER` units that say most in a sample, and the sample after the whole layer."""
    layer = _under(f"encoder.layer.{number}.", base)
    before, out = torch.cat(list(x)), [step(part, layer, [_all(len(part))], [len(part)]) for part in x]
    name = "intermediate.dense"
    said = functional.gelu(functional.linear(before, layer[f"{name}.weight"], layer[f"{name}.bias"]))
    power = said.pow(2).mean(0).sqrt() * layer["output.dense.weight"].norm(dim=0)
    units = power.argsort(descending=True)[:INNER].sort().values
    narrow = {"intermediate.dense.weight": layer["intermediate.dense.weight"][units],
              "intermediate.dense.bias": layer["intermediate.dense.bias"][units],
              "output.dense.weight": layer["output.dense.weight"][:, units]}  # fmt: skip
    return layer | narrow, out


def _all(tokens: int) -> Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool)
