"""Near-duplicates by meaning: one request in words of its own, in any world of the same structure (FAULTS 26)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mocktrial.envs.dataset import Dataset
from mocktrial.envs.task import Fact, Task
from mocktrial.synth.audit import meaning
from mocktrial.synth.audit.dedup import normalised
from mocktrial.synth.audit.meaning import Meanings, block_of
from mocktrial.synth.audit.structure import world_structure

PAIRS = [json.loads(line) for line in (Path(__file__).parents[1] / "data" / "paraphrases.jsonl").open(encoding="utf-8")]


@pytest.mark.model
def test_a_hundred_planted_paraphrases_are_found() -> None:
    """Written by hand; each shares its block with its original, and the requests of the others do not matter."""
    seen = Meanings()
    for number, pair in enumerate(PAIRS):
        seen.add(f"block-{number}", f"first-{number}", normalised(pair["text"]))
        seen.add(f"block-{number}", f"again-{number}", normalised(pair["again"]))
    assert len(PAIRS) == 100
    assert len(list(seen.pairs())) >= 95


@pytest.mark.model
def test_strangers_are_none() -> None:
    """Each text in one block with another's paraphrase."""
    seen = Meanings()
    for number, pair in enumerate(PAIRS):
        seen.add(f"block-{number}", f"first-{number}", normalised(pair["text"]))
        seen.add(f"block-{number}", f"other-{number}", normalised(PAIRS[number - 7]["again"]))
    assert len(list(seen.pairs())) <= 5


def block(task: Task, dataset: Dataset) -> str:
    spec = dataset.worlds[task.world]
    return block_of(task, spec, world_structure(spec))


def test_blocks_are_of_the_request_and_not_of_its_words(dataset: Dataset) -> None:
    task = next(task for task in dataset.tasks if task.hidden())
    spec = dataset.worlds[task.world].model_copy(update={"name": "copy"})
    again = task.model_copy(update={"id": "copy", "world": "copy", "instruction": "Other words.", "faults": ()})
    assert block_of(again, spec, world_structure(spec)) == block(task, dataset)
    hidden = task.hidden()[0]
    facts = tuple(_other(fact) if fact == hidden else fact for fact in task.facts)
    assert block(task.model_copy(update={"facts": facts}), dataset) != block(task, dataset)
    assert len({block(one, dataset) for one in dataset.tasks}) >= 0.99 * len(dataset.tasks)


def _other(fact: Fact) -> Fact:
    return fact.model_copy(update={"value": "another"})


def test_bounds_are_kept_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "MATES", 3)
    monkeypatch.setattr(meaning, "MOST", 0)
    seen = Meanings()
    for number in range(3):
        seen.add("block", str(number), "text")
    assert not seen.full
    assert list(seen.pairs()) == []
    assert seen.full
