"""Validating from disk: a clean dataset has no finding, each planted fault has its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mocktrial.envs.dataset import load_dataset
from mocktrial.envs.streaming import open_folder
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.synth.audit.validate import validate
from mocktrial.synth.production.generate import generate

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean") / "set"
    generate(5, 12, ["depot", "network"], worlds_per_domain=1).save(folder)
    return folder


@pytest.fixture
def folder(clean: Path, tmp_path: Path) -> Path:
    load_dataset(clean).save(tmp_path / "set")
    return tmp_path / "set"


def change(folder: Path, edit: Callable[[Rows], None], name: str = "tasks.jsonl") -> None:
    rows = [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
    edit(rows)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clean_dataset(clean: Path, workers: int) -> None:
    told: list[int] = []
    audit = validate(open_folder(clean), workers=workers, progress=told.append)
    figures = audit.figures(2.0)
    assert audit.findings == []
    assert (figures["tasks"], figures["gold_pass"], figures["worlds"], figures["tasks_per_second"]) == (12, 12, 2, 6.0)
    assert figures["mutants"] == figures["mutants_killed"] >= 8 * 12
    for key in ("null_pass", "guess_pass", "vacuous", "leaks", "near_duplicates"):
        assert figures[key] == 0, key
    assert figures["tools"] == figures["distinct_tools"] == 17
    assert figures["world_structures"] == 2
    assert 2 < figures["tool_structures"] <= 17
    assert sum(figures["families"].values()) == sum(figures["splits"].values()) == 12
    assert told[-1] == 12


def leak(rows: Rows) -> None:
    fact = next(fact for fact in rows[0]["facts"] if fact["hidden"])
    rows[0]["instruction"] += f" It is {fact['spoken']}."


def duplicate(rows: Rows) -> None:
    rows.append({**rows[3], "id": "copy", "instruction": "Please, " + rows[3]["instruction"].upper(), "split": "test"})
    rows[3]["split"] = "train"


def weaken(rows: Rows) -> None:
    rows[2]["rubric"]["forbidden"] = []


def vacuous(rows: Rows) -> None:
    rows[1]["rubric"]["subgoals"] = [{"kind": "state", "id": "anything", "sql": "SELECT 1"}]


def unasked(rows: Rows) -> None:
    rows[1]["rubric"]["interactions"] = []


def unsolvable(rows: Rows) -> None:
    rows[1]["gold"] = rows[1]["gold"][-1:]


FAULTS: dict[str, tuple[Callable[[Rows], None], str, dict[str, int]]] = {
    "a leaked value": (leak, "the instruction tells", {"leaks": 1}),
    "a duplicate": (duplicate, "task copy: .* duplicate of .* across splits", {"near_duplicates": 1}),
    "a weaker rubric": (weaken, "forbidden: a stray write passes", {"gold_pass": 12}),
    "a criterion that always holds": (vacuous, "anything holds before the first action", {"vacuous": 1}),
    "a rubric that asks for nothing": (unasked, "guess: not asking, with the right values passes", {"guess_pass": 1}),
    "a plan that does nothing": (unsolvable, "gold: the gold plan fails", {"gold_pass": 11}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(folder: Path, name: str) -> None:
    edit, says, counts = FAULTS[name]
    change(folder, edit)
    audit = validate(open_folder(folder))
    assert any(re.search(says, line) for line in audit.findings), audit.findings
    for key, value in counts.items():
        assert audit.figures(1.0)[key] == value


def test_a_changed_world_is_found(folder: Path) -> None:
    path = next(iter(sorted((folder / "worlds").iterdir())))
    world = json.loads(path.read_text(encoding="utf-8"))
    world["rules"] += " Hurry."
    path.write_text(json.dumps(world), encoding="utf-8")
    audit = validate(open_folder(folder))
    assert sum("another version of world" in line for line in audit.findings) == 6


def test_a_world_that_breaks_its_contract_is_found(folder: Path) -> None:
    path = next(iter(sorted((folder / "worlds").iterdir())))
    world = json.loads(path.read_text(encoding="utf-8"))
    world["toolkits"][0]["tools"][0]["steps"][0] = {"give": "SELECT 1 FROM nowhere"}
    path.write_text(json.dumps(world), encoding="utf-8")
    audit = validate(open_folder(folder))
    assert any("nowhere" in line for line in audit.findings)
    assert audit.figures(1.0)["gold_pass"] == 6
    assert audit.figures(1.0)["tasks"] == 12


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda rows: rows.pop(), "has no proof in proof.jsonl"),
        (lambda rows: rows.append({**rows[0], "task": "nobody"}), r"proves 1 task\(s\) that are not in tasks.jsonl"),
        (lambda rows: rows[0].update(task_hash="0" * 16), "is not the task that proof.jsonl proves"),
        (lambda rows: rows[0]["counts"].update(guess=99), "counts otherwise than proof.jsonl"),
    ],
)
def test_proofs_that_do_not_fit_are_found(folder: Path, edit: Callable[[Rows], None], says: str) -> None:
    change(folder, edit, "proof.jsonl")
    audit = validate(open_folder(folder))
    assert len(audit.findings) == 1
    assert re.search(says, audit.findings[0])


def test_one_wish_in_both_splits_is_found(folder: Path) -> None:
    def edit(rows: Rows) -> None:
        rows.append({**rows[0], "id": "copy", "instruction": "Something else entirely, in other words."})
        rows[0]["split"], rows[-1]["split"] = "train", "test"

    change(folder, edit)
    assert any("task copy: its wish stands in both splits" in line for line in validate(open_folder(folder)).findings)


@pytest.mark.model
def test_one_request_in_a_copy_of_its_world_is_found_by_meaning(folder: Path) -> None:
    def edit(rows: Rows) -> None:
        talk = f"Good morning, it is raining cats and dogs here. {rows[0]['instruction']} Say hello to your sister."
        rows.append({**rows[0], "id": "copy", "world": "copy", "instruction": talk})

    world = json.loads((folder / "worlds" / "depot-0.json").read_text(encoding="utf-8")) | {"name": "copy"}
    (folder / "worlds" / "copy.json").write_text(json.dumps(world), encoding="utf-8")
    change(folder, edit)
    audit = validate(open_folder(folder))
    assert any(re.search(r"task copy: embedding \(0\.\d\d\) duplicate of ", line) for line in audit.findings)
    assert audit.figures(1.0)["near_duplicates"] == 1
    assert audit.figures(1.0)["near_duplicates_by"] == ["exact", "near", "reworded", "same", "embedding"]


def test_figures_say_that_nothing_looked_at_meaning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mocktrial.synth.audit.validate.installed", lambda: False)
    assert validate(open_folder(folder)).figures(1.0)["near_duplicates_by"] == ["exact", "near", "reworded", "same"]


def test_a_sentence_that_is_said_all_the_time_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(rows: Rows) -> None:
        for row in rows[:7]:
            row["instruction"] += " As I always say."

    change(folder, edit)
    monkeypatch.setattr("mocktrial.synth.audit.validate.FEWEST", 12)
    audit = validate(open_folder(folder))
    assert audit.figures(1.0)["commonest_sentence"] == {"pattern": "as i always say", "share": 0.5833}
    assert "58.3% of the tasks say 'as i always say': more than 2%" in audit.findings


def test_broken_files_are_named(folder: Path) -> None:
    text = (folder / "tasks.jsonl").read_text(encoding="utf-8")
    for broken, says in ((text[:-9], "line 12"), ("[]\n" + text, "line 1: is no JSON object"), ("{}\n", "no id")):
        (folder / "tasks.jsonl").write_text(broken, encoding="utf-8")
        with pytest.raises(SpecError, match=says):
            open_folder(folder)
    (folder / "tasks.jsonl").write_text(text.replace('"goal":', '"gaol":', 1), encoding="utf-8")
    with pytest.raises(SpecError, match="line 1: gaol"):
        validate(open_folder(folder))
    with pytest.raises(UsageError, match="no dataset at"):
        open_folder(folder / "nowhere")


def test_tasks_of_a_world_need_not_stand_together(folder: Path) -> None:
    change(folder, lambda rows: rows.sort(key=lambda row: row["difficulty"]))
    opened = open_folder(folder)
    read = {spec.name: [task.id for task, proof in pairs if proof and proof.task == task.id] for spec, pairs in opened}
    assert sorted(name for own in read.values() for name in own) == sorted(
        task.id for task in load_dataset(folder).tasks
    )
    assert validate(opened).findings == []
