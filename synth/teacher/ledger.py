"""Every answer that was paid for, with its tokens: one append-only JSONL file, fsynced a line.

The same file is the cache of a resumed run: an answer is found by the hash of its request, so nothing is
paid for twice. A torn last line (the process was killed while writing it) is cut off when the file is
opened; any other broken line is a `SpecError`. Answers stay on disk; memory holds their places only.
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from pathlib import Path
from typing import BinaryIO

from pydantic import Field, ValidationError

from mocktrial.envs.atomic import refused
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import broken
from mocktrial.mocktools.spec import Frozen


class Entry(Frozen):
    """One paid request. Tokens as the endpoint counted them, or about four characters each when it does not."""

    key: str  # hash of the request
    unit: int
    step: str
    attempt: int = Field(ge=0)  # 0, then one more each time the answer was sent back
    model: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    estimated: bool = False
    content: str

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class TokenLedger:
    """The file, opened for appending and locked. Close it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests = self.prompt_tokens = self.completion_tokens = 0
        self.by_step: Counter[str] = Counter()  # tokens
        self._places: dict[str, int] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another process is writing {path}", hint="wait for it") from error
        except OSError as error:
            raise refused(path, error) from error
        self._read()

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def find(self, key: str) -> Entry | None:
        """The answer to a request that was paid for before."""
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place)
        return Entry.model_validate_json(self._file.readline())

    def add(self, entry: Entry) -> None:
        """Durable when this returns. Raises `UsageError` when the disk refuses."""
        place = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(entry.model_dump_json().encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise refused(self.path, error) from error
        self._count(entry, place)

    def close(self) -> None:
        self._file.close()

    def _read(self) -> None:
        self._file.seek(0)
        place = 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                self._count(Entry.model_validate_json(line), place)
            except ValidationError as error:
                raise broken(f"{self.path}, line {number}", error, hint="remove the line") from error
            place += len(line)
        self._file.truncate(place)

    def _count(self, entry: Entry, place: int) -> None:
        self._places[entry.key] = place
        self.requests += 1
        self.prompt_tokens += entry.prompt_tokens
        self.completion_tokens += entry.completion_tokens
        self.by_step[entry.step] += entry.tokens
