"""Runs episodes into a ledger: skips what is done, counts what failed, stops when nothing works.

`play_one(task, trial)` plays one episode; the runner knows nothing of agents or worlds. This module holds
mocktrial's one broad `except`: whatever escapes from `play_one` and is not `NoResult` is our bug. It is
recorded as `no_result` with blame "bug", its traceback goes to the log, and it never becomes a reward.
A run that is interrupted or killed is resumed by calling `run` again on the same ledger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from mocktrial.envs.breaker import Breaker
from mocktrial.envs.failures import Failure
from mocktrial.envs.seeds import derive
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeKey
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.observing.redaction import RedactingFormatter
from mocktrial.mocktools.spec import Frozen

PlayOne: TypeAlias = Callable[[Task, int], Awaitable[Trajectory]]
_log = logging.getLogger(__name__)


class Progress(Frozen):
    """Where a run stands. `total` counts all trials of all tasks, those of earlier sessions included."""

    total: int
    skipped: int = 0  # had a result already
    scored: int = 0  # in this session; masked ones included
    succeeded: int = 0  # of those that have a result
    no_result: int = 0  # in this session; owed again on resume
    stopped: str = ""  # why the run gave up early, or empty

    @property
    def done(self) -> int:
        return self.skipped + self.scored + self.no_result

    @property
    def owed(self) -> int:
        return self.total - self.skipped - self.scored


def trial_seed(task: Task, trial: int) -> int:
    """The seed of a trial, as `Episode` derives it."""
    return derive(task.seed, "trial", trial)


async def run(
    tasks: Sequence[Task],
    trials: int,
    play_one: PlayOne,
    ledger: Ledger,
    *,
    agent: str,
    concurrency: int = 1,
    breaker: int = 20,
    deadline: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    logs: Path | None = None,
) -> Progress:
    """Play every owed trial of every task as `agent`, `concurrency` at a time.

    breaker: give up after this many equal failures in a row, since the endpoint is then dead (FAULTS 3);
        `stopped` of the result says so. Digits are ignored when failures are compared.
    deadline: seconds of wall time that an episode may take; then it has no result. None: no bound.
    logs: folder for `bugs.log`, where the tracebacks of bugs go.
    Raises `UsageError` when two tasks are the same or the ledger cannot be written. Cancelling (Ctrl-C)
    loses only the episodes in flight.
    """
    hashes = _distinct(tasks)
    ledger.add_tasks(tasks)
    done = ledger.done()
    planned = [(task, trial) for task in tasks for trial in range(trials)]
    keys = {
        (task.id, trial): EpisodeKey(hashes[task.id], agent, trial, trial_seed(task, trial), ledger.config_hash)
        for task, trial in planned
    }
    owed = [(task, trial) for task, trial in planned if keys[task.id, trial] not in done]
    session = _Session(ledger, agent, hashes, breaker, deadline, on_progress)
    succeeded = sum(done.get(key, False) for key in keys.values())
    session.progress = Progress(total=len(planned), skipped=len(planned) - len(owed), succeeded=succeeded)
    on_progress(session.progress)
    with _logging_to(logs):
        _log.info("run begins", extra={"run": ledger.run, "agent": agent, **session.progress.model_dump()})
        await session.play(owed, play_one, concurrency)
        _log.info("run ends", extra={"run": ledger.run, "agent": agent, **session.progress.model_dump()})
    return session.progress


class _Stop(Exception):
    """The breaker tripped: ends the other workers."""


class _Session:
    def __init__(
        self,
        ledger: Ledger,
        agent: str,
        hashes: dict[str, str],
        breaker: int,
        deadline: float | None,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.progress = Progress(total=0)
        self._ledger, self._agent, self._hashes = ledger, agent, hashes
        self._breaker, self._deadline, self._on_progress = Breaker(breaker), deadline, on_progress

    async def play(self, owed: Iterable[tuple[Task, int]], play_one: PlayOne, concurrency: int) -> None:
        """Workers draw from one iterator; the first error of any of them ends all."""
        queue = iter(owed)
        workers = [asyncio.create_task(self._work(queue, play_one)) for _ in range(max(1, concurrency))]
        try:
            await asyncio.gather(*workers)
        except _Stop:
            pass  # `progress.stopped` says why
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, queue: Iterator[tuple[Task, int]], play_one: PlayOne) -> None:
        for task, trial in queue:
            start = time.monotonic()
            trajectory = await self._attempt(task, trial, play_one)
            if self.progress.stopped:
                return  # by another worker: this episode is owed
            seconds = time.monotonic() - start
            self._ledger.record(trajectory, seconds=seconds)
            _log.info("episode", extra=_line(trajectory, self._ledger.run, seconds))
            self._count(trajectory)
            await asyncio.sleep(0)  # agents that never wait would keep Ctrl-C from being heard

    async def _attempt(self, task: Task, trial: int, play_one: PlayOne) -> Trajectory:
        """The boundary: an episode's trajectory, or one that says why there is none."""
        try:
            trajectory = await self._in_time(play_one(task, trial))
            if not self._belongs(trajectory, task, trial):
                raise ValueError(f"play_one returned another episode than {task.id}, trial {trial}")
            return trajectory
        except NoResult as error:
            reason = error.reason
        except UsageError:
            raise  # the person at the terminal can fix it, for every episode alike
        except Exception as error:  # noqa: BLE001  the named boundary of this package
            _log.exception("bug while %s played %s, trial %d", self._agent, task.id, trial)
            reason = f"bug: {type(error).__name__}: {error}"
        return Trajectory(
            task_id=task.id,
            task_hash=self._hashes[task.id],
            world_hash=task.world_hash,
            agent=self._agent,
            seed=trial_seed(task, trial),
            trial=trial,
            outcome="no_result",
            end="no_result",
            reason=reason,
        )

    async def _in_time(self, playing: Awaitable[Trajectory]) -> Trajectory:
        try:
            async with asyncio.timeout(self._deadline) as bound:
                return await playing
        except TimeoutError:
            if not bound.expired():
                raise  # somebody else's
            message = f"the episode was not over after {self._deadline:g} s"
            raise NoResult(message, blame="endpoint", kind=Failure.DEADLINE) from None

    def _belongs(self, trajectory: Trajectory, task: Task, trial: int) -> bool:
        got = (trajectory.task_hash, trajectory.agent, trajectory.trial, trajectory.seed)
        return got == (self._hashes[task.id], self._agent, trial, trial_seed(task, trial))

    def _count(self, trajectory: Trajectory) -> None:
        """Move the counters on; raises `_Stop` when the breaker trips."""
        now = self.progress
        if trajectory.outcome == "no_result":
            self._breaker.failed(trajectory.reason)
            update: dict[str, int | str] = {"no_result": now.no_result + 1, "stopped": self._breaker.stopped}
        else:
            self._breaker.succeeded()
            succeeded = trajectory.grade is not None and trajectory.grade.success
            update = {"scored": now.scored + 1, "succeeded": now.succeeded + succeeded}
        self.progress = now.model_copy(update=update)
        self._on_progress(self.progress)
        if self.progress.stopped:
            raise _Stop


