"""A run on a Ray cluster: workers there play its episodes, the process that was started records them.

A worker makes the cast from its names and compiles worlds as they come: an episode is the same wherever it is played.
Where a worker dies, alone or with its node, another is made, and what it was playing is played again, `AGAIN` times at
most; then an episode has no result. Ray's own retries are off: they also count its failures to reach a dead worker.
Nothing here writes: one process holds the ledger, and an episode comes back to it once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

from mocktrial.agents.cast import Cast, Stage, staged
from mocktrial.envs.cluster import AGAIN, WorkerDied, connected, unwrapped
from mocktrial.envs.fingerprint import grader_hash
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec

_log = logging.getLogger(__name__)
_PARTING = 10.0  # seconds that workers have to send off what they still hold, such as spans


@contextmanager
def staged_on_ray(address: str, cast: Cast, images: Mapping[str, WorldImage], *, most: int) -> Iterator[Stage]:
    """The cast on the cluster at `address`: a worker a processor, at most `most`. Raises what any of them raises."""
    with connected(address) as ray:
        kind = ray.remote(scheduling_strategy="SPREAD")(Player)
        count = max(1, min(most, int(ray.cluster_resources().get("CPU", 1))))
        crew = _Crew(ray, lambda: kind.remote(cast, grader_hash()), count, images)
        try:
            agent, judge = crew.names()
            yield Stage(agent, judge, crew.play)
        finally:
            ray.wait([worker.close.remote() for worker in crew.workers], num_returns=count, timeout=_PARTING)


class Player:
    """A worker, an actor of Ray. grader: hash of what grades where the run was started."""

    def __init__(self, cast: Cast, grader: str) -> None:
        self._cast, self._grader = cast, grader
        self._images: dict[str, WorldImage] = {}
        self._opened = ExitStack()

    async def names(self) -> tuple[str, str]:
        """Of the agent, and the judge's pin."""
        return self._stage.agent, self._stage.judge

    async def play(self, task: Task, trial: int, world: tuple[Awaitable[WorldSpec]]) -> Trajectory:
        """world: fetched once."""
        if task.world not in self._images:
            spec = await world[0]
            if task.world not in self._images:  # another episode may have been first
                self._images[task.world] = compile_world(spec)
        return await self._stage.play_one(task, trial)

    async def close(self) -> None:
        self._opened.close()

    @cached_property
    def _stage(self) -> Stage:
        """Made when it is asked for: an error at a worker's making would not reach a person whole."""
        if grader_hash() != self._grader:
            raise UsageError("the cluster has another version of mocktrial", hint="install this one on each node")
        return self._opened.enter_context(staged(self._cast, self._images))


class _Crew:
    """The workers of a run. start: makes one; called again where one has died."""

    def __init__(self, ray: Any, start: Callable[[], Any], count: int, images: Mapping[str, WorldImage]) -> None:
        self.workers = [start() for _ in range(count)]
        self._ray, self._start, self._images = ray, start, images
        self._under_way = [0] * count
        self._worlds: dict[str, Any] = {}  # in the cluster's store

    def names(self) -> tuple[str, str]:
        """Of the agent, and the judge's pin; when all workers are there."""
        asked = [worker.names.remote() for worker in self.workers]
        names, *_ = [self._names(seat, called) for seat, called in enumerate(asked)]
        return names

    def _names(self, seat: int, called: Any, again: int = AGAIN) -> tuple[str, str]:
        try:
            with unwrapped(self._ray):
                names: tuple[str, str] = self._ray.get(called)
            return names
        except WorkerDied:
            if again == 0:
                raise
            self.workers[seat] = self._start()
            return self._names(seat, self.workers[seat].names.remote(), again - 1)

    async def play(self, task: Task, trial: int) -> Trajectory:
        """A `PlayOne`."""
        for _ in range(AGAIN):
            try:
                return await self._once(task, trial)
            except WorkerDied as error:
                _log.warning("%s, trial %d, is played again: %s", task.id, trial, error)
        return await self._once(task, trial)

    async def _once(self, task: Task, trial: int) -> Trajectory:
        """By the worker that has fewest episodes. Raises `WorkerDied` when another one stands in its place."""
        if task.world not in self._worlds:
            self._worlds[task.world] = self._ray.put(self._images[task.world].spec)
        seat = self._under_way.index(min(self._under_way))
        worker = self.workers[seat]
        called = worker.play.remote(task, trial, (self._worlds[task.world],))
        self._under_way[seat] += 1
        try:
            with unwrapped(self._ray):
                trajectory: Trajectory = await called
            return trajectory
        except asyncio.CancelledError:
            self._ray.cancel(called)
            raise
        except WorkerDied:
            if self.workers[seat] is worker:  # the first of its episodes to hear of it
                self._ray.kill(worker)
                self.workers[seat] = self._start()
            raise
        finally:
            self._under_way[seat] -= 1
