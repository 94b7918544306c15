"""`Journal`: recorded calls as lines of a file, for a gateway that has no dataset and so no trajectories."""

from __future__ import annotations

import json
from pathlib import Path

from mocktrial.envs.chat import ModelCall
from mocktrial.mocktools.errors import UsageError


class Journal:
    """Appends to `path`, a line a call: the episode's key and the fields of `ModelCall`."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="ascii")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror or error}", hint="choose another --run") from error

    def __call__(self, key: str, call: ModelCall) -> None:
        line = json.dumps({"episode": key, **call.model_dump(mode="json")}, sort_keys=True, separators=(",", ":"))
        self._file.write(line + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
