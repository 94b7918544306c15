"""Reading what people write: a file that is broken is one `SpecError` line that names file, key and reason."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.spec import WorldSpec


def read_text(path: Path, *, hint: str = "") -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SpecError(f"{path}: {reason}", hint=hint) from error


def broken(where: str, error: ValidationError, *, hint: str = "") -> SpecError:
    """The first thing that `error` found wrong at `where`; a misspelt key before the key that it leaves missing."""
    found = error.errors()
    first = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for part in first["loc"])
    reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return SpecError(f"{where}: {key + ': ' if key else ''}{reason}", hint=hint)


def read_world(path: Path, *, hint: str = "docs/worlds.md has the form of a world") -> WorldSpec:
    """The world in a JSON file."""
    try:
        return WorldSpec.model_validate_json(read_text(path, hint=hint))
    except ValidationError as error:
        raise broken(str(path), error, hint=hint) from error
