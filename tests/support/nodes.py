"""A Ray cluster of two nodes on this machine, one processor each: its workers and its second node can be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_QUICK = {"health_check_period_ms": 1000, "health_check_failure_threshold": 5, "health_check_initial_delay_ms": 0}


class Nodes:
    """The head, where a driver joins, and a second node, which `lose` kills with all that runs there."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        cluster.add_node(include_dashboard=False, _system_config=_QUICK)
        self.second = cluster.add_node()
        self.address: str = cluster.address

    def lose(self) -> None:
        """kill -9."""
        if self.second is not None:
            self._cluster.remove_node(self.second, allow_graceful=False)
            self.second = None


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # as `connected` does, for the nodes
    ray = Path(sys.executable).with_name("ray")
    subprocess.run([ray, "get-auth-token", "--generate"], check=True, capture_output=True)
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster()
    try:
        yield Nodes(cluster)
    finally:
        cluster.shutdown()


def kill_one(kind: str) -> None:
    """kill -9 the first worker of Ray that is at work as `kind`."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if process.joinpath("cmdline").read_bytes().startswith(f"ray::{kind}".encode()):
                    os.kill(int(process.name), signal.SIGKILL)
                    return
            except OSError:
                continue
        time.sleep(0.02)
