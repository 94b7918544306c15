"""Units on real Ray workers that die, hang and raise: each unit is done once, or the run says why not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.support.farmhand import Worker

from mocktrial.mocktools.errors import NoResult
from mocktrial.training.cluster.farm import Farm

pytestmark = pytest.mark.ray


def farm(ray: Any, notes: Path, **options: Any) -> Farm[str, tuple[str, int]]:
    kind = ray.remote(num_cpus=0)(Worker)
    return Farm(ray, lambda seat: kind.remote(notes), 2, **{"timeout": 60.0, **options})


def begun(notes: Path, word: str) -> int:
    return len(list(notes.glob(f"{word}-*")))


def test_each_unit_is_done_once_whatever_dies(ray: Any, tmp_path: Path) -> None:
    words = ["a", "die", "b", "hang", "c", "d"]
    with farm(ray, tmp_path, timeout=25.0) as workers:
        done = workers.work(words)
        assert workers.deaths == 2
    assert [word for word, _ in done] == words
    assert {word: begun(tmp_path, word) for word in words} == dict.fromkeys(words, 1) | {"die": 2, "hang": 2}
    assert len({process for _, process in done}) >= 2
    assert os.getpid() not in {process for _, process in done}


def test_what_a_worker_raises_comes_whole_and_costs_no_worker(ray: Any, tmp_path: Path) -> None:
    with farm(ray, tmp_path) as workers:
        with pytest.raises(NoResult, match="the model said nothing") as caught:
            workers.work(["raise"])
        assert (caught.value.blame, caught.value.kind, workers.deaths) == ("model", "EMPTY", 0)
        assert workers.work([]) == []


def test_workers_that_die_again_and_again_are_given_up(ray: Any, tmp_path: Path) -> None:
    with farm(ray, tmp_path, deaths=0) as workers, pytest.raises(NoResult, match="1 workers died"):
        workers.work(["die"])
