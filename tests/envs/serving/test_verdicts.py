"""Verdicts on served episodes in a run: each trial's once, read by everything that reads runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mocktrial.envs.serving.sessions import Sessions
from mocktrial.envs.serving.verdicts import Verdicts
from mocktrial.envs.store import Ledger
from tests.support.command import with_small_dataset
from tests.support.desk import desk_image, desk_task
from tests.support.doors import CONTROL, Hosted, hosted

START = [sys.executable, "-c", "from mocktrial.cli import main; main()"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", {"agent": "theirs"}) as opened:
        yield opened


def kept(ledger: Ledger, trials: int = 1) -> Sessions:
    verdicts = Verdicts(ledger, [desk_task()], agent="theirs", trials=trials)
    return Sessions([desk_task()], {"desk": desk_image()}, verdicts=verdicts)


def outcomes(ledger: Ledger) -> list[tuple[str, int, str, bool | None]]:
    return [(one.agent, one.trial, one.outcome, one.success) for one in ledger.episodes()]


def refused(one: Hosted, **start: Any) -> str:
    answer = one.control.post("/episodes", json={"task": "desk-1"} | start)
    assert answer.status_code == 409
    return str(answer.json()["error"])


def test_the_first_verdict_of_a_trial_is_kept(ledger: Ledger) -> None:
    with hosted(kept(ledger, trials=2)) as one:
        key, beside = one.key(), one.key()
        assert one.of(key, "verify")["success"] is False
        one.of(key, "reset")
        one.of(key, "verify")
        one.of(beside, "verify")
        assert outcomes(ledger) == [("theirs", 0, "scored", False)]
        assert refused(one) == "desk-1, trial 0 has its result in the run"
        one.of(one.key(trial=1), "verify")
        assert [trial for _, trial, *_ in outcomes(ledger)] == [0, 1]
        assert refused(one, trial=2) == "there is no trial 2: the run has 2 of each task"


def test_what_a_branch_comes_to_is_not_kept(ledger: Ledger) -> None:
    with hosted(kept(ledger)) as one:
        key = one.key()
        frozen = one.of(key, "snapshot")["snapshot"]
        branch = str(one.open(task=None, snapshot=frozen)["episode"])
        one.of(branch, "verify")
        assert outcomes(ledger) == []
        one.of(key, "verify")
        assert len(outcomes(ledger)) == 1


def test_another_user_seed_is_another_run(ledger: Ledger) -> None:
    with hosted(kept(ledger)) as one:
        assert refused(one, user_seed=1) == "the episodes of this run have user_seed 0"


def test_a_run_is_gone_on_with(ledger: Ledger) -> None:
    with hosted(kept(ledger)) as one:
        one.of(one.key(), "verify")
    with hosted(kept(ledger, trials=2)) as one:
        refused(one)
        one.key(trial=1)


def test_a_run_of_the_server_compares_with_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = with_small_dataset(monkeypatch, capsys, tmp_path)
    assert run("run", "datasets/small", "--agent", "null")[0] == 0
    serve = [*START, "serve", "dataset", "datasets/small", "--port", "0", "--control-token", "control"]
    with subprocess.Popen(
        [*serve, "--run", "theirs", "--agent", "theirs"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            port = re.search(r"port (\d+)", process.stdout.readline())
            assert port
            with httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", headers=CONTROL) as control:
                for task in control.get("/tasks").json()["tasks"]:
                    key = control.post("/episodes", json={"task": task}).json()["episode"]
                    control.post(f"/episodes/{key}/verify").raise_for_status()
        finally:
            process.terminate()
    code, out, err = run("compare", "runs/small-null", "runs/theirs", "--json")
    assert code == 0, err
    second = json.loads(out)["second"]
    assert (second["agent"], second["tasks"], second["no_result"]) == ("theirs", 6, 0)
