"""Training of a joint reader: of the facts beside it a message must be nearest to those it asks for, or to none.

The loss of a message is a log-softmax over its facts and "none", and half the sum of each fact's own yes or no. Facts
are left out, put among others and stripped of description or value by chance, so that a reader learns from what is
there and not from a setting. Of some messages two are put into one, which asks for what both ask for.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from mocktrial.envs.task import Fact
from mocktrial.envs.users.reading.facts import put
from reader.data import Setting
from reader.models import Group, Reader, Small

_SETTINGS, _MESSAGES = 4, 14  # of a step; messages of a setting
_PRETRAINED = 64  # texts of a step
_OUT = -1e9
_JOINED = 0.15  # share of messages that give way to two in one
_BETWEEN = (" and ", ", and ", " plus ", ", ", "? And ", ". Also, ", " as well as ", " - ")
Message: TypeAlias = tuple[str, frozenset[int]]  # with the places of the facts that it asks for
Part: TypeAlias = tuple[Sequence[Fact], Sequence[Message]]


def put_by_chance(fact: Fact, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.65:
        return put(fact)
    return put(fact, about=False) if chance < 0.8 else put(fact, value=False)


def train(
    reader: Reader, settings: Callable[[], Iterable[Setting]], epochs: int, rate: float, teacher: Reader | None = None
) -> None:
    """Learn from what `settings` gives, called once an epoch; and from a teacher's probabilities (Hinton et al. 2015).

    `Small` is rounded in the last epoch, and in all of them where it has a teacher.
    """
    rng = random.Random(0)
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(reader.rates(rate), weight_decay=0.01)
    parts = list(_parts(settings(), rng))
    pool = [fact for facts, _ in parts for fact in facts]
    steps = epochs * math.ceil(len(parts) / _SETTINGS)
    rates = [group["lr"] for group in optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps + 1, pct_start=0.1)
    reader.train()
    for epoch in range(epochs):
        if isinstance(reader, Small):
            reader.rounded = teacher is not None or epoch == epochs - 1
        parts = list(_parts(settings(), rng))
        rng.shuffle(parts)
        for start in range(0, len(parts), _SETTINGS):
            loss = _loss(reader, parts[start : start + _SETTINGS], pool, rng, teacher)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1} of {epochs}: {loss.item():.3f}", flush=True)
    reader.eval()


def _parts(settings: Iterable[Setting], rng: random.Random) -> Iterator[Part]:
    """Settings with at most `_MESSAGES` of their messages."""
    for setting in settings:
        messages = rng.sample(setting.messages, len(setting.messages))
        count = math.ceil(len(messages) / _MESSAGES)
        for number in range(count):
            yield setting.facts, _some_joined(messages[number::count], rng)


def _some_joined(messages: list[Message], rng: random.Random) -> list[Message]:
    asking = [message for message in messages if message[1]]
    out = list(messages)
    for _ in messages if len(asking) > 1 else ():
        (first, some), (second, others) = rng.sample(asking, 2)
        if rng.random() < _JOINED and not some & others:
            text = f"{first.rstrip('?.! ')}{rng.choice(_BETWEEN)}{_within(second)}"
            out[rng.randrange(len(out))] = text, some | others
    return out


def _within(text: str) -> str:
    """A sentence as it stands within another."""
    name = text[:2] in ("I ", "I'") or text[1:2].isupper()
    return text if name else text[:1].lower() + text[1:]


def _loss(
    reader: Reader, parts: Sequence[Part], pool: Sequence[Fact], rng: random.Random, teacher: Reader | None
) -> Tensor:
    groups: list[Group] = []
    asked: list[Tensor] = []
    for facts, messages in parts:
        chosen = _by_chance(facts, pool, rng)
        groups.append(([put_by_chance(fact, rng) for fact, _ in chosen], [text for text, _ in messages]))
        asked.append(torch.tensor([[place in meant for _, place in chosen] for _, meant in messages]))
    logits = reader(groups)
    loss = torch.cat([_of_group(*pair) for pair in zip(logits, asked, strict=True)]).mean()
    if teacher is None:
        return loss
    with torch.no_grad():
        taught = teacher(groups)
    return 0.5 * loss + torch.cat([_as_taught(*pair) for pair in zip(logits, taught, strict=True)]).mean()


def _by_chance(facts: Sequence[Fact], pool: Sequence[Fact], rng: random.Random) -> list[tuple[Fact, int]]:
    """Facts with their places; some left out, strange ones (-1) among them, in any order."""
    chosen = list(zip(facts, range(len(facts)), strict=True))
    if rng.random() < 0.5 and len(chosen) > 3:
        chosen = [one for one in chosen if rng.random() > 0.15] or chosen
    if rng.random() < 0.3:
        chosen += [(fact, -1) for fact in rng.sample(pool, rng.randint(1, 3))]
    rng.shuffle(chosen)
    return chosen


def _of_group(logits: Tensor, asked: Tensor) -> Tensor:
    """(messages,) from logits of (messages, facts + 1)."""
    facts, none = logits[:, :-1], logits[:, -1]
    each = functional.binary_cross_entropy_with_logits(facts - none[:, None], asked.float(), reduction="none").sum(1)
    right = torch.where(asked.any(1), torch.logsumexp(facts.masked_fill(~asked, _OUT), 1), none)
    return torch.logsumexp(logits, 1) - right + 0.5 * each


def _as_taught(logits: Tensor, taught: Tensor) -> Tensor:
    """(messages,) the same losses, with a teacher's probabilities for what is right."""
    own, their = (each[:, :-1] - each[:, -1:] for each in (logits, taught))
    each = functional.binary_cross_entropy_with_logits(own, torch.sigmoid(their), reduction="none").sum(1)
    return 0.5 * each - (taught.softmax(1) * logits.log_softmax(1)).sum(1)


def pretrain(small: Small, texts: Sequence[str], wanted: Tensor, rate: float = 4e-4, seed: int = 0) -> None:
    """One epoch in which it learns the sentence model's vectors, (N, D), and their cosines."""
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    optimizer = torch.optim.AdamW(small.parameters(), rate, weight_decay=0.01)
    steps = len(order) // _PRETRAINED
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.1)
    for number in range(steps):
        places = order[number * _PRETRAINED : (number + 1) * _PRETRAINED]
        own, their = small.vectors([texts[place] for place in places]), wanted[places]
        loss = (1 - (own * their).sum(1)).mean() + 2 * ((own @ own.T - their @ their.T) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
