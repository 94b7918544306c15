"""`run` on the command line: its name, what it says of itself, what it refuses, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mocktrial import __version__
from mocktrial.agents.retry import Retry
from mocktrial.commands.played import ledger_of
from mocktrial.envs.episode import Limits
from mocktrial.envs.fingerprint import differences
from mocktrial.envs.places import RunPlace
from mocktrial.envs.report.compare import MAY_DIFFER
from mocktrial.envs.store import Ledger
from mocktrial.synth.sources import open_source
from tests.support.command import Run, with_small_dataset

RUN = ("run", "datasets/small", "--agent")
START = [sys.executable, "-m", "mocktrial.cli"]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `mocktrial ARGS` in a folder with a small dataset: exit code, stdout, stderr."""
    return with_small_dataset(monkeypatch, capsys, tmp_path)


@dataclass(frozen=True)
class Hasty(Retry):
    attempts: int = 1


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an endpoint where nobody listens, which is asked once a call."""
    monkeypatch.setattr("mocktrial.agents.retry.Retry", Hasty)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def test_every_split_is_a_run_of_its_own(cli: Run) -> None:
    splits = {json.loads(line)["split"] for line in Path("datasets/small/tasks.jsonl").read_text("utf-8").splitlines()}
    for split in splits:
        assert cli(*RUN, "expert", "--split", split)[0] == 0
    assert cli(*RUN, "expert")[0] == 0
    names = {path.name for path in Path("runs").iterdir()}
    assert names == {"small-expert", *(f"small-{split}-expert" for split in splits)}


def test_what_is_in_the_ledger_counts_in_the_progress(cli: Run) -> None:
    cli(*RUN, "expert")
    assert "6/6 6 succeeded" in cli(*RUN, "expert")[2]


def test_a_changed_config_names_the_run(cli: Run) -> None:
    cli(*RUN, "expert")
    code, _, err = cli(*RUN, "expert", "--trials", "2")
    assert (code, "run runs/small-expert was started with another config" in err) == (2, True)


def test_an_episode_has_as_many_turns_as_the_run_gives_it(cli: Run) -> None:
    cli(*RUN, "expert", "--turns", "1", "--name", "short")
    cli(*RUN, "expert")
    with Ledger.read(Path("runs/short/ledger.sqlite")) as ledger:
        assert {one.end for one in ledger.trajectories()} == {"turn_limit"}
        assert ledger.config["limits"] == Limits(turns=1).model_dump()
    with Ledger.read(Path("runs/small-expert/ledger.sqlite")) as ledger:
        assert ledger.config["limits"] == Limits().model_dump()
    code, _, err = cli("compare", "runs/short", "runs/small-expert")
    assert (code, "limits" in err) == (2, True)


@pytest.mark.parametrize("place", ["taken", "taken/deeper", "/proc/nowhere"])
def test_where_nothing_can_be_written_is_one_line(cli: Run, place: str) -> None:
    Path("taken").write_text("a file", "utf-8")
    code, out, err = cli(*RUN, "expert", "--out", place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(rf"cannot write {place}.*: (Not a directory|No such file)", err)


def test_a_ledger_whose_lock_cannot_be_made_is_one_line(cli: Run) -> None:
    Path("runs/small-expert/ledger.sqlite.main.lock").mkdir(parents=True)
    code, _, err = cli(*RUN, "expert")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot write runs/small-expert/ledger.sqlite.main.lock: Is a directory" in err


def test_a_run_without_any_result_says_why_and_fails(cli: Run, dead: str) -> None:
    code, out, err = cli(*RUN, "openai:x", "--base-url", dead)
    assert code == 1
    assert "success: none" in out
    (line,) = (line for line in err.splitlines() if line.startswith("mocktrial:"))
    assert re.search(
        rf"no result for 6 of 6 episodes, most often \(6\) endpoint: {dead}: connection failed.*; start the endpoint, then run the same command",
        line,
    )


def test_a_dead_endpoint_is_named_where_the_run_stops(cli: Run, dead: str) -> None:
    code, _, err = cli(*RUN, "openai:x", "--base-url", dead, "--trials", "5")
    (line,) = (line for line in err.splitlines() if line.startswith("mocktrial:"))
    assert (code, "no result for 30 of 30 episodes, the run stopped: 20 failures in a row: " in line) == (1, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--without", "am_pm"], "--without .* autoslurp:FILE.csv"),
        (["--base-url", "http://127.0.0.1:9/v1"], "--base-url .* openai:MODEL"),
        (["--user", "scripted", "--user-url", "http://127.0.0.1:9/v1"], "--user-url .* openai:MODEL"),
        (["--judge", "scripted:oracle", "--judge-url", "http://127.0.0.1:9/v1"], "--judge-url .* openai:MODEL"),
        (["--judge", "scripted:oracle"], "scripted:oracle knows the truth only in certify-judge"),
        (["--gateway"], "--gateway .* openai:MODEL"),
        (["--prices", "prices.toml"], "--prices .* openai:MODEL"),
        (["--temperature", "0.5"], "--temperature .* expert"),
    ],
)
def test_options_that_would_do_nothing_are_refused(cli: Run, options: list[str], says: str) -> None:
    Path("prices.toml").write_text("[gpt]\nprompt = 1\ncompletion = 1\n", "utf-8")
    code, out, err = cli(*RUN, "expert", *options)
    assert (code, out) == (2, "")
    assert re.search(says, err)
    assert not Path("runs").exists()


def test_an_interrupted_run_says_what_is_kept(cli: Run, tmp_path: Path) -> None:
    command = [*START, *RUN, "expert", "--trials", "1000"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr
        while "0/6000" not in child.stderr.readline():
            pass
        child.send_signal(signal.SIGINT)
        said = child.stderr.read()
    assert child.returncode == 130
    assert re.search(r"mocktrial: interrupted with \d+ of 6000 episodes done and kept; run the same command", said)


def test_the_version_is_told(cli: Run) -> None:
    assert cli("--version")[:2] == (0, f"mocktrial {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["doctor"], ["doctor", "--json"]])
def test_an_output_that_takes_nothing_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*START, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "mocktrial: the output cannot be written: No space left on device\n")


def test_a_reader_that_goes_away_is_silent() -> None:
    with subprocess.Popen([*START, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        assert child.stderr.read() == ""


def test_a_gateways_run_says_what_it_was_played_under(cli: Run) -> None:
    """Else neither compare nor replay nor regrade could use it."""
    cli(*RUN, "expert")
    chosen = open_source("datasets/small")
    place, asked = RunPlace.under(Path("runs"), "mine"), {"name": "datasets/small"}
    with (
        Ledger.read(Path("runs/small-expert/ledger.sqlite")) as one,
        ledger_of(
            place, chosen, asked, agent="mine", user="scripted", trials=1, upstream="http://127.0.0.1:9"
        ) as other,
    ):
        unlike = differences(one.config, other.config)
    assert {"agent"} <= unlike.keys() <= set(MAY_DIFFER)
