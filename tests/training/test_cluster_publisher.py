"""Which versions of the weights are made known to the players, also after a learner has started anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mocktrial.training.cluster.ray_run import _Publisher


class Learner:
    def __init__(self) -> None:
        self.published: list[int] = []

    def publish(self, folder: Path, version: int) -> None:
        self.published.append(version)


@pytest.mark.parametrize(("known", "published"), [(0, [1, 2]), (None, [0, 1, 2])])
def test_each_version_once_and_after_a_restart_the_first_too(known: int | None, published: list[int]) -> None:
    learner: Any = Learner()
    publish = _Publisher(learner, Path("weights"), known)
    for version in (0, 0, 1, 1, 2):
        publish(version)
    assert learner.published == published
