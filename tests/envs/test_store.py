"""The ledger: what is recorded stays, what is not changes nothing; on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import resource
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from mocktrial.envs.chat import Usage
from mocktrial.envs.fingerprint import config_hash
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeKey, from_line, to_line
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Event, Trajectory
from mocktrial.mocktools.errors import MissingExtra, UsageError
from tests.support.ledger import CONFIG, begin, make_task, make_trajectory

Place = Path | str
TASKS = [make_task(number) for number in range(6)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of what SQLite alone has."""
    return tmp_path / "run" / "ledger.sqlite"


def fill(ledger: Ledger, trajectories: list[Trajectory]) -> None:
    ledger.add_tasks(TASKS)
    for trajectory in trajectories:
        ledger.record(trajectory)


def small(task: Task) -> Trajectory:
    return make_trajectory(task, messages=(), events=(), writes=())


def failed(number: int) -> Trajectory:
    return make_trajectory(TASKS[number], outcome="no_result", end="no_result", reason="endpoint: dead", grade=None)


def test_a_trajectory_comes_back_as_it_was(place: Place) -> None:
    trajectory = make_trajectory(TASKS[0])
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [trajectory])
    with Ledger.read(place) as ledger:
        assert list(ledger.trajectories()) == [trajectory]
        assert ledger.tasks()[trajectory.task_hash] == TASKS[0]
        assert [*ledger.tasks([trajectory.task_hash]), *ledger.tasks(["none"])] == [trajectory.task_hash]
        key = EpisodeKey(TASKS[0].content_hash(), "cheap", 0, trajectory.seed, config_hash(CONFIG))
        assert set(ledger.done()) == {key}
        (record,) = ledger.episodes()
        assert (record.domain, record.success, record.turns, record.hidden) == ("clinic", True, 2, 1)


def test_text_that_utf8_cannot_carry_survives(place: Place, tmp_path: Path) -> None:
    odd = {"role": "assistant", "content": "lone \ud800 and NUL \x00 and é"}
    trajectory = make_trajectory(TASKS[0], messages=(odd,), reason="because \x00")
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [trajectory])
        assert list(ledger.trajectories()) == [trajectory]
        ledger.export_jsonl(tmp_path / "export.jsonl")
    assert from_line((tmp_path / "export.jsonl").read_text("ascii")) == trajectory


def test_a_key_is_recorded_once(place: Place) -> None:
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [make_trajectory(TASKS[0])])
        with pytest.raises(UsageError, match="already recorded: cheap on task-0000, trial 0"):
            ledger.record(make_trajectory(TASKS[0], success=False))
        assert [episode.success for episode in ledger.episodes()] == [True]
        for other in (make_trajectory(TASKS[0], 1), make_trajectory(TASKS[0], agent="other")):
            ledger.record(other)
        assert len(list(ledger.trajectories())) == 3


def test_no_result_is_owed_and_replaced(place: Place) -> None:
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [failed(0), failed(0)])
        assert ledger.done() == {}
        assert [(e.outcome, e.reward, e.success) for e in ledger.episodes()] == [("no_result", None, None)]
        ledger.record(make_trajectory(TASKS[0]))
        assert [t.outcome for t in ledger.trajectories()] == ["scored"]
        with begin(place) as raw:
            assert raw.scalar(text("SELECT count(*) FROM trajectory")) == 1


def test_a_reader_is_told_that_the_run_went_on(place: Place) -> None:
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [failed(0), failed(1)])
        first, _ = ledger.episodes()
        ledger.record(make_trajectory(TASKS[0]))
        with pytest.raises(UsageError, match="went on while it was read"):
            list(ledger.trajectories([first.id]))


def test_an_unknown_task_changes_nothing(place: Place) -> None:
    with Ledger.open(place, CONFIG) as ledger:
        with pytest.raises(UsageError, match=r"(?i)foreign key"):
            ledger.record(make_trajectory(TASKS[0]))
        assert ledger.done() == {}


def test_a_trajectory_that_cannot_be_written_leaves_no_result_behind(place: Place) -> None:
    """The second statement of the transaction fails: the first is undone with it."""
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [failed(0)])
        with begin(place) as raw:
            raw.execute(text("ALTER TABLE trajectory RENAME TO gone"))
        with pytest.raises(UsageError, match=r"refused: .*trajectory"):
            ledger.record(make_trajectory(TASKS[0]))
        with begin(place) as raw:
            raw.execute(text("ALTER TABLE gone RENAME TO trajectory"))
        assert [episode.outcome for episode in ledger.episodes()] == ["no_result"]
        assert len(list(ledger.trajectories())) == 1


def test_every_commit_is_synced(place: Place) -> None:
    ask, answer = ("PRAGMA synchronous", 2) if isinstance(place, Path) else ("SHOW synchronous_commit", "on")
    with Ledger.open(place, CONFIG) as ledger:
        assert ledger._write(lambda connection, again: connection.exec_driver_sql(ask).scalar()) == answer


