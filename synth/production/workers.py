"""Units from many processes, handed over strictly in order: `units_in_order(make, first, workers)`.

`make` is a picklable callable of a number. Processes are spawned (`envs.processes`), so nothing but `make` reaches
them. On a Ray cluster (`ray`, an extra) units are Ray tasks instead, made again where a node dies. What comes out is
the same in every way of running.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from mocktrial.envs.cluster import AGAIN, connected, unwrapped
from mocktrial.envs.processes import Processes
from mocktrial.mocktools.errors import NoResult

T = TypeVar("T")
Make = Callable[[int], T]
_AHEAD = 2  # units a worker that may be under way or wait for their turn
_make: list[Callable[[int], Any]] = []  # in a worker: what it was started with


def units_in_order(make: Make[T], first: int, workers: int, *, ray: str = "") -> Generator[T, None, None]:
    """`make(first)`, `make(first + 1)`, ... without end; close the iterator to stop the workers."""
    if ray:
        return _on_ray(make, first, ray)
    if workers <= 1:
        return (make(number) for number in itertools.count(first))
    return _on_processes(make, first, workers)


def map_in_order(make: Make[T], count: int, workers: int) -> Generator[T, None, None]:
    """`make(0)` to `make(count - 1)`."""
    if workers <= 1:
        return (make(number) for number in range(count))
    return _on_processes(make, 0, min(workers, max(1, count)), count)


def _on_processes(make: Make[T], first: int, workers: int, count: int | None = None) -> Generator[T, None, None]:
    numbers = itertools.count(first) if count is None else iter(range(first, first + count))
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = Processes(workers, context, _begin, make, stop)
    try:
        waiting = deque(pool.submit(_work, number) for number in itertools.islice(numbers, workers * _AHEAD))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(_work, number) for number in itertools.islice(numbers, 1))
    except BrokenProcessPool as error:
        raise NoResult("a worker process was killed", blame="memory or the system", hint="use fewer workers") from error
    finally:
        # Workers end their unit: one that is killed while it sends leaves half a message, for whose rest we would wait.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(make: Callable[[int], Any], stop: Event) -> None:
    gc.freeze()  # what was imported stays: no use to look for cycles in it
    _make.append(lambda number: None if stop.is_set() else make(number))


def _work(number: int) -> Any:
    return _make[0](number)


def _on_ray(make: Make[T], first: int, address: str) -> Generator[T, None, None]:
    with connected(address) as cluster:
        shared = cluster.put(make)
        remote = cluster.remote(max_retries=AGAIN)(_call)
        ahead = _AHEAD * max(1, int(cluster.cluster_resources().get("CPU", 1)))
        numbers = itertools.count(first)
        waiting = deque(remote.remote(shared, number) for number in itertools.islice(numbers, ahead))
        while True:
            with unwrapped(cluster):
                made = cluster.get(waiting.popleft())
            yield made
            waiting.append(remote.remote(shared, next(numbers)))


def _call(make: Callable[[int], Any], number: int) -> Any:
    return make(number)