def _line(trajectory: Trajectory, run: str, seconds: float) -> dict[str, object]:
    """What the log has of an episode: nothing that was said in it."""
    fields = trajectory.model_dump(include={"agent", "trial", "outcome", "end", "reason"})
    reward = trajectory.grade.reward if trajectory.grade else None
    return {**fields, "run": run, "task": trajectory.task_id, "reward": reward, "seconds": round(seconds, 3)}


def _distinct(tasks: Sequence[Task]) -> dict[str, str]:
    """Content hash by task id. Raises `UsageError` when an id or a content comes twice."""
    hashes: dict[str, str] = {}
    owner: dict[str, str] = {}
    for task in tasks:
        content = task.content_hash()
        if task.id in hashes:
            raise UsageError(f"two tasks have the id {task.id}", hint="mocktrial validate lists duplicates")
        if content in owner:
            raise UsageError(
                f"tasks {owner[content]} and {task.id} are the same but for their id",
                hint="mocktrial validate lists duplicates",
            )
        hashes[task.id], owner[content] = content, task.id
    return hashes


@contextmanager
def _logging_to(folder: Path | None) -> Iterator[None]:
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "bugs.log", delay=True, encoding="utf-8", errors="backslashreplace")
    handler.setLevel(logging.ERROR)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(message)s"))
    _log.addHandler(handler)
    try:
        yield
    finally:
        _log.removeHandler(handler)
        handler.close()
