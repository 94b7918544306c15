"""The runner: nothing lost, nothing doubled, no failure of ours counted against an agent."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mocktrial.envs.runner import Progress, run, trial_seed
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import MissingExtra, NoResult, UsageError
from tests.support.ledger import CONFIG, main, make_task, make_trajectory, play

TASKS = [make_task(number) for number in range(30)]


@pytest.fixture
def ledger(place: Path | str) -> Iterator[Ledger]:
    with Ledger.open(place, CONFIG) as ledger:
        yield ledger


async def test_every_trial_of_every_task_is_played_once(ledger: Ledger) -> None:
    seen: list[Progress] = []
    result = await run(TASKS, 2, play, ledger, agent="cheap", concurrency=7, on_progress=seen.append)
    assert (result.total, result.scored, result.no_result, result.done) == (60, 60, 0, 60)
    assert result.succeeded == sum(trial_seed(task, trial) % 3 > 0 for task in TASKS for trial in range(2))
    assert [progress.done for progress in seen] == list(range(61))
    again = await run(TASKS, 2, play, ledger, agent="cheap")
    assert (again.skipped, again.scored, again.succeeded) == (60, 0, result.succeeded)
    more = await run(TASKS, 3, play, ledger, agent="cheap")
    assert (more.skipped, more.scored) == (60, 30)


async def test_concurrency_is_a_ceiling_and_is_used(ledger: Ledger) -> None:
    running = most = 0

    async def count(task: Task, trial: int) -> Trajectory:
        nonlocal running, most
        running += 1
        most = max(most, running)
        trajectory = await play(task, trial)
        running -= 1
        return trajectory

    await run(TASKS, 1, count, ledger, agent="cheap", concurrency=5)
    assert most == 5


async def test_no_result_is_never_reward_and_is_owed_again(ledger: Ledger) -> None:
    async def half(task: Task, trial: int) -> Trajectory:
        if task.seed % 2:
            raise NoResult(f"status 503 from {task.id}", blame="endpoint")
        return await play(task, trial)

    first = await run(TASKS, 1, half, ledger, agent="cheap")
    assert (first.scored, first.no_result) == (15, 15)
    lost = [episode for episode in ledger.episodes() if episode.outcome == "no_result"]
    assert {(episode.reward, episode.success) for episode in lost} == {(None, None)}
    assert lost[0].reason == "endpoint: status 503 from task-0001"
    second = await run(TASKS, 1, play, ledger, agent="cheap")
    assert (second.skipped, second.scored) == (15, 15)
    assert [episode.outcome for episode in ledger.episodes()] == ["scored"] * 30


async def test_a_bug_is_ours_and_its_traceback_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    async def buggy(task: Task, trial: int) -> Trajectory:
        if task.seed == 3:
            return {}["the key"]
        if task.seed == 4:
            return make_trajectory(TASKS[0])
        return await play(task, trial)

    result = await run(TASKS, 1, buggy, ledger, agent="cheap", logs=tmp_path / "logs")
    assert (result.scored, result.no_result) == (28, 2)
    reasons = [episode.reason for episode in ledger.episodes() if episode.outcome == "no_result"]
    assert reasons[0] == "bug: KeyError: 'the key'"
    assert reasons[1].startswith("bug: ValueError: play_one returned another episode than task-0004")
    log = (tmp_path / "logs" / "bugs.log").read_text()
    assert "while cheap played task-0003, trial 0" in log
    assert "Traceback" in log
    assert "in buggy" in log


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_dead_endpoint_stops_the_run_and_resume_finishes(ledger: Ledger, concurrency: int) -> None:
    attempts = 0

    async def dead(task: Task, trial: int) -> Trajectory:
        nonlocal attempts
        attempts += 1
        if attempts <= 10:
            return make_trajectory(task, trial)
        await asyncio.sleep(0.001)
        raise NoResult(f"connection refused after {attempts}.2 s", blame="endpoint")

    result = await run(TASKS, 4, dead, ledger, agent="cheap", breaker=20, concurrency=concurrency)
    assert result.stopped.startswith("20 failures in a row: endpoint: connection refused")
    assert result.no_result < 20 + concurrency
    assert attempts < 10 + 20 + 2 * concurrency
    done = await run(TASKS, 4, play, ledger, agent="cheap")
    assert done.done == done.total == 120
    assert not done.stopped


async def test_different_failures_or_a_success_between_do_not_stop(ledger: Ledger) -> None:
    async def flaky(task: Task, trial: int) -> Trajectory:
        if task.seed % 5 == 0:
            return await play(task, trial)
        raise NoResult(("refused", "hung up")[task.seed % 2], blame="endpoint")

    result = await run(TASKS, 2, flaky, ledger, agent="cheap", breaker=3)
    assert not result.stopped
    assert result.done == 60


@pytest.mark.parametrize("error", [UsageError("no such model"), MissingExtra("no torch", hint="pip")])
async def test_wrong_usage_stops_at_once(ledger: Ledger, error: UsageError) -> None:
    async def wrong(task: Task, trial: int) -> Trajectory:
        raise error

    with pytest.raises(type(error), match=str(error)):
        await run(TASKS, 1, wrong, ledger, agent="cheap", concurrency=3)
    assert ledger.episodes() == []


@pytest.mark.parametrize("change", [{"id": "other"}, {"instruction": "Book another."}])
async def test_equal_tasks_are_refused(ledger: Ledger, change: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="task-0000"):
        await run([*TASKS, TASKS[0].model_copy(update=change)], 1, play, ledger, agent="cheap")


async def test_cancelling_keeps_what_was_recorded(ledger: Ledger) -> None:
    task = asyncio.create_task(run(TASKS, 4, play, ledger, agent="cheap", concurrency=4))
    while not ledger.done():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = len(ledger.done())
    assert 0 < kept < 120
    rest = await run(TASKS, 4, play, ledger, agent="cheap")
    assert (rest.skipped, rest.scored) == (kept, 120 - kept)


async def test_agents_that_never_wait_can_be_cancelled(ledger: Ledger) -> None:
    async def at_once(task: Task, trial: int) -> Trajectory:
        return make_trajectory(task, trial)

    task = asyncio.create_task(run(TASKS, 20, at_once, ledger, agent="cheap"))
    asyncio.get_running_loop().call_later(0.02, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(ledger.done()) < 600


async def test_an_error_does_not_wait_for_the_others(ledger: Ledger) -> None:
    async def slow_or_wrong(task: Task, trial: int) -> Trajectory:
        if task.seed == 3:
            raise UsageError("no such model")
        await asyncio.sleep(60)
        return make_trajectory(task, trial)

    async with asyncio.timeout(10):
        with pytest.raises(UsageError, match="no such model"):
            await run(TASKS, 1, slow_or_wrong, ledger, agent="cheap", concurrency=4)
    assert len(asyncio.all_tasks()) == 1


def start(place: Path | str, export: Path, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.ledger", str(place), str(export), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def wait_for(child: subprocess.Popen[str], done: int) -> None:
    """Until the child has said that `done` episodes are recorded (0: until the run is open)."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip().isdigit() and int(line) >= done:
            return


