"""From what somebody wants to what somebody clicks: readiness, attention, accidents.

P(click) is not P(wanting): a person may not be open to clicking at all, may not look that far down, may do without a
tool what the tool is for, may touch by accident. All chances of one set are drawn beforehand from its own seed, by
suggestion and by place: two recommenders that show the same suggestion meet the same wish (common random numbers).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mocktrial.agents.recommender.base import Suggestion
from mocktrial.envs.seeds import derive
from mocktrial.synth.clicks.population import User
from mocktrial.synth.clicks.scenes import Scene
from mocktrial.synth.clicks.settings import Settings
from mocktrial.synth.clicks.taste import Taste, domain_of, item_of, logistic


@dataclass(frozen=True)
class Visit:
    """A user in a session. number: of the log's visits, in time."""

    number: int
    user: User
    scenes: tuple[Scene, ...]


@dataclass(frozen=True)
class Shown:
    """A set as one user met it, with the truth. All tuples go by place."""

    visit: int
    user: int
    scene: Scene
    suggestions: tuple[Suggestion, ...]
    clicked: tuple[bool, ...]
    preferences: tuple[float, ...]  # P(wanting it), the truth
    ready: float  # P(open to clicking), the truth

    @property
    def query(self) -> Suggestion:
        return self.scene.query


class People:
    """How the users of `settings` react under `seed`."""

    def __init__(self, settings: Settings, seed: int, taste: Taste) -> None:
        self._settings, self._seed, self._taste = settings, seed, taste

    def readiness(self, user: User, scene: Scene) -> float:
        """P(open to clicking at all in this set)."""
        part = self._settings.readiness
        late = part.night if scene.hour == "night" else 0.0
        return logistic(part.level + part.spread * user.activity + late + part.fatigue * scene.turn)

    def preference(self, user: User, scene: Scene, suggestion: Suggestion) -> float:
        """P(wanting `suggestion` now): the truth by which relevance is measured."""
        interest = self._settings.preference.interest * user.interests[domain_of(suggestion)]
        return logistic(self._fit(scene, suggestion) + interest)

    def react(self, visit: Visit, scene: Scene, suggestions: Sequence[Suggestion]) -> Shown:
        """What the user of `visit` clicks of `suggestions`, shown in this order."""
        user = visit.user
        wanted = tuple(self.preference(user, scene, one) for one in suggestions)
        ready = self.readiness(user, scene)
        key = derive(self._seed, "set", visit.number, scene.turn)
        clicked = tuple(self._clicks(key, user, suggestions, wanted, ready))
        return Shown(visit.number, user.number, scene, tuple(suggestions), clicked, wanted, ready)

    def _fit(self, scene: Scene, suggestion: Suggestion) -> float:
        place = scene.place(suggestion)
        return self._taste.fit(scene.query, scene.hour, suggestion) if place is None else scene.fits[place]

    def _clicks(
        self, key: int, user: User, suggestions: Sequence[Suggestion], wanted: Sequence[float], ready: float
    ) -> Iterator[bool]:
        attention = self._settings.attention
        places = random.Random(key)
        open_to = places.random() < ready
        for one, preference, seen in zip(suggestions, wanted, attention.position, strict=False):
            looks, touches, goes_on = places.random() < seen, places.random() < attention.accident, places.random()
            by_tool = min(1.0, user.affinity) if one.tool else 1.0
            wants = random.Random(derive(key, item_of(one))).random() < preference * by_tool
            clicked = touches or (open_to and looks and wants)
            yield clicked
            if clicked and goes_on >= attention.returns:
                open_to = False  # the click led elsewhere