PLAYED = {
    "tasks": "a1", "agent": "cheap", "trials": 2, "temperature": 0.5, "base_url": "", "user": "scripted", "user_seed": 0,
    "judge": "", "grader": "b2", "limits": {"turns": 24, "calls": 40},
}  # fmt: skip
CHANGES = [
    ({"tasks": "c3"}, 'tasks: "a1" -> "c3"'),
    ({"agent": "dear"}, 'agent: "cheap" -> "dear"'),
    ({"trials": "2"}, 'trials: 2 -> "2"'),
    ({"temperature": 0.6}, "temperature: 0.5 -> 0.6"),
    ({"base_url": "http://127.0.0.1:1"}, 'base_url: "" -> "http://127.0.0.1:1"'),
    ({"user": "openai:m"}, 'user: "scripted" -> "openai:m"'),
    ({"user_seed": 1}, "user_seed: 0 -> 1"),
    ({"grader": "d4"}, 'grader: "b2" -> "d4"'),
    ({"limits": {"turns": 25, "calls": 40}}, "limits.turns: 24 -> 25"),
    ({"limits": {"turns": 24}}, "limits.calls: 40 -> absent"),
    ({"new": [1, {}]}, "new.0: absent -> 1; new.1: absent -> {}"),
    ({"limits": {}}, "limits: absent -> {}; limits.calls: 40 -> absent; limits.turns: 24 -> absent"),
]


@pytest.mark.parametrize(("changed", "message"), CHANGES)
def test_a_changed_config_is_refused_and_shown(place: Place, changed: dict[str, object], message: str) -> None:
    """FAULTS 9: every one of the fields that a run records, and ones it does not know."""
    Ledger.open(place, PLAYED).close()
    with pytest.raises(UsageError) as caught:
        Ledger.open(place, {**PLAYED, **changed})
    assert f"({message})" in str(caught.value)
    Ledger.open(place, dict(reversed(PLAYED.items()))).close()  # the refusal kept neither lock nor change


def test_a_second_player_is_refused_and_readers_are_not(place: Place) -> None:
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [make_trajectory(TASKS[0])])
        with Ledger.read(place) as reader:
            assert len(reader.episodes()) == 1
            with pytest.raises(UsageError, match="opened for reading"):
                reader.record(make_trajectory(TASKS[1]))


def test_of_twenty_starts_at_once_one_plays(place: Place) -> None:
    """FAULTS 9. The others are refused; when the one has ended, the next may play."""

    def start(_: int) -> Ledger | str:
        try:
            return Ledger.open(place, CONFIG)
        except UsageError as refusal:
            return str(refusal)

    with ThreadPoolExecutor(20) as threads:
        started = list(threads.map(start, range(20)))
    (player,) = (one for one in started if isinstance(one, Ledger))
    refusals = [one for one in started if isinstance(one, str)]
    assert all("another process is playing" in one for one in refusals), refusals
    player.close()
    Ledger.open(place, CONFIG).close()


def test_runs_of_one_ledger_are_apart(place: Place) -> None:
    for run, success in (("before", False), ("after", True)):
        with Ledger.open(place, CONFIG, run=run) as ledger:
            fill(ledger, [make_trajectory(TASKS[0], success=success)])
    assert Ledger.runs(place) == ["after", "before"]
    with Ledger.read(place, run="before") as ledger:
        assert [episode.success for episode in ledger.episodes()] == [False]
    with pytest.raises(UsageError, match="no run 'main'"):
        Ledger.read(place)


def test_what_is_no_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no ledger at"):
        Ledger.read(tmp_path / "absent.sqlite")
    assert not (tmp_path / "absent.sqlite").exists()
    (tmp_path / "prose.sqlite").write_text("This is not a database. " * 99)
    with pytest.raises(UsageError, match="not a database"):
        Ledger.open(tmp_path / "prose.sqlite", CONFIG)
    with pytest.raises(UsageError, match="not a database URL"):
        Ledger.open("nonsense://", CONFIG)


def test_a_password_in_a_url_is_never_shown() -> None:
    with pytest.raises((UsageError, MissingExtra)) as caught:
        Ledger.open("postgresql+psycopg://me:hunter2@127.0.0.1:1/none", CONFIG)
    assert "hunter2" not in str(caught.value)


def test_the_export_does_not_know_the_order_of_completion(tmp_path: Path) -> None:
    trajectories = [make_trajectory(task, trial) for task in TASKS for trial in range(2)]
    exports = []
    for name, order in (("a", trajectories), ("b", trajectories[::-1])):
        with Ledger.open(tmp_path / name, CONFIG) as ledger:
            fill(ledger, order)
            assert ledger.export_jsonl(tmp_path / f"{name}.jsonl") == 12
        exports.append((tmp_path / f"{name}.jsonl").read_bytes())
    assert exports[0] == exports[1]
    assert [from_line(line) for line in exports[0].decode().splitlines()] == trajectories


