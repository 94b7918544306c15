"""Files that are whole or absent: a temporary file beside the target, fsynced, then renamed.

Every export goes through here (DESIGN, invariant 10). A process that dies in between leaves the earlier
file as it was and at most one `NAME.part`, which the next writer of the same file overwrites.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mocktrial.mocktools.errors import UsageError


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing bytes; it appears under its name only when the block ends well.

    Raises `UsageError` when the disk refuses (full, read-only, failing); the earlier file then stands.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise refused(path, error) from error


def refused(path: Path, error: OSError) -> UsageError:
    """What to tell of a disk that refuses. More room helps only where there is none."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    hint = "free space, then run the same command again" if full else "choose another place"
    return UsageError(f"cannot write {path}: {error.strerror or error}", hint=hint)


def sync(path: Path) -> None:
    """Make a written file, or a rename in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
