"""A learner of several Ray workers, behind `learner.Learner`: each call goes to all of them, and all must answer.

One that dies or does not answer in time takes the others with it (`LearnerLost`): the run goes on from its last
checkpoint with new ones. What they raise themselves, such as `Diverged`, is raised here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from mocktrial.envs.cluster import deaths
from mocktrial.mocktools.errors import MocktrialError, NoResult
from mocktrial.training.cluster.ranks import Seat, joined
from mocktrial.training.cluster.sharded import ShardedEngine
from mocktrial.training.cluster.weight_files import publish
from mocktrial.training.config import TrainConfig
from mocktrial.training.data import Example
from mocktrial.training.journal import Metrics
from mocktrial.training.learner import LocalLearner
from mocktrial.training.run import device_of, load_policy


class LearnerLost(NoResult):
    """A process of the learner is gone."""

    def __init__(self, reason: str) -> None:
        hint = "the same command with --resume goes on from the last checkpoint"
        super().__init__(f"a process of the learner is gone: {reason}", blame="memory or the system", hint=hint)


class LearnerProcess:
    """One of the processes, made where Ray puts it."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._open = ExitStack()

    def address(self, host: str) -> str:
        """A free port of this machine, whose name `host` is for the others."""
        with socket.create_server((host, 0)) as door:
            return f"{host}:{door.getsockname()[1]}"

    def join(self, seat: Seat, timeout: float) -> None:
        config = self._config
        if device_of(config) == "cpu":
            torch.set_num_threads(1)  # Ray gives a worker one processor
        self._ranks = self._open.enter_context(joined(seat, device_of(config), timeout=timeout))
        self._loaded = load_policy(config)
        self._engine = ShardedEngine(self._loaded.model, config, self._ranks, keep_start=config.rl.kl_weight > 0.0)
        self._learner = LocalLearner(self._engine, config)

    def update(self, rows: Sequence[Example], step: int) -> Metrics:
        return self._learner.update(rows, step)

    def write(self, folder: Path, optimizer: bool) -> None:
        self._engine.write(folder, self._loaded.tokenizer, optimizer=optimizer)

    def read(self, folder: Path) -> None:
        self._engine.read(folder)

    def publish(self, folder: Path, version: int) -> None:
        learned = self._engine.learned()
        if self._ranks.leads:
            publish(folder, version, learned)


class RemoteLearner:
    """ray: the connected library. start: makes a worker with a `LearnerProcess`. timeout: seconds for one call.

    Folders are on a file system that the first worker shares with this process.
    """

    def __init__(self, ray: Any, start: Callable[[], Any], count: int, *, timeout: float) -> None:
        self._ray, self._timeout = ray, timeout
        self._workers = [start() for _ in range(count)]
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RemoteLearner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)

    def update(self, rows: Sequence[Example], step: int) -> Metrics:
        metrics: Metrics = self._all("update", self._ray.put(rows), step)[0]
        return metrics

    def write(self, folder: Path, tokenizer: Any = None, *, optimizer: bool = True) -> None:
        """The workers have a tokenizer of their own."""
        self._all("write", folder.absolute(), optimizer)

    def read(self, folder: Path) -> None:
        self._all("read", folder.absolute())

    def publish(self, folder: Path, version: int) -> None:
        self._all("publish", folder.absolute(), version)

    def _join(self) -> None:
        """The first worker's machine is where they meet; by loopback, where all are on it."""
        hosts = [self._one(worker.__ray_call__.remote(_host)) for worker in self._workers]
        host = "127.0.0.1" if len(set(hosts)) == 1 else hosts[0]
        address = self._one(self._workers[0].address.remote(host))
        seats = [Seat(rank, len(self._workers), address) for rank in range(len(self._workers))]
        self._outcomes([
            worker.join.remote(seat, self._timeout) for worker, seat in zip(self._workers, seats, strict=True)
        ])  # fmt: skip

    def _all(self, method: str, *given: Any) -> list[Any]:
        return self._outcomes([getattr(worker, method).remote(*given) for worker in self._workers])

    def _one(self, called: Any) -> Any:
        return self._outcomes([called])[0]

    def _outcomes(self, called: Sequence[Any]) -> list[Any]:
        """Of all; a dead worker counts before what its death made others raise."""
        errors, results = self._ray.exceptions, []
        raised: BaseException | None = None
        for one in called:
            try:
                results.append(self._ray.get(one, timeout=self._timeout))
            except (*deaths(self._ray), errors.GetTimeoutError) as error:
                raise LearnerLost(str(error).splitlines()[0]) from None
            except errors.RayTaskError as error:
                raised = raised or (error.cause if isinstance(error.cause, MocktrialError) else error)
        if raised is not None:
            raise raised
        return results


def _host(worker: LearnerProcess) -> str:
    import ray

    library: Any = ray  # typed in part only
    return str(library.util.get_node_ip_address())
