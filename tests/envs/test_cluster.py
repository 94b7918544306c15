"""How an error on a worker of a real Ray cluster reaches the process that asked."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mocktrial.envs.cluster import connected, unwrapped
from mocktrial.mocktools.errors import NoResult, SpecError, UsageError

pytestmark = pytest.mark.ray


def test_an_address_where_nobody_listens_is_named(ray: Any) -> None:
    with pytest.raises(UsageError, match=r"no Ray cluster at '127.0.0.1:1': .*refused"), connected("127.0.0.1:1"):
        pass


def fail() -> None:
    raise SpecError("table books is broken", hint="mend it")


def test_an_error_comes_as_it_was_raised_with_the_trace_of_where(ray: Any) -> None:
    with pytest.raises(SpecError, match=r"^table books is broken$") as caught, unwrapped(ray):
        ray.get(ray.remote(fail).remote())
    assert caught.value.hint == "mend it"
    assert "in fail" in str(caught.value.__cause__)


def die() -> None:
    os._exit(9)


def test_a_worker_that_dies_each_time_is_no_result(ray: Any) -> None:
    with pytest.raises(NoResult, match="a worker died") as caught, unwrapped(ray):
        ray.get(ray.remote(max_retries=1)(die).remote())
    assert caught.value.blame == "memory or the system"


class Unmade:
    def __init__(self) -> None:
        fail()

    def work(self) -> None: ...


def test_a_worker_that_cannot_be_made_says_why(ray: Any) -> None:
    with pytest.raises(NoResult, match=r"could not be made: .*table books is broken") as caught, unwrapped(ray):
        ray.get(ray.remote(Unmade).remote().work.remote())
    assert caught.value.blame == "bug"
