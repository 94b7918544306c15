"""Datasets on disk: there and back, whole or absent, and every broken file named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mocktrial.envs.dataset import Dataset, Proof, Recipe, dataset_folder, load_dataset
from mocktrial.mocktools.errors import MocktrialError, SpecError, UsageError
from tests.support.desk import desk_spec, desk_task
from tests.support.disk import full_disk
from tests.support.ledger import make_task


@pytest.fixture
def dataset() -> Dataset:
    task = desk_task()
    other = task.model_copy(update={"id": "desk-2", "split": "test", "instruction": "Lend\u2028the tripod."})
    proofs = tuple(Proof(task=item.id, task_hash=item.content_hash(), counts={"gold": 1}) for item in (task, other))
    recipe = Recipe(seed=3, count=2, dropped={"made before": 1}, versions={"mimesis": "1"})
    return Dataset(recipe, {"desk": desk_spec()}, (task, other), proofs, "desk")


@pytest.fixture
def folder(dataset: Dataset, tmp_path: Path) -> Path:
    folder = dataset_folder(tmp_path, "desk")
    dataset.save(folder)
    return folder


def test_there_and_back(dataset: Dataset, folder: Path) -> None:
    assert load_dataset(folder) == dataset
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "dataset.toml", "proof.jsonl", "tasks.jsonl", "worlds",
    ]  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["desk"]


def test_the_card_says_what_is_inside(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    for text in (
        "2 proved tasks in 1 worlds",
        "| tool_use | 2 | test | 1 |",
        "desk (2)",
        "| gold | 2 |",
        "the length of the loan",
    ):
        assert text in card


def test_images_are_compiled_once_and_must_be_the_tasks_own(dataset: Dataset) -> None:
    task = dataset.tasks[0]
    assert dataset.image(task) is dataset.image(dataset.tasks[1])
    with pytest.raises(SpecError, match="another version"):
        dataset.image(task.model_copy(update={"world_hash": "0"}))
    with pytest.raises(SpecError, match="'moon'"):
        dataset.image(task.model_copy(update={"world": "moon"}))


def test_a_dataset_is_never_overwritten(dataset: Dataset, folder: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        dataset.save(folder)
    assert load_dataset(folder) == dataset


def test_a_failed_write_leaves_nothing(dataset: Dataset, tmp_path: Path) -> None:
    for allowed in range(6):
        with full_disk(allowed), pytest.raises(UsageError, match="No space left"):
            dataset.save(tmp_path / "full")
        assert list(tmp_path.iterdir()) == []


BROKEN: dict[str, tuple[str, Callable[[str], str], str]] = {
    "a torn line": ("tasks.jsonl", lambda text: text[:-40], r"tasks\.jsonl, line 2: Invalid JSON"),
    "an empty line": ("tasks.jsonl", lambda text: "\n" + text, r"tasks\.jsonl, line 1: Invalid JSON"),
    "an unknown key": ("tasks.jsonl", lambda text: text.replace('"goal":', '"gaol":'), "line 1: gaol"),
    "a task twice": ("tasks.jsonl", lambda text: text + text, "'desk-1' stands there twice"),
    "a bad proof": ("proof.jsonl", lambda text: text.replace("counts", "count"), r"proof\.jsonl, line 1: count"),
    "a changed world": (
        "worlds/desk.json",
        lambda text: text.replace("projector", "beamer"),
        "line 1: world_hash is not that of worlds/desk.json",
    ),
    "a torn world": ("worlds/desk.json", lambda text: text[:100], r"desk\.json: Invalid JSON"),
    "an unknown key in the recipe": ("dataset.toml", lambda text: "colour = 1\n" + text, r"toml: colour"),
    "a torn recipe": ("dataset.toml", lambda text: text + "seed =", r"dataset\.toml: "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(folder: Path, name: str) -> None:
    file, change, message = BROKEN[name]
    path = folder / file
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_dataset(folder)


@pytest.mark.parametrize("name", ["tasks.jsonl", "proof.jsonl", "dataset.toml", "worlds/desk.json"])
def test_a_missing_or_unreadable_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=f"{Path(name).name}: not UTF-8"):
        load_dataset(folder)
    (folder / name).unlink()
    with pytest.raises(SpecError, match=f"{Path(name).name}: No such file"):
        load_dataset(folder)


def test_no_dataset_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no dataset at"):
        load_dataset(tmp_path / "nothing")


def test_a_link_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="'link'"):
        dataset_folder(tmp_path / "root", "link")


@given(st.text(alphabet="ab.-_/\\~A \x00é", max_size=70))
def test_no_name_leads_out_of_the_root(name: str) -> None:
    root = Path("datasets")
    try:
        folder = dataset_folder(root, name)
    except MocktrialError:
        return
    assert folder.resolve().parent == root.resolve()


def test_a_criterion_that_asks_for_a_fact_which_is_not_there_is_refused() -> None:
    asks = {"kind": "ask", "id": "ask-day", "fact": "day"}
    for rubric in ({"interactions": [asks]}, {"forbidden": [{"kind": "forbid", "id": "not-day", "of": asks}]}):
        with pytest.raises(ValidationError, match="there is no fact 'day'"):
            make_task(0, rubric=rubric)
