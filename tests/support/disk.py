"""A disk that is full after so many writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def full_disk(allowed: int) -> Iterator[None]:
    """Inside, `os.fsync` works `allowed` times and then says that no space is left."""
    real = os.fsync
    left = allowed

    def failing(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        yield
