"""Seeds that derive from one another: no global randomness, no order of events in them."""

from __future__ import annotations

import hashlib


def derive(seed: int, *path: str | int) -> int:
    """A 48-bit seed for the thing that `path` names under `seed`."""
    text = "/".join([str(seed), *(str(part) for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
