"""Who the users are: how active, how fond of tools, what they are interested in. Latent; a log never shows it."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

from mocktrial.envs.seeds import derive
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.synth.clicks.settings import Settings


@dataclass(frozen=True)
class User:
    """activity: standard normal, behind readiness and number of visits. affinity: for tools, against chat."""

    number: int
    activity: float
    affinity: float
    visits: int
    interests: dict[str, float]  # by domain, standard normal


def population(settings: Settings, seed: int) -> tuple[User, ...]:
    """All users; a user depends on the seed and the own number alone."""
    return tuple(_user(settings, seed, number) for number in range(settings.users))


@lru_cache(maxsize=65536)
def _user(settings: Settings, seed: int, number: int) -> User:
    rng = random.Random(derive(seed, "user", number))
    activity = rng.gauss(0, 1)
    spread = settings.readiness.visits
    mean_visits = settings.visits * math.exp(spread * activity - spread**2 / 2)
    return User(
        number=number,
        activity=activity,
        affinity=settings.tools.affinity * math.exp(settings.tools.spread * rng.gauss(0, 1)),
        visits=math.floor(mean_visits + rng.random()),  # the mean is kept
        interests={domain: rng.gauss(0, 1) for domain in catalog().domains},
    )
