"""Many processes write to one ledger at once, and a server that dies under them: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import fcntl
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from sqlalchemy import Connection, inspect, text

from mocktrial.envs.runner import run
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError
from tests.support.ledger import CONFIG, begin, make_task, make_trajectory, play
from tests.support.postgres import Server

WRITERS = 16
COUNTS = pytest.mark.parametrize("count", [63, pytest.param(625, marks=pytest.mark.soak)])  # episodes of each


def write(place: Path | str, number: int, count: int, patience: float) -> None:
    """One process: its own run of tasks that all have. Exit code 2 where it gives up plainly."""
    tasks = [make_task(number) for number in range(count)]
    try:
        with Ledger.open(place, CONFIG, run=f"writer-{number}", patience=patience) as ledger:
            asyncio.run(run(tasks, 1, play, ledger, agent="cheap", concurrency=4))
    except UsageError as error:
        raise SystemExit(2 if "run the same command again" in error.hint else str(error)) from error


@contextmanager
def writing(place: Path | str, count: int, patience: float = 60) -> Iterator[list[BaseProcess]]:
    """All writers, until they end."""
    forked = multiprocessing.get_context("fork")
    writers = [forked.Process(target=write, args=(place, number, count, patience)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        yield list(writers)
    finally:
        for writer in writers:
            writer.join(600)


def whole(place: Path | str, count: int) -> None:
    """Every run has each of its tasks once, each episode its trajectory, and nothing is left over."""
    assert Ledger.runs(place) == sorted(f"writer-{number}" for number in range(WRITERS))
    with begin(place) as raw:
        found = [
            raw.scalar(text(query))
            for query in (
                "SELECT count(*) FROM task",
                "SELECT count(*) FROM (SELECT DISTINCT run_id, task_hash FROM episode WHERE outcome = 'scored') AS each",
                "SELECT count(*) FROM episode",
                "SELECT count(*) FROM trajectory",
            )
        ]
    assert found == [count, *[WRITERS * count] * 3]


@COUNTS
def test_sixteen_processes_write_at_once(place: Path | str, count: int) -> None:
    with writing(place, count) as writers:
        pass
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    whole(place, count)


def test_a_writer_waits_for_its_turn_however_long_another_takes(tmp_path: Path) -> None:
    """Not for SQLite's patience, which ended after a minute where each of many writers waited long for the disk."""
    place, task = tmp_path / "ledger.sqlite", make_task(0)
    with Ledger.open(place, CONFIG) as ledger, open(f"{place}.lock") as door:
        ledger.add_tasks([task])
        fcntl.flock(door, fcntl.LOCK_EX)
        writer = Thread(target=ledger.record, args=(make_trajectory(task),))
        writer.start()
        writer.join(0.3)
        assert ledger.episodes() == []
        fcntl.flock(door, fcntl.LOCK_UN)
        writer.join()
        assert len(ledger.episodes()) == 1


def recorded(place: str) -> int:
    with begin(place) as raw:
        made = inspect(raw).has_table("episode")
        return int(raw.scalar(text("SELECT count(*) FROM episode")) or 0) if made else 0


@pytest.mark.postgres
@COUNTS
@pytest.mark.parametrize("patience", [60, 0], ids=["waits", "gives-up"])
def test_a_server_that_is_killed_and_comes_back(postgres: Server, count: int, patience: float) -> None:
    """Writers that wait go on; those that do not say what to do, and the same command again does the rest."""
    place = postgres.empty()
    with writing(place, count, patience) as writers:
        while recorded(place) < WRITERS * count // 3:
            time.sleep(0.05)
        postgres.stop("immediate")
        time.sleep(0.5)
        postgres.start()
        before = recorded(place)
    assert WRITERS * count // 3 <= before < WRITERS * count
    codes = {writer.exitcode for writer in writers}
    assert codes == {0} if patience else 2 in codes <= {0, 2}  # 0: had written its last before the server died
    if not patience:
        with writing(place, count) as again:
            pass
        assert {writer.exitcode for writer in again} == {0}
    whole(place, count)


@pytest.mark.postgres
def test_a_commit_whose_answer_is_lost_is_not_made_twice(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place, task = postgres.empty(), make_task(0)
    commit, torn = psycopg.Connection.commit, []

    def torn_commit(connection: psycopg.Connection) -> None:
        commit(connection)
        if not torn:
            torn.append(connection)
            connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    with Ledger.open(place, CONFIG) as ledger:
        ledger.add_tasks([task])
        monkeypatch.setattr(psycopg.Connection, "commit", torn_commit)
        ledger.record(make_trajectory(task))
        assert len(torn) == 1
        assert [episode.success for episode in ledger.episodes()] == [True]
        with pytest.raises(UsageError, match="already recorded"):
            ledger.record(make_trajectory(task))


def test_two_players_may_add_the_same_tasks(place: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one does so after this one has looked which are known."""
    tasks = [make_task(number) for number in range(3)]
    with Ledger.open(place, CONFIG, run="a") as ledger, Ledger.open(place, CONFIG, run="b") as other:
        write = ledger._write
        monkeypatch.setattr(ledger, "_write", lambda work: (other.add_tasks(tasks), write(work)))
        ledger.add_tasks(tasks)
        assert len(ledger.tasks()) == 3


@pytest.mark.postgres
@pytest.mark.parametrize(("query", "value"), [("SELECT :value", "\0"), ("SELECT 1 / :value", 0), ("SELEKT :value", 0)])
def test_what_no_waiting_mends_is_tried_once(postgres: Server, query: str, value: object) -> None:
    tries = []

    def work(connection: Connection, again: bool) -> None:
        tries.append(again)
        connection.execute(text(query), {"value": value})

    with Ledger.open(postgres.empty(), CONFIG) as ledger, pytest.raises(UsageError, match="refused"):
        ledger._write(work)
    assert tries == [False]


@pytest.mark.postgres
def test_a_reader_goes_on_when_the_server_is_back(postgres: Server) -> None:
    place = postgres.empty()
    Ledger.open(place, CONFIG).close()
    with Ledger.read(place) as reader:
        assert reader.episodes() == []
        postgres.stop("immediate")
        postgres.start()
        assert reader.episodes() == []


@pytest.mark.postgres
def test_a_player_that_lost_its_lock_writes_no_more(postgres: Server) -> None:
    """Its connection was cut and another took the run: it is told so, and has written nothing meanwhile."""
    place, task = postgres.empty(), make_task(0)
    with Ledger.open(place, CONFIG) as ledger:
        ledger.add_tasks([task])
        with begin(place) as raw:
            raw.execute(text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"))
        with Ledger.open(place, CONFIG) as other:
            with pytest.raises(UsageError, match="another process is playing"):
                ledger.record(make_trajectory(task))
            assert other.episodes() == []
        ledger.record(make_trajectory(task))
        assert len(ledger.episodes()) == 1