@pytest.mark.parametrize(
    ("kills", "count"), [(5, 100), pytest.param(50, 1000, marks=pytest.mark.soak)], ids=["few", "all"]
)
def test_kill_and_resume_export_the_same_bytes(place: Path | str, tmp_path: Path, kills: int, count: int) -> None:
    """FAULTS 6, in real processes: before the first, after the first, at random points, in the export."""
    export, whole = tmp_path / "export.jsonl", tmp_path / "whole.jsonl"
    main(tmp_path / "whole.sqlite", whole, count)
    rng = random.Random(6)
    points = sorted([0, 1, 2 * count, *(rng.randrange(1, 2 * count) for _ in range(kills - 3))])
    for point in points:
        child = start(place, export, count)
        wait_for(child, point)
        time.sleep(rng.random() / 200)
        child.send_signal(signal.SIGKILL)
        child.wait()
        with Ledger.read(place) as ledger:
            episodes = ledger.episodes()
            assert len(episodes) >= point  # nothing that was reported is lost
            assert len(episodes) == len({(episode.task_hash, episode.trial) for episode in episodes})
            assert len(list(ledger.trajectories())) == len(episodes)
    export.unlink(missing_ok=True)
    main(place, export, count)
    assert export.read_bytes() == whole.read_bytes()


def test_ctrl_c_ends_the_process_and_leaves_the_ledger_whole(place: Path | str, tmp_path: Path) -> None:
    child = start(place, tmp_path / "export.jsonl", 4000)
    wait_for(child, 20)
    with pytest.raises(UsageError, match="another process is playing"):
        Ledger.open(place, CONFIG)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=10) != 0
    with Ledger.open(place, CONFIG) as ledger:
        assert 20 <= len(ledger.done()) < 8000
        assert len(list(ledger.trajectories())) == len(ledger.done())
