"""Two runs compared: differences paired by task, what flipped, and only where the runs are alike."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from mocktrial.agents.scripted import Expert, Guesser
from mocktrial.envs.episode import Limits
from mocktrial.envs.report import compare_runs, print_comparison
from mocktrial.envs.report.compare import RunComparison
from mocktrial.envs.store import Ledger
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from tests.support.ledger import make_task, make_trajectory
from tests.support.played import desk_tasks, play_run

TASKS = [make_task(number) for number in range(12)]
DESK = desk_tasks(12)


def stored(folder: Path, trajectories: list[Trajectory], played: list[Task] = TASKS, **config: object) -> Path:
    base = {"tasks": "t", "agent": "cheap", "limits": {"turns": 9}, "source": {"name": folder.name}}
    with Ledger.open(folder / "ledger.sqlite", {**base, **config}) as ledger:
        ledger.add_tasks(played)
        for trajectory in trajectories:
            ledger.record(trajectory)
    return folder


def terminal(found: RunComparison) -> str:
    out = io.StringIO()
    print_comparison(found, Console(file=out, width=120))
    return out.getvalue()


def test_an_expert_under_two_user_seeds_is_the_same(tmp_path: Path) -> None:
    """Show it, 6: other words of the user, no difference."""
    first = play_run(tmp_path / "first", Expert(), DESK, trials=2)
    second = play_run(tmp_path / "second", Expert(), DESK, trials=2, user_seed=5)
    with pytest.raises(UsageError, match=r"not alike \(user_seed: 0 -> 5\)"):
        compare_runs(first, second)
    found = compare_runs(first, second, differ=["user_seed"])
    assert (found.success.difference.value, found.told_apart, found.flips) == (0.0, False, ())
    assert found.success.test.p == 1.0
    with Ledger.read(first / "ledger.sqlite") as one, Ledger.read(second / "ledger.sqlite") as two:
        pairs = list(zip(one.trajectories(), two.trajectories(), strict=True))
    assert all(before.writes == after.writes for before, after in pairs)
    assert any(before.messages != after.messages for before, after in pairs)


def test_expert_and_guesser_differ_in_everything(tmp_path: Path) -> None:
    first = play_run(tmp_path / "expert", Expert(), DESK)
    second = play_run(tmp_path / "guesser", Guesser(), DESK)
    found = compare_runs(first, second)
    assert (found.success.difference.value, found.told_apart) == (-1.0, True)
    assert (found.success.test.worse, len(found.flips)) == (12, 12)
    assert found.success.test.p < 0.001
    assert found.differences["reward"].high < 0
    assert found.differences["turns"].high < 0
    text = terminal(found)
    for part in ("a difference, -100.0 [", "12 worse, p = 0.000488", "worse: desk-0 100% -> 0%", "user scripted"):
        assert part in text


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"tasks": "u"}, 'tasks: "t" -> "u"'),
        ({"limits": {"turns": 8}}, "limits.turns: 9 -> 8"),
        ({"grader": "g"}, 'grader: absent -> "g"'),
        ({"user": "openai:m"}, 'user: absent -> "openai:m"'),
        ({"judge": "m@1"}, 'judge: absent -> "m@1"'),
    ],
)
def test_unlike_runs_are_not_compared(tmp_path: Path, changed: dict[str, object], shown: str) -> None:
    first = stored(tmp_path / "a", [make_trajectory(task) for task in TASKS])
    second = stored(tmp_path / "b", [make_trajectory(task) for task in TASKS], **changed)
    with pytest.raises(UsageError) as caught:
        compare_runs(first, second)
    assert shown in str(caught.value)
    (key,) = changed
    assert f"--differ {key}" in (caught.value.hint or "")
    assert key in {name.partition(".")[0] for name in compare_runs(first, second, differ=[key]).differing}


def test_an_agent_and_where_it_runs_may_differ(tmp_path: Path) -> None:
    first = stored(tmp_path / "a", [make_trajectory(task) for task in TASKS])
    second = stored(tmp_path / "b", [make_trajectory(task) for task in TASKS], agent="x", temperature=0.7, base_url="u")
    assert set(compare_runs(first, second).differing) == {"agent", "temperature", "base_url"}


def test_a_key_that_no_run_has_is_refused(tmp_path: Path) -> None:
    first, second = (stored(tmp_path / name, [make_trajectory(task) for task in TASKS], trials=1) for name in "ab")
    with pytest.raises(UsageError, match=r"no run has a key 'trails'") as caught:
        compare_runs(first, second, differ=["trails"])
    assert "trials" in (caught.value.hint or "")
    compare_runs(first, second, differ=["trials"])


def test_tasks_of_one_run_only_are_left_out_and_counted(tmp_path: Path) -> None:
    lost = {"outcome": "no_result", "end": "no_result", "reason": "endpoint: dead", "grade": None}
    first = stored(tmp_path / "a", [make_trajectory(task, success=task.seed < 6) for task in TASKS[:10]])
    second = stored(tmp_path / "b", [make_trajectory(task, success=task.seed > 0) for task in TASKS[1:11]]
                    + [make_trajectory(TASKS[0], **lost)])  # fmt: skip
    found = compare_runs(first, second)
    assert (found.success.difference.tasks, found.alone) == (9, (1, 1))
    assert [(flip.task, flip.first, flip.second) for flip in found.flips] == [
        (f"task-{number:04}", 0.0, 1.0) for number in range(6, 10)
    ]
    assert "left out: 1 task and 1 task" in terminal(found)


def test_tasks_that_were_changed_are_paired_by_name_where_they_may_differ(tmp_path: Path) -> None:
    first = stored(tmp_path / "a", [make_trajectory(task, success=False) for task in TASKS])
    changed = [task.model_copy(update={"instruction": "Otherwise."}) for task in TASKS]
    second = stored(tmp_path / "b", [make_trajectory(task) for task in changed], changed, tasks="other")
    found = compare_runs(first, second, differ=["tasks"])
    assert (found.success.difference.value, found.success.difference.tasks, found.alone) == (1.0, 12, (0, 0))


def test_the_variance_is_split_over_the_users_seeds(tmp_path: Path) -> None:
    """Trial 0 of every other task depends on the user's words alone."""
    first = stored(tmp_path / "a", [make_trajectory(task, n) for task in TASKS for n in range(2)])
    second = stored(
        tmp_path / "b", [make_trajectory(task, n, success=n + task.seed % 2 > 0) for task in TASKS for n in range(2)],
        user_seed=1,
    )  # fmt: skip
    found = compare_runs(first, second, differ=["user_seed"])
    assert found.first.variance is not None
    assert found.first.variance.user is None
    assert found.variance is not None
    assert found.variance.shares["user seed"] > 0.5
    assert "over the users' seeds: task" in terminal(found)


def test_nothing_in_common_and_several_agents_are_refused(tmp_path: Path) -> None:
    first = stored(tmp_path / "a", [make_trajectory(TASKS[0])])
    with pytest.raises(UsageError, match="no task with a result in common"):
        compare_runs(first, stored(tmp_path / "b", [make_trajectory(TASKS[1])]))
    both = stored(tmp_path / "c", [make_trajectory(TASKS[0]), make_trajectory(TASKS[0], agent="other")])
    with pytest.raises(UsageError, match="has 2 agents"):
        compare_runs(first, both)


def test_limits_that_were_played_under_are_part_of_a_run(tmp_path: Path) -> None:
    folder = play_run(tmp_path / "run", Expert(), DESK[:2])
    with Ledger.read(folder / "ledger.sqlite") as ledger:
        assert ledger.config["limits"] == Limits().model_dump()
        assert len(ledger.config["grader"]) == 12
        assert ledger.config["user_seed"] == 0
