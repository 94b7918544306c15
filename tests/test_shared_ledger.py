"""Runs in a shared ledger on a real PostgreSQL, by the command line; and where its password does not go (FAULTS 22)."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from starlette.testclient import TestClient

from mocktrial.envs.store import Ledger
from mocktrial.envs.viewer.app import viewer_app
from mocktrial.envs.viewer.shelf import Shelf
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.gate import Gate
from tests.support.command import Run, with_small_dataset
from tests.support.ledger import make_task, make_trajectory
from tests.support.postgres import Server

PLANTED = "hunter2-of-the-ledger"
pytestmark = pytest.mark.postgres


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `mocktrial ARGS` in a folder with a small dataset."""
    return with_small_dataset(monkeypatch, capsys, tmp_path)


def played(cli: Run, address: str, name: str, agent: str) -> tuple[int, str, str]:
    return cli("run", "datasets/small", "--agent", agent, "--name", name, "--ledger", address, "--json")


def test_every_verb_takes_a_run_of_a_shared_ledger(cli: Run, postgres: Server) -> None:
    address = postgres.empty()
    code, out, _ = played(cli, address, "a", "expert")
    assert (code, json.loads(out)["success"]) == (0, 1.0)
    one, two = json.loads(out)["run"], json.loads(played(cli, address, "b", "guesser")[1])["run"]
    assert not list(Path("runs").rglob("*.sqlite*"))
    report = json.loads(cli("report", one, two, "--json")[1])
    assert [agent["episodes"] for agent in report["agents"]] == [6, 6]
    assert len(json.loads(cli("compare", one, two, "--json")[1])["flips"]) == 6
    assert json.loads(cli("replay", one, "all", "--json")[1])["different"] == 0
    assert json.loads(cli("export", one, "--to", "openai", "--json")[1])["folder"] == "runs/a/exports/openai"
    again = json.loads(cli("regrade", one, "--json")[1])
    assert (again["changed"], Path(again["run"]).name.partition("#")[2]) == (0, "a.regraded")
    assert Ledger.runs(address) == ["a", "a.regraded", "b"]
    code, _, err = cli("regrade", one)
    assert (code, "exists already" in err) == (2, True)


def test_a_run_is_resumed_and_a_changed_one_refused(cli: Run, postgres: Server) -> None:
    address = postgres.empty()
    assert played(cli, address, "a", "expert")[0] == 0
    code, out, _ = played(cli, address, "a", "expert")
    assert (code, json.loads(out)["episodes"]) == (0, 6)
    code, _, err = cli(
        "run", "datasets/small", "--agent", "expert", "--name", "a", "--ledger", address, "--trials", "2"
    )
    assert (code, "trials: 1 -> 2" in err) == (2, True)


def test_a_regrade_that_fails_leaves_nothing(cli: Run, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    address = postgres.empty()
    one = json.loads(played(cli, address, "a", "expert")[1])["run"]

    async def broken(*_: object) -> None:
        raise UsageError("a rubric that nobody can read")

    monkeypatch.setattr("mocktrial.envs.regrade.regrade", broken)
    assert cli("regrade", one)[0] == 2
    assert Ledger.runs(address) == ["a"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql+psycopg://me@127.0.0.1:1/none#a", "Connection refused"),
        ("postgresql+psycopg://me@127.0.0.1:1/none", "names a ledger, not a run"),
        ("mysql://me@127.0.0.1/none#a", "ledgers are not kept in mysql"),
    ],
)
def test_what_is_no_run_is_one_line(cli: Run, address: str, said: str) -> None:
    code, _, err = cli("report", address)
    assert (code, err.count("\n"), said in err) == (2, 1, True)


def test_a_database_without_runs_and_a_run_that_is_not_there(cli: Run, postgres: Server) -> None:
    address = postgres.empty()
    assert "no ledger at" in cli("report", f"{address}#a")[2]
    played(cli, address, "a", "expert")
    assert "has no run 'b'; it has a" in cli("report", f"{address}#b")[2]


def test_the_viewer_shows_the_runs_of_a_ledger_as_they_grow(cli: Run, postgres: Server) -> None:
    address = postgres.empty()
    played(cli, address, "a", "expert")
    shelf = Shelf(address, Path("datasets"), Path("checkpoints"))
    with TestClient(viewer_app(shelf, Gate.at("127.0.0.1")), base_url="http://127.0.0.1") as pages:
        assert "expert" in pages.get("/").text
        number = shelf.run("a").rows[0].id
        assert pages.get(f"/episode?run=a&id={number}").status_code == 200
        assert pages.get("/run?name=b").status_code == 404
        played(cli, address, "b", "guesser")
        assert "guesser" in pages.get("/").text
    with Ledger.open(address, shelf.run("a").config, run="a") as ledger:
        ledger.add_tasks([make_task(0)])
        ledger.record(make_trajectory(make_task(0)))
    assert len(shelf.run("a").rows) == 7


@pytest.mark.parametrize("place", ["user", "query", "environment"])
def test_a_password_is_used_and_told_nobody(
    cli: Run, postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    address = postgres.empty()
    given = {
        "user": address.replace("keeper@", f"keeper:{PLANTED}@"),
        "query": f"{address}&password={PLANTED}",
        "environment": address,
    }[place]
    if place == "environment":
        monkeypatch.setenv("PGPASSWORD", PLANTED)
    said = [played(cli, given, "a", "expert"), cli("report", f"{given}#a"), cli("regrade", f"{given}#a")]
    said += [
        cli("report", f"{given}#none"),
        cli("report", given),
        cli("report", given.replace("/ledger", "/none") + "#a"),
    ]
    assert [code for code, _, _ in said] == [0, 0, 0, 2, 2, 2]
    assert PLANTED not in json.dumps(said)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if PLANTED.encode() in path.read_bytes()]
    with psycopg.connect(f"host={postgres.folder} user=keeper dbname=ledger") as connection:
        for table in ("run", "task", "episode", "trajectory"):
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            assert rows
            assert PLANTED not in repr(rows)