def test_a_failed_export_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(tmp_path / "ledger", CONFIG) as ledger:
        fill(ledger, [make_trajectory(TASKS[0])])
        ledger.export_jsonl(tmp_path / "export.jsonl")
        before = (tmp_path / "export.jsonl").read_bytes()
        ledger.record(make_trajectory(TASKS[1]))

        def failing_fsync(_file: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", failing_fsync)
        with pytest.raises(UsageError, match="No space left"):
            ledger.export_jsonl(tmp_path / "export.jsonl")
        assert (tmp_path / "export.jsonl").read_bytes() == before
        assert not list(tmp_path.glob("*.part"))


def test_a_full_disk_stops_plainly_and_keeps_what_was_recorded(file: Path) -> None:
    """Growing files are refused from a size on, as on a full disk; lifted again, the rest goes in."""
    trajectories = [make_trajectory(task, trial) for task in TASKS for trial in range(20)]
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger.open(file, CONFIG) as ledger:
        ledger.add_tasks(TASKS)
        size = file.with_name(file.name + "-wal").stat().st_size
        kept = 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, limit[1]))
        try:
            for trajectory in trajectories:
                ledger.record(trajectory)
                kept += 1
        except UsageError as error:
            refusal = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        assert 0 < kept < len(trajectories)
        assert "refused: disk I/O error" in refusal
        assert len(ledger.done()) == kept
        for trajectory in trajectories[kept:]:
            ledger.record(trajectory)
        assert len(list(ledger.trajectories())) == len(trajectories)


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.soak)])
def test_a_torn_tail_is_dropped_and_owed_again(file: Path, tmp_path: Path, step: int) -> None:
    """FAULTS 7: the log of writes cut at every byte of its last record."""
    first, second = (small(task) for task in TASKS[:2])
    wal = file.with_name(file.name + "-wal")
    with Ledger.open(file, CONFIG) as ledger:
        fill(ledger, [first])
        start = wal.stat().st_size
        ledger.record(second)
        end = wal.stat().st_size
        written, database = wal.read_bytes(), file.read_bytes()
    torn = tmp_path / "torn" / file.name
    torn.parent.mkdir()

    def tear(cut: int) -> None:
        torn.write_bytes(database)
        (torn.parent / wal.name).write_bytes(written[:cut])
        (torn.parent / f"{file.name}-shm").unlink(missing_ok=True)

    for number, cut in enumerate(range(start, end, step)):
        tear(cut)
        with closing(sqlite3.connect(torn)) as raw:
            raw.execute("PRAGMA synchronous=OFF")  # of this reader's own clearing up
            assert raw.execute("SELECT body FROM trajectory").fetchall() == [(to_line(first),)]
        if number % 50 == 0:  # a commit waits for the disk
            tear(cut)
            with Ledger.open(torn, CONFIG) as copy:
                assert list(copy.trajectories()) == [first]
                copy.record(second)
                assert len(copy.done()) == 2


def test_events_keep_their_values(place: Place) -> None:
    event = Event(turn=0, kind="call", name="set", arguments={"n": 1, "x": 1.0, "deep": [{"a": None}]})
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [make_trajectory(TASKS[0], events=(event,))])
        (back,) = ledger.trajectories()
    assert back.events == (event,)
    assert isinstance(back.events[0].arguments["n"], int)


def test_an_older_ledger_is_read_and_gone_on_with(place: Place) -> None:
    """One made before episodes had a cost: read as it is, and given the column by the next player."""
    with Ledger.open(place, CONFIG) as ledger:
        fill(ledger, [make_trajectory(TASKS[0])])
    with begin(place) as raw:
        raw.execute(text("ALTER TABLE episode DROP COLUMN cost"))
        raw.execute(text("DROP TABLE alembic_version"))
    with Ledger.read(place) as ledger:
        assert [(episode.task_id, episode.cost) for episode in ledger.episodes()] == [("task-0000", None)]
    with Ledger.open(place, CONFIG) as ledger:
        ledger.record(make_trajectory(TASKS[1], usage=Usage(prompt_tokens=1, cost=0.25)))
        assert [episode.cost for episode in ledger.episodes()] == [None, 0.25]


def test_a_ledger_too_old_to_go_on_with_says_so(place: Place) -> None:
    Ledger.open(place, CONFIG).close()
    with begin(place) as raw:
        raw.execute(text("ALTER TABLE episode DROP COLUMN guess"))
        raw.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(UsageError, match=r"older than the column episode\.guess"):
        Ledger.open(place, CONFIG)
