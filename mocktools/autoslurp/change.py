"""Makes a call wrong in exactly one slot: what acceptance tests and the scripted adversary send.

The new value is a plausible one of the same kind from `words.json`, taken with a seeded generator, and never
one that the published leniencies forgive. A call without slots gets one slot too many.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.compare import compare
from mocktrial.mocktools.autoslurp.resolve import arguments
from mocktrial.mocktools.autoslurp.spoken import words

GoldSlots = Sequence[tuple[str, str]]
_ADDED = ("place_name", "person", "date", "descriptor")


def change_one_slot(
    gold: GoldSlots, seed: int, now: datetime, labels: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """`gold` with the value of one slot changed, or one slot (of `labels`, if given) added to none.

    Raises ValueError where no value in the pools differs by meaning (the pools hold several of each kind).
    """
    rng = random.Random(f"change:{seed}:{list(gold)}")
    if not gold:
        label = rng.choice(list(labels) or list(_ADDED))
        return ((label, rng.choice(_pool(label))),)
    order = rng.sample(range(len(gold)), len(gold))
    for at in order:
        label = gold[at][0]
        for value in rng.sample(_pool(label), len(_pool(label))):
            changed = (*gold[:at], (label, value), *gold[at + 1 :])
            if not compare(gold, arguments(changed), now=now).ok:
                return tuple(changed)
    raise ValueError(f"no value differs by meaning from {list(gold)}")


def _pool(label: str) -> tuple[str, ...]:
    pools = words().pools
    return pools.get(label) or pools[catalog().kind(label)]
