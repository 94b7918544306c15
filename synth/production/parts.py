"""A dataset while it is made: `NAME.part/`, to which whole units are appended and which a kill leaves resumable.

    dataset/     tasks.jsonl, proof.jsonl and worlds/ as they will be; renamed when all is there
    recipe.json  what decides the bytes
    units.jsonl  the journal: a line a unit, with where the files end after it and a digest of what it added

A unit counts from the moment its journal line is whole and its bytes are there as the line says; whatever
stands behind the last such unit is cut off when the folder is opened again. Written through after every unit
(a kill loses at most the unit being written), fsynced every `_BATCH`. One process at a time holds the folder.
Raises `UsageError`: another process, another recipe (with the difference), a disk that refuses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import Field, ValidationError

from mocktrial.envs.atomic import refused, sync, whole_file
from mocktrial.envs.proof import Recipe
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen

_BATCH = 16  # units
_DATA = ("tasks.jsonl", "proof.jsonl")
_INNER = "dataset"


class Entry(Frozen):
    """A journal line: one unit as it was taken."""

    number: int
    ends: tuple[int, int]  # bytes of tasks.jsonl and proof.jsonl after this unit
    world: str = ""  # its name; empty where nothing of the unit was taken
    digest: str  # of the world's text and the lines added
    counts: dict[str, int] = Field(default_factory=dict)
    dropped: dict[str, int] = Field(default_factory=dict)
    shapes: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # hashes: world, tools, tool_structures


@dataclass
class Parts:
    """The folder, open for appending. `entries` are the units taken so far."""

    folder: Path  # of the dataset to be
    entries: list[Entry] = field(default_factory=list)
    _files: list[BinaryIO] = field(default_factory=list)
    _ends: tuple[int, int] = (0, 0)

    def append(
        self, number: int, world: tuple[str, bytes] | None, lines: Sequence[tuple[bytes, bytes]], **facts: Any
    ) -> None:
        """Take a unit: its world's name and text, its task and proof lines; `facts` are the entry's other keys."""
        added = b"".join(task for task, _ in lines), b"".join(proof for _, proof in lines)
        name, text = world or ("", b"")
        if name:
            (self.folder / "worlds" / f"{name}.json").write_bytes(text)
        for file, data in zip(self._files, added, strict=False):
            file.write(data)
            file.flush()
        ends = (self._ends[0] + len(added[0]), self._ends[1] + len(added[1]))
        entry = Entry(number=number, ends=ends, world=name, digest=_digest(text, *added), **facts)
        self._files[2].write(entry.model_dump_json().encode() + b"\n")
        self._files[2].flush()
        self._ends = ends
        self.entries.append(entry)
        if len(self.entries) % _BATCH == 0:
            self.sync()

    def sync(self) -> None:
        for file in self._files:
            os.fsync(file.fileno())

    def task_lines(self) -> Iterator[bytes]:
        """The tasks taken so far, a line each."""
        with (self.folder / _DATA[0]).open("rb") as file:
            yield from file

    def finish(self, target: Path, files: dict[str, str]) -> None:
        """Add `files`, remove what is only for resuming, give the folder its name."""
        self.sync()
        for name, text in files.items():
            with whole_file(self.folder / name) as file:
                file.write(text.encode())
        for world in (self.folder / "worlds").iterdir():
            sync(world)
        if target.is_dir():
            target.rmdir()  # an empty one, or it would have been refused
        self.folder.rename(target)
        shutil.rmtree(self.folder.parent)
        sync(target.parent)


@contextmanager
def open_parts(target: Path, recipe: Recipe) -> Iterator[Parts]:
    """The part folder of `target`, new or gone on with."""
    if (target.is_dir() and any(target.iterdir())) or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target} exists already", hint="choose another name or remove it first")
    folder = target.with_name(target.name + ".part")
    lock = -1
    try:
        (folder / _INNER / "worlds").mkdir(parents=True, exist_ok=True)
        lock = _locked(folder)
        _agree(folder, recipe)
        inner = folder / _INNER
        entries = _whole_units(inner, folder / "units.jsonl")
        parts = Parts(inner, entries, _ends=entries[-1].ends if entries else (0, 0))
        parts._files = [_at_end(inner / name, end) for name, end in zip(_DATA, parts._ends, strict=True)]
        parts._files.append((folder / "units.jsonl").open("ab"))
        try:
            yield parts
        finally:
            for file in parts._files:
                file.close()
    except OSError as error:
        raise refused(folder, error) from error
    finally:
        if lock >= 0:
            os.close(lock)


def _locked(folder: Path) -> int:
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise UsageError(f"another process is writing {folder}", hint="wait for it, or choose another name") from None
    return lock


def _agree(folder: Path, recipe: Recipe) -> None:
    """The folder's recipe is ours, or it has none yet."""
    path, ours = folder / "recipe.json", recipe.model_dump(mode="json")
    if not path.exists():
        with whole_file(path) as file:
            file.write(json.dumps(ours).encode())
        return
    theirs = json.loads(path.read_bytes())
    other = [f"{key} {theirs.get(key)!r}, now {ours[key]!r}" for key in ours if theirs.get(key) != ours[key]]
    if other:
        raise UsageError(
            f"{folder} was begun with another recipe: {'; '.join(other)}",
            hint="give the same options to go on with it, or remove it",
        )


def _whole_units(folder: Path, journal: Path) -> list[Entry]:
    """Units whose journal line and bytes are whole; the journal is cut after the last of them."""
    entries: list[Entry] = []
    good, ends = 0, (0, 0)
    with (folder / _DATA[0]).open("ab+") as tasks, (folder / _DATA[1]).open("ab+") as proofs:
        for line in journal.read_bytes().splitlines(keepends=True) if journal.exists() else ():
            try:
                entry = Entry.model_validate_json(line)
            except ValidationError:
                break
            tasks.seek(ends[0])
            proofs.seek(ends[1])
            added = tasks.read(entry.ends[0] - ends[0]), proofs.read(entry.ends[1] - ends[1])
            world = folder / "worlds" / f"{entry.world}.json"
            text = world.read_bytes() if entry.world and world.exists() else b""
            if not line.endswith(b"\n") or _digest(text, *added) != entry.digest:
                break
            entries.append(entry)
            ends, good = entry.ends, good + len(line)
    if journal.exists():
        os.truncate(journal, good)
    named = {entry.world for entry in entries}
    for path in (folder / "worlds").iterdir():
        if path.stem not in named:
            path.unlink()
    return entries


def _at_end(path: Path, end: int) -> BinaryIO:
    os.truncate(path, end)
    return path.open("ab")


def _digest(*texts: bytes) -> str:
    found = hashlib.sha256()
    for text in texts:
        found.update(len(text).to_bytes(8, "big"))
        found.update(text)
    return found.hexdigest()[:32]


def totals(entries: Sequence[Entry]) -> tuple[Counter[str], Counter[str]]:
    """Counts and dropped drafts over all units."""
    counts: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for entry in entries:
        counts.update(entry.counts)
        dropped.update(entry.dropped)
    return counts, dropped
