"""Units in order: from this process, from others, from a Ray cluster."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from mocktrial.mocktools.errors import NoResult, SpecError, UsageError
from mocktrial.synth.production.workers import map_in_order, units_in_order


@dataclass(frozen=True)
class Make:
    """A number and its process; dies or fails at one number."""

    dies: int = -1
    fails: int = -1

    def __call__(self, number: int) -> tuple[int, int]:
        if number == self.dies:
            os._exit(9)
        if number == self.fails:
            raise SpecError(f"number {number} is broken")
        return number, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_in_order_from_any_number_of_processes(workers: int) -> None:
    with closing(units_in_order(Make(), 3, workers)) as units:
        found = list(itertools.islice(units, 8))
    assert [number for number, _ in found] == list(range(3, 11))
    assert (os.getpid() in {process for _, process in found}) == (workers == 1)
    assert [number for number, _ in map_in_order(Make(), 5, workers)] == list(range(5))
    assert list(map_in_order(Make(), 0, workers)) == []


def drained(units: Iterator[tuple[int, int]]) -> list[int]:
    return [number for number, _ in itertools.islice(units, 10)]


def test_a_worker_that_dies_is_named_and_an_error_of_its_own_comes_through() -> None:
    with pytest.raises(NoResult, match="killed"), closing(units_in_order(Make(dies=2), 0, 2)) as units:
        drained(units)
    with pytest.raises(SpecError, match="number 2 is broken"), closing(units_in_order(Make(fails=2), 0, 2)) as units:
        drained(units)


@pytest.mark.ray
def test_on_ray() -> None:
    with closing(units_in_order(Make(fails=9), 3, 1, ray="local")) as units:
        found = list(itertools.islice(units, 6))
        with pytest.raises(SpecError, match=r"^number 9 is broken$"):
            next(units)
    assert [number for number, _ in found] == list(range(3, 9))
    assert os.getpid() not in {process for _, process in found}
    with pytest.raises(UsageError, match="no Ray cluster at 'nowhere'"):
        next(units_in_order(Make(), 0, 1, ray="nowhere"))
