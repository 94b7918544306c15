"""What the small policy sees of a candidate in a scene: nothing latent, no position, no user's number.

S scenes, K candidates, F features. The base policy's logit (nearness of words) stands apart: it is what every policy
starts from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from mocktrial.agents.recommender.base import Suggestion
from mocktrial.agents.recommender.grounding import all_chats
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.synth.clicks.logs import NEARNESS, nearness
from mocktrial.synth.clicks.scenes import Scene
from mocktrial.synth.clicks.taste import domain_of, item_of, relatedness, tables_of

T = TypeVar("T")
HOURS = ("morning", "midday", "evening", "night")


@dataclass(frozen=True)
class SceneTable:
    """The scenes of a log as tensors, with where each scene stands in them."""

    base: Tensor  # (S, K) logits
    seen: Tensor  # (S, K, F)
    items: Tensor  # (S, K) number of the tool or question
    valid: Tensor  # (S, K) bool: a scene may have fewer than K
    places: Mapping[int, int]  # id of the scene -> S

    def place(self, scene: Scene) -> int:
        return self.places[id(scene)]


def item_numbers() -> dict[str, int]:
    return {name: number for number, name in enumerate((*catalog().tools, *all_chats()))}


def table_of(scenes: Sequence[Scene], usage: Mapping[str, float]) -> SceneTable:
    """usage: percentile of each tool, as the log knew it."""
    width = max(len(scene.pool) for scene in scenes)
    numbers = item_numbers()
    seen = [[_features(scene, one, usage) for one in scene.pool] for scene in scenes]
    empty = [0.0] * len(seen[0][0])
    return SceneTable(
        base=torch.tensor([_padded([NEARNESS * near for near in nearness(scene)], width, 0.0) for scene in scenes]),
        seen=torch.tensor([_padded(rows, width, empty) for rows in seen]),
        items=torch.tensor([_padded([numbers[item_of(one)] for one in scene.pool], width, 0) for scene in scenes]),
        valid=torch.tensor([[place < len(scene.pool) for place in range(width)] for scene in scenes]),
        places={id(scene): place for place, scene in enumerate(scenes)},
    )


def _padded(values: list[T], width: int, filling: T) -> list[T]:
    return values + [filling] * (width - len(values))


def _features(scene: Scene, one: Suggestion, usage: Mapping[str, float]) -> list[float]:
    domain, query = domain_of(one), scene.query
    tool = catalog().tools[one.tool] if one.tool else None
    near = relatedness(query, one)
    plain = [
        near,
        float(domain == domain_of(query)),
        float(bool(tables_of(query.tool) & tables_of(one.tool))),
        float(catalog().domains[domain].app == scene.situation.app),
        float(tool is not None),
        usage.get(one.tool, 0.0),
        float(tool is not None and tool.spec.effect == "write"),
        float(tool is not None and tool.plain),
        float(query.tool == one.tool),
    ]
    domains = list(catalog().domains)
    about = [float(domain == name) for name in domains]
    when = [float(domain == name and scene.hour == hour) for name in domains for hour in HOURS]
    return plain + about + when
