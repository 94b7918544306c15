"""Producing a dataset: the same bytes whatever the number of workers and however often it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mocktrial.envs.dataset import digest, load_dataset
from mocktrial.synth.blueprint import ShippedDomains
from mocktrial.synth.produce import Job, produce
from mocktrial.synth.units import make_unit

JOB = Job(ShippedDomains(("depot",)), seed=3, per_world=4)
COUNT = 28
COMMAND = [
    sys.executable, "-m", "mocktrial.cli", "synth", "--tasks", str(COUNT), "--seed", "3", "--per-world", "4",
    "--domains", "depot",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the dataset made by one process without a break."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    produce(JOB, COUNT, folder, domains=("depot",))
    dataset = load_dataset(folder)
    assert len(dataset.tasks) == COUNT
    assert len({task.instruction for task in dataset.tasks}) == COUNT
    return digest(folder)


@pytest.mark.parametrize("workers", [2, 4])
def test_same_bytes_on_any_number_of_workers(whole: str, tmp_path: Path, workers: int) -> None:
    told: list[int] = []
    audit = produce(JOB, COUNT, tmp_path / "set", domains=("depot",), workers=workers, progress=told.append)
    assert digest(tmp_path / "set") == whole
    assert audit.figures(1.0)["gold_pass"] == audit.counts["tasks"] == told[-1] == COUNT


def journal(folder: Path) -> int:
    path = folder / "units.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def begun(folder: Path, units: int, *, workers: int) -> subprocess.Popen[bytes]:
    """A real process, caught when so many units are in the journal."""
    command = [*COMMAND, "--out", str(folder), "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 60
    while journal(folder.with_name(folder.name + ".part")) < units and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_killed_and_gone_on_with_gives_the_same_bytes(whole: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for units, workers in ((2, 1), (4, 2)):
        process = begun(folder, units, workers=workers)
        workers_of = children(process.pid)
        process.kill()
        process.wait()
        assert not folder.exists()
        kept = journal(tmp_path / "set.part")
        assert units <= kept < COUNT // 4
        deadline = time.monotonic() + 20
        while any(map(alive, workers_of)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(alive, workers_of)), "workers end with their parent"
    made: list[int] = []
    produce(Job(Counting(("depot",), made), 3, 4), COUNT, folder, domains=("depot",))
    assert digest(folder) == whole
    assert min(made) == kept, "nothing is made twice"


class Counting(ShippedDomains):
    def __init__(self, names: tuple[str, ...], made: list[int]) -> None:
        super().__init__(names)
        self.made = made

    def blueprint(self, number: int):  # type: ignore[no-untyped-def]
        self.made.append(number)
        return super().blueprint(number)


def test_ctrl_c_says_how_to_go_on(whole: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    process = begun(folder, 2, workers=2)
    os.killpg(process.pid, signal.SIGINT)  # the whole group, as a terminal does
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"the same command goes on" in err
    assert b"Traceback" not in err
    produce(JOB, COUNT, folder, domains=("depot",))
    assert digest(folder) == whole


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    process = begun(tmp_path / "set", 1, workers=1)
    process.kill()
    process.wait()
    command = [*COMMAND, "--out", str(tmp_path / "set"), "--seed", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "seed 3, now 4" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_unit_depends_on_seed_and_number_alone() -> None:
    def text(number: int, seed: int = 3) -> str:
        unit = make_unit(JOB.source, number, seed, 6)
        assert unit.spec is not None
        return json.dumps([unit.spec.model_dump(mode="json"), [task.model_dump(mode="json") for task, _ in unit.pairs]])

    last_first = [text(number) for number in (2, 1, 0)]
    assert last_first[::-1] == [text(number) for number in (0, 1, 2)]
    assert text(0, seed=4) not in last_first


def test_goals_of_a_world_take_turns() -> None:
    unit = make_unit(JOB.source, 0, 5, 24)
    calls = [task.difficulty for task, _ in unit.pairs]
    assert {number: calls.count(number) for number in (1, 2, 3, 4)} == dict.fromkeys((1, 2, 3, 4), 6)
    assert len({task.provenance["goal"] for task, _ in unit.pairs}) >= 10


def test_a_world_that_breaks_its_contract_is_dropped_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ShippedDomains):
        def blueprint(self, number: int):  # type: ignore[no-untyped-def]
            good = super().blueprint(number)
            return good.model_copy(update={"world": change(good.world)})

    def change(world):  # type: ignore[no-untyped-def]
        kit = world.toolkits[0]
        table = kit.tables[0].model_copy(update={"checks": ("1 = 0",)})
        kits = (kit.model_copy(update={"tables": (table, *kit.tables[1:])}), *world.toolkits[1:])
        return world.model_copy(update={"toolkits": kits})

    unit = make_unit(Broken(("depot",)), 0, 1, 5)
    assert unit.image is None
    assert unit.pairs == ()
    assert next(iter(unit.dropped)).startswith("world: ")
