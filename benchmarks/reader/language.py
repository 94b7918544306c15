"""The language model as reader while it learns. What it computes is `mocktrial.envs.users.reading.language`, in torch.

A message sees all facts and itself, and is summed up by its last token, which stands after "My". Its product with a
fact's last token is the fact's logit. The lower layers stand still; beside each weight of the upper ones narrow
products learn (LoRA: Hu et al. 2021, section 4.1).

Shapes: T tokens of all groups together, D = 576, H = 9 heads of 64 on 3 of keys and values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mocktrial.agents.local.weights import load
from mocktrial.envs.users.reading.language import BEFORE, FACT, MESSAGE
from reader.models import Group, Reader

LAYERS, FROZEN, RANK, HEAD_RANK = 22, 10, 32, 192
D, H, KEYS, WIDTH = 576, 9, 3, 64
DENSE = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


class Language(Reader):
    def __init__(self) -> None:
        super().__init__()
        loaded = load("smollm2")
        config = loaded.model.config
        self._base = {name: weight.detach() for name, weight in loaded.model.model.state_dict().items()}
        self._tokenizer = loaded.tokenizer
        self._known: dict[str, list[int]] = {}
        self._eps = float(config.rms_norm_eps)
        self._turns = config.rope_parameters["rope_theta"] ** (-torch.arange(0, WIDTH, 2) / WIDTH)
        self.into, self.out = nn.ParameterDict(), nn.ParameterDict()
        for number in range(FROZEN, LAYERS):
            for name in DENSE:
                rows, columns = self._base[f"layers.{number}.{name}.weight"].shape
                key = _key(number, name)
                self.into[key] = nn.Parameter(torch.randn(RANK, columns) / math.sqrt(columns))
                self.out[key] = nn.Parameter(torch.zeros(rows, RANK))
        self.asking = nn.Parameter(torch.randn(HEAD_RANK, D) / math.sqrt(D))
        self.saying = nn.Parameter(self.asking.detach().clone())
        self.norm = nn.Parameter(torch.ones(D))
        self.scale = nn.Parameter(torch.zeros(()))  # its logarithm
        self.none, self.none_b = nn.Parameter(torch.zeros(D)), nn.Parameter(torch.zeros(()))

    def rates(self, rate: float) -> list[dict[str, object]]:
        narrow = [*self.into.values(), *self.out.values()]
        head = [self.asking, self.saying, self.norm, self.scale, self.none, self.none_b]
        return [{"params": narrow, "lr": rate}, {"params": head, "lr": 2 * rate, "weight_decay": 0.0}]

    def forward(self, groups: Sequence[Group]) -> list[Tensor]:
        rows = [self._row(facts, messages) for facts, messages in groups]
        ids = torch.tensor([token for row in rows for token in row.ids])
        angle = torch.tensor([place for row in rows for place in row.places])[:, None] * self._turns
        turn = torch.cat([angle, angle], 1).cos(), torch.cat([angle, angle], 1).sin()
        masks = [row.mask() for row in rows]
        x = self._base["embed_tokens.weight"][ids]
        with torch.no_grad():
            for number in range(FROZEN):
                x = self._layer(x, number, masks, turn)
        for number in range(FROZEN, LAYERS):
            x = self._layer(x, number, masks, turn)
        parts = x.split([len(row.ids) for row in rows])
        return [self._logits(part[row.facts], part[row.messages]) for part, row in zip(parts, rows, strict=True)]

    def _logits(self, facts: Tensor, asked: Tensor) -> Tensor:
        known, wanted = self._normed(facts, self.norm), self._normed(asked, self.norm)
        near = (wanted @ self.asking.T) @ (known @ self.saying.T).T * self.scale.exp() / math.sqrt(HEAD_RANK)
        return torch.cat([near, (wanted @ self.none / math.sqrt(D) + self.none_b)[:, None]], 1)

    def _row(self, facts: Sequence[str], messages: Sequence[str]) -> _Row:
        row = _Row(self._ids(BEFORE))
        for fact in facts:
            row.add_fact(self._ids(FACT.format(fact)))
        for message in messages:
            row.add_message(self._ids(MESSAGE.format(message)))
        return row

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._known[text]

    def _layer(self, x: Tensor, number: int, masks: Sequence[Tensor], turn: tuple[Tensor, Tensor]) -> Tensor:
        def dense(inner: Tensor, name: str) -> Tensor:
            out = functional.linear(inner, self._base[f"layers.{number}.{name}.weight"])
            if number < FROZEN:
                return out
            key = _key(number, name)
            return out + functional.linear(functional.linear(inner, self.into[key]), self.out[key])

        def heads(name: str) -> Tensor:
            return dense(seen, f"self_attn.{name}").view(len(x), -1, WIDTH).transpose(0, 1)

        def turned(part: Tensor) -> Tensor:
            first, second = part.chunk(2, -1)
            return part * turn[0] + torch.cat([-second, first], -1) * turn[1]

        seen = self._normed(x, self._base[f"layers.{number}.input_layernorm.weight"])
        parts = turned(heads("q_proj")), turned(heads("k_proj")), heads("v_proj")
        tokens = [len(mask) for mask in masks]
        mixed = [
            functional.scaled_dot_product_attention(
                query[None], *(part[None].repeat_interleave(H // KEYS, 1) for part in shared), attn_mask=mask
            )[0]
            for query, *shared, mask in zip(*(part.split(tokens, 1) for part in parts), masks, strict=True)
        ]
        x = x + dense(torch.cat(mixed, 1).transpose(0, 1).reshape(x.shape), "self_attn.o_proj")
        seen = self._normed(x, self._base[f"layers.{number}.post_attention_layernorm.weight"])
        return x + dense(functional.silu(dense(seen, "mlp.gate_proj")) * dense(seen, "mlp.up_proj"), "mlp.down_proj")

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self._eps) * weight


class _Row:
    """Facts one behind the other, and messages that all begin where the facts end."""

    def __init__(self, before: Sequence[int]) -> None:
        self.ids = list(before)
        self.owner = [0] * len(before)  # 0: facts, which all see; else the message's number
        self.places = list(range(len(before)))
        self.facts: list[int] = []  # places of last tokens
        self.messages: list[int] = []

    def add_fact(self, ids: Sequence[int]) -> None:
        self._add(ids, 0, len(self.ids))
        self.facts.append(len(self.ids) - 1)

    def add_message(self, ids: Sequence[int]) -> None:
        self._add(ids, len(self.messages) + 1, self.owner.count(0))
        self.messages.append(len(self.ids) - 1)

    def _add(self, ids: Sequence[int], owner: int, start: int) -> None:
        self.ids += ids
        self.owner += [owner] * len(ids)
        self.places += range(start, start + len(ids))

    def mask(self) -> Tensor:
        """(T, T) what each token sees."""
        owner, order = torch.tensor(self.owner), torch.arange(len(self.ids))
        before = order[:, None] >= order[None, :]
        return before & ((owner[:, None] == owner[None, :]) | (owner[None, :] == 0))


def _key(number: int, name: str) -> str:
    return f"{number}.{name}".replace(".", "-")
