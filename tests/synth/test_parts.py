"""A dataset while it is made: what a kill or a full disk leaves can be gone on with, whatever was cut where."""

from __future__ import annotations

from pathlib import Path

import pytest

from mocktrial.envs.dataset import Recipe
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.production.parts import Parts, open_parts
from tests.support.disk import full_disk

RECIPE = Recipe(seed=3, count=6)


def add(parts: Parts, number: int) -> None:
    lines = [(f'{{"task": "{number}-{i}"}}\n'.encode(), f'{{"proof": "{number}-{i}"}}\n'.encode()) for i in range(2)]
    world = (f"w-{number}", f'{{"world": {number}}}\n'.encode())
    parts.append(number, world, lines, counts={"tasks": 2}, dropped={"why": number}, shapes={"world": (f"s{number}",)})


def make(target: Path, units: int = 3) -> None:
    with open_parts(target, RECIPE) as parts:
        for number in range(len(parts.entries), units):
            add(parts, number)
        parts.finish(target, {"README.md": "a card\n"})


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    make(tmp_path / "whole")
    return files(tmp_path / "whole")


def test_the_finished_folder_holds_the_dataset_and_nothing_else(whole: dict[str, bytes], tmp_path: Path) -> None:
    assert sorted(whole) == ["README.md", "proof.jsonl", "tasks.jsonl", *(f"worlds/w-{n}.json" for n in range(3))]
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


@pytest.mark.parametrize(
    "name", ["dataset/tasks.jsonl", "dataset/proof.jsonl", "units.jsonl", "dataset/worlds/w-2.json"]
)
def test_cut_at_every_byte_of_the_last_unit(whole: dict[str, bytes], tmp_path: Path, name: str) -> None:
    with open_parts(tmp_path / "cut", RECIPE) as parts:
        for number in range(3):
            add(parts, number)
    folder = tmp_path / "cut.part"
    full = files(folder)
    last = len(full[name]) - (full[name][:-1].rfind(b"\n") + 1 if "jsonl" in name else 0)
    for cut in range(1, last + 1):
        for other, data in full.items():
            (folder / other).write_bytes(data if other != name else data[:-cut])
        with open_parts(tmp_path / "cut", RECIPE) as parts:
            assert [entry.number for entry in parts.entries] == [0, 1]
            add(parts, 2)
        assert files(folder) == full
    make(tmp_path / "cut")
    assert files(tmp_path / "cut") == whole


def test_what_was_written_after_the_last_journal_line_is_dropped(whole: dict[str, bytes], tmp_path: Path) -> None:
    with open_parts(tmp_path / "torn", RECIPE) as parts:
        add(parts, 0)
    folder = tmp_path / "torn.part" / "dataset"
    with (folder / "tasks.jsonl").open("ab") as file:
        file.write(b'{"task": "1-0"}\n{"ta')
    (folder / "worlds/w-1.json").write_bytes(b"{")
    make(tmp_path / "torn")
    assert files(tmp_path / "torn") == whole


def test_another_recipe_is_refused_with_the_difference(tmp_path: Path) -> None:
    with open_parts(tmp_path / "set", RECIPE) as parts:
        add(parts, 0)
    for field, value in {
        "seed": 4, "count": 7, "generator": "other", "per_world": 9, "max_calls": 2, "gap": False,
        "domains": ("clinic",), "versions": {"apsw": "0"},
    }.items():  # fmt: skip
        other = RECIPE.model_copy(update={field: value})
        with pytest.raises(UsageError, match=f"another recipe: {field} "), open_parts(tmp_path / "set", other):
            pass
    with open_parts(tmp_path / "set", RECIPE) as parts:
        assert len(parts.entries) == 1


def test_one_process_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(UsageError, match="another process is writing")
    with open_parts(tmp_path / "set", RECIPE), refused, open_parts(tmp_path / "set", RECIPE):
        pass


def test_an_empty_folder_is_taken_and_a_full_one_is_not(whole: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    assert files(tmp_path / "empty") == whole
    with pytest.raises(UsageError, match="exists already"), open_parts(tmp_path / "empty", RECIPE):
        pass


def test_a_disk_that_refuses_is_one_line_and_nothing_is_lost(whole: dict[str, bytes], tmp_path: Path) -> None:
    for allowed in range(12):
        target = tmp_path / f"full-{allowed}"
        try:
            with full_disk(allowed):
                make(target)
        except UsageError as error:
            assert "No space left" in str(error)  # noqa: PT017
            if not target.exists():  # it does where only the last fsync of all failed
                make(target)
        assert files(target) == whole
