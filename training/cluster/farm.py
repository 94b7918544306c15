"""Units of work on Ray workers: each done once, whatever dies. What a unit is, the workers know.

A worker is a Ray actor with a method `work(unit)`. One that dies, or takes longer than a unit may, is replaced, and
its unit is given to another; a result that came is never asked for again. After so many deaths it is not the workers'
fault: `NoResult`. What a worker raises itself is raised here, and no unit is done twice for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

from mocktrial.envs.cluster import deaths
from mocktrial.mocktools.errors import MocktrialError, NoResult

Unit = TypeVar("Unit")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Task:
    """A unit that is being worked on."""

    place: int  # of the unit in those given
    seat: int  # of the worker
    end: float  # when the worker is given up


class Farm(Generic[Unit, Result]):
    """ray: the connected library. start: makes the worker of a seat; called again where one has died.

    timeout: seconds that a unit may take, a worker's start included. deaths: how many are made up for.
    """

    def __init__(self, ray: Any, start: Callable[[int], Any], workers: int, *, timeout: float, deaths: int = 8) -> None:
        self.deaths = 0  # so far
        self._ray, self._start, self._timeout, self._most = ray, start, timeout, deaths
        self._workers = [start(seat) for seat in range(workers)]

    def __enter__(self) -> Farm[Unit, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            self._ray.kill(worker)

    @property
    def workers(self) -> int:
        return len(self._workers)

    def work(self, units: Sequence[Unit]) -> list[Result]:
        """The results in the units' order."""
        owed = deque(range(len(units)))
        idle = deque(range(len(self._workers)))
        under_way: dict[Any, _Task] = {}
        results: dict[int, Result] = {}
        while owed or under_way:
            while owed and idle:
                place, seat = owed.popleft(), idle.popleft()
                called = self._workers[seat].work.remote(units[place])
                under_way[called] = _Task(place, seat, time.monotonic() + self._timeout)
            left = min(task.end for task in under_way.values()) - time.monotonic()
            for called in self._ray.wait(list(under_way), timeout=max(0.0, left))[0]:
                task = under_way.pop(called)
                idle.append(task.seat)
                if self._take(called, task, results):
                    continue
                owed.appendleft(task.place)
            for called, task in [(called, task) for called, task in under_way.items() if task.end < time.monotonic()]:
                del under_way[called]
                self._replace(task.seat, f"took longer than {self._timeout:g} s")
                idle.append(task.seat)
                owed.appendleft(task.place)
        return [results[place] for place in range(len(units))]

    def _take(self, called: Any, task: _Task, results: dict[int, Result]) -> bool:
        """Keep a result; False where the worker is dead."""
        errors = self._ray.exceptions
        try:
            results[task.place] = self._ray.get(called)
        except errors.RayTaskError as error:
            if isinstance(error.cause, MocktrialError):
                raise error.cause from None
            raise
        except deaths(self._ray) as error:
            if getattr(error, "actor_init_failed", False):  # another one would fail in the same way
                raise NoResult(f"a worker could not be made: {str(error).splitlines()[-1]}", blame="bug") from error
            self._replace(task.seat, str(error).splitlines()[0])
            return False
        return True

    def _replace(self, seat: int, reason: str) -> None:
        self.deaths += 1
        if self.deaths > self._most:
            raise NoResult(f"{self.deaths} workers died, the last: {reason}", blame="memory or the system")
        self._ray.kill(self._workers[seat])
        self._workers[seat] = self._start(seat)
