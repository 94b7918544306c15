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
from mocktrial.envs.task import Call, Persona, Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.blueprint import Domains
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.production.preview import preview_tasks, preview_text
from mocktrial.synth.production.produce import Job, produce
from mocktrial.synth.production.units import Style, Unit, make_unit
from mocktrial.synth.sources import source_of

KITS = ("vet", "clinic", "food_bank")
STYLE = Style(voices=True, distractors=3, scramble=True, reword=True)
JOB = Job(Domains(("depot",)), seed=3, per_world=4)
COUNT = 28
COMMAND = [
    sys.executable, "-m", "mocktrial.cli", "synth", "--tasks", str(COUNT), "--seed", "3", "--per-world", "4",
    "--domains", "depot", "--plain",
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


class Counting(Domains):
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
    class Broken(Domains):
        def blueprint(self, number: int):  # type: ignore[no-untyped-def]
            good = super().blueprint(number)
            return good.model_copy(update={"world": change(good.world)})

    def change(world: WorldSpec) -> WorldSpec:
        kit = world.toolkits[0]
        table = kit.tables[0].model_copy(update={"checks": ("1 = 0",)})
        kits = (kit.model_copy(update={"tables": (table, *kit.tables[1:])}), *world.toolkits[1:])
        return world.model_copy(update={"toolkits": kits})

    unit = make_unit(Broken(("depot",)), 0, 1, 5)
    assert unit.image is None
    assert unit.pairs == ()
    assert next(iter(unit.dropped)).startswith("world: ")


# Kits, voices and disguises


def test_kits_voices_and_disguises_give_the_same_bytes_on_any_number_of_workers(tmp_path: Path) -> None:
    job = Job(source_of(domains=KITS, seed=3), seed=3, per_world=4, style=STYLE)
    for workers in (1, 2):
        produce(job, 12, tmp_path / str(workers), domains=KITS, workers=workers)
    assert digest(tmp_path / "1") == digest(tmp_path / "2")
    dataset = load_dataset(tmp_path / "1")
    assert {task.domain for task in dataset.tasks} == {"vet", "clinic", "food-bank"}
    assert dataset.recipe.domains == KITS
    assert (dataset.recipe.voices, dataset.recipe.scramble, dataset.recipe.distractors) == (True, True, 3)
    names = [tool.name for spec in dataset.worlds.values() for tool in spec.tools()]
    assert all(name.startswith("tool_") for name in names)
    bare = make_unit(job.source, 0, 3, 0).spec
    assert bare is not None
    assert len(list(dataset.worlds["vet-0"].tools())) == len(list(bare.tools())) + 3


def test_another_style_is_another_recipe(tmp_path: Path) -> None:
    def stop(taken: int) -> None:
        if taken:
            raise KeyboardInterrupt

    source = Composer(3, ("vet",))
    with pytest.raises(KeyboardInterrupt):
        produce(Job(source, 3, 2, style=Style(voices=True)), 4, tmp_path / "set", domains=("vet",), progress=stop)
    listed = (Persona(name="Ada"),)
    for style, says in (
        (Style(), "voices True, now False"),
        (Style(voices=True, distractors=1), "distractors 0, now 1"),
        (Style(voices=True, personas=listed), "personas '', now '"),
    ):
        with pytest.raises(UsageError, match=says):
            produce(Job(source, 3, 2, style=style), 4, tmp_path / "set", domains=("vet",))
    with pytest.raises(UsageError, match="domains"):
        produce(Job(Composer(3, ("law",)), 3, 2, style=Style(voices=True)), 4, tmp_path / "set", domains=("law",))


def by_seed(unit: Unit) -> dict[int, Task]:
    return {task.seed: task for task, _ in unit.pairs}


def test_the_control_set_is_the_same_tasks_told_whole() -> None:
    gap, control = (
        by_seed(make_unit(Composer(7), 3, 7, 24, gap=gap, style=Style(voices=True))) for gap in (True, False)
    )
    both = sorted(set(gap) & set(control))
    assert len(both) >= 22
    assert any(gap[seed].hidden() for seed in both)
    for seed in both:
        task, told = gap[seed], control[seed]
        assert not told.hidden()
        assert (task.goal, task.persona, task.difficulty) == (told.goal, told.persona, told.difficulty)
        assert [fact.value for fact in task.facts] == [fact.value for fact in told.facts]
        assert [s.call for s in task.gold if isinstance(s, Call)] == [s.call for s in told.gold if isinstance(s, Call)]
        if task.hidden():
            assert task.instruction != told.instruction


def test_voices_speak_for_the_worlds_roles_or_for_a_list_in_turn() -> None:
    source = Composer(3, ("vet",))
    roles = {persona.occupation for persona in source.blueprint(0).goals.personas}
    plain, voiced = (make_unit(source, 0, 3, 12, style=Style(voices=voices)) for voices in (False, True))
    assert {task.persona.occupation for task, _ in voiced.pairs} <= roles
    assert len({task.persona.name for task, _ in voiced.pairs}) >= 8
    words = [task.instruction for task, _ in voiced.pairs]
    assert sum(word not in {task.instruction for task, _ in plain.pairs} for word in words) >= 8
    listed = tuple(Persona(name=name, occupation="juggler") for name in ("Ada", "Ben", "Cy", "Di", "Eve"))
    units = [make_unit(source, number, 3, 4, style=Style(voices=True, personas=listed)) for number in range(2)]
    spoke = [task.persona.name for unit in units for task, _ in unit.pairs]
    assert spoke == ["Ada", "Ben", "Cy", "Di", "Eve", "Ada", "Ben", "Cy"]


def test_a_world_gives_many_goals_and_loses_few_drafts() -> None:
    unit = make_unit(Composer(7), 2, 7, 60)
    assert len(unit.pairs) == 60
    assert len({task.provenance["goal"] for task, _ in unit.pairs}) >= 30
    assert sum(unit.dropped.values()) < 60


def test_preview_prints_each_family_of_the_kits() -> None:
    text = "\n".join(preview_text(preview_tasks(Job(Composer(3), 3, 24, style=Style(voices=True)), 1)))
    families = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    assert families == ["faulty", "impossible", "injected", "math", "no_tool", "policy", "search", "tool_use"]
    assert text.count("  who:    ") == text.count("  user:   ") == len(families)
    assert "fault:  call 1 of" in text
