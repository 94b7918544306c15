"""`compare`, `regrade`, `replay`, `play` on the command line."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Run, with_small_dataset


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `mocktrial ARGS` in a folder with a small dataset: exit code, stdout, stderr."""
    return with_small_dataset(monkeypatch, capsys, tmp_path)


def rewrite(change: Callable[[dict[str, Any]], None], name: str = "small") -> None:
    path = Path("datasets") / name / "tasks.jsonl"
    tasks = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for task in tasks:
        change(task)
    path.write_text("".join(json.dumps(task) + "\n" for task in tasks), "utf-8")


def test_a_run_with_itself_under_two_user_seeds_and_with_the_guesser(cli: Run) -> None:
    for name, agent, seed in (("a", "expert", "0"), ("b", "expert", "9"), ("c", "guesser", "0")):
        cli("run", "datasets/small", "--name", name, "--agent", agent, "--user-seed", seed)
    code, _, err = cli("compare", "runs/a", "runs/b")
    assert code == 2
    assert "user_seed: 0 -> 9" in err
    code, out, _ = cli("compare", "runs/a", "runs/b", "--differ", "user_seed", "--json")
    same = json.loads(out)
    assert (code, same["told_apart"], same["flips"], same["success"]["test"]["p"]) == (0, False, [], 1.0)
    apart = json.loads(cli("compare", "runs/a", "runs/c", "--json")[1])
    assert (apart["told_apart"], apart["success"]["difference"]["value"], len(apart["flips"])) == (True, -1.0, 6)
    assert "6 worse" in cli("compare", "runs/a", "runs/c")[1]


def test_replaying_a_run_finds_what_was_changed_in_it(cli: Run) -> None:
    cli("run", "datasets/small", "--agent", "expert", "--name", "a")
    code, out, _ = cli("replay", "runs/a", "all", "--json")
    assert (code, json.loads(out)["different"], json.loads(out)["episodes"]) == (0, 0, 6)
    number = json.loads(out)["replays"][0]["episode"]
    assert "opening: " in cli("replay", "runs/a", str(number))[1]
    rewrite(lambda task: task.update(rubric={"subgoals": []}))  # of no matter to a replay
    assert cli("replay", "runs/a", "all")[0] == 0
    with sqlite3.connect("runs/a/ledger.sqlite") as raw:
        raw.execute("""UPDATE trajectory SET body = replace(body, '"role":"tool"', '"role":"tool","forged":1')""")
    code, out, _ = cli("replay", "runs/a", "all")
    assert code == 1
    assert "turn" in out
    code, _, err = cli("replay", "runs/a", "nobody")
    assert code == 2
    assert "no episode 'nobody'" in err
    task = json.loads(Path("datasets/small/tasks.jsonl").read_text("utf-8").splitlines()[0])["id"]
    assert f"numbers go from 1 to 6; for example 1, {task} or {task}/0; or all" in err


def test_regrading_writes_a_run_beside_the_old_one(cli: Run) -> None:
    cli("run", "datasets/small", "--agent", "expert", "--name", "a")
    same = json.loads(cli("regrade", "runs/a", "--name", "same", "--json")[1])
    assert (same["episodes"], same["changed"], same["success_after"]) == (6, 0, 1.0)
    out = cli("regrade", "runs/a", "--name", "again")[1]
    assert "changed: nothing" in out
    assert "fingerprints" not in out
    rewrite(lambda task: task["rubric"]["interactions"].append({"kind": "tell", "id": "greets", "any_of": ["moin"]}))
    code, out, _ = cli("regrade", "runs/a", "--json")
    found = json.loads(out)
    assert (code, found["changed"], found["success_before"], found["success_after"]) == (0, 6, 1.0, 0.0)
    assert found["fingerprints"]["before"] != found["fingerprints"]["after"]
    assert found["changes"][0]["criteria"] == ["greets: absent -> no"]
    assert cli("regrade", "runs/a")[0] == 2
    assert json.loads(cli("replay", "runs/a.regraded", "all", "--json")[1])["different"] == 0


def test_a_run_that_cannot_be_regraded_leaves_nothing_behind(cli: Run) -> None:
    cli("run", "datasets/small", "--agent", "expert", "--name", "a")
    rewrite(lambda task: task.update(instruction="Do it."))
    code, _, err = cli("regrade", "runs/a", "--tasks", "datasets/small/tasks.jsonl")
    assert code == 2
    assert "it differs in instruction" in err
    assert sorted(path.name for path in Path("runs").iterdir()) == ["a"]


def test_a_person_plays_at_a_terminal(cli: Run, tmp_path: Path) -> None:
    """A real terminal: typed lines, prompts, and the grade at the end."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "mocktrial.cli", "play", "datasets/small"]
    child = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, cwd=tmp_path)
    os.close(follower)
    os.write(leader, b"/help\nWhat is it about?\nfinish Nothing to do.\n")
    seen = b""
    while b"asking:" not in seen:
        seen += os.read(leader, 4096)
    assert child.wait(timeout=20) == 0
    os.close(leader)
    text = seen.decode()
    assert re.search(r"reward 0\.\d\d: not all as it should be", text)
    assert "agent> " in text


def test_lines_from_a_pipe_play_too(cli: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mocktrial.cli", "play", "datasets/small", "--as", "user"]
    done = subprocess.run(command, input="hm\n", capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0
    assert "What you want: " in done.stdout
    assert "not all as it should be" in done.stdout
    code, _, err = cli("play", "datasets/small", "--task", "nobody")
    assert code == 2
    assert "no task 'nobody'" in err


@pytest.mark.parametrize(
    "arguments", [("play", "datasets/small", "--base-url", "http://127.0.0.1:9/v1"), ("view", "--port", "99999")]
)
def test_what_cannot_be_meant_is_refused(cli: Run, arguments: tuple[str, ...]) -> None:
    code, _, err = cli(*arguments)
    assert code == 2
    assert re.search("does nothing here|65535", err)


@pytest.mark.parametrize("verb", ["compare", "regrade", "replay", "play"])
def test_help_has_an_example(cli: Run, verb: str) -> None:
    assert f"Example: mocktrial {verb}" in cli(verb, "--help")[1]
