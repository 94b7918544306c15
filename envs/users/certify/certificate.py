"""What a user was found to do wrong, how often, and of which user that is true.

A certificate is frozen data, JSON on disk. Its fingerprint covers the code, word lists and prompts of the
users and, for a model, the name it goes by: another fingerprint is another user. Certificates of users that
need no model ship in `certificates/`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from mocktrial.envs.users.certify.cast import HERE
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen

SHIPPED = HERE / "certificates"


class Rate(Frozen):
    """`count` of `of`; the mean over conversations, and its 95% interval."""

    count: int
    of: int
    rate: float
    low: float
    high: float


class Certificate(Frozen):
    user: str  # as `--user` names it
    fingerprint: str  # of the user
    battery: str  # of the agents, scenes and detectors that it met
    seed: int
    conversations: int
    no_results: int  # of them, those without an answer; they are in no rate
    rates: dict[str, Rate]  # by fault

    @property
    def is_current(self) -> bool:
        """Whether the user is still the one that was certified, by the agents that are here now."""
        return (self.fingerprint, self.battery) == (fingerprint(self.user), battery())


def certified(user: str, folder: Path = SHIPPED) -> Certificate | None:
    """The certificate of the user that `--user` names so, if there is one in `folder`.

    Raises `UsageError` when the file is none.
    """
    path = folder / f"{re.sub(r'[^a-z0-9.]+', '-', user.casefold())}.json"
    if not path.is_file():
        return None
    try:
        return Certificate.model_validate_json(path.read_bytes())
    except ValidationError as error:
        hint = f"make it again: mocktrial certify-user {user} --out {path}"
        raise UsageError(f"{path}: no certificate", hint=hint) from error


@lru_cache
def fingerprint(user: str) -> str:
    """First 16 hex digits of SHA-256 over the user's name and all files of the users but the certification's."""
    users = HERE.parent
    return _hash(user, (file for file in users.rglob("*") if HERE not in file.parents), users)


@lru_cache
def battery() -> str:
    """The same over the files of the certification but the certificates."""
    return _hash("", (file for file in HERE.rglob("*") if SHIPPED not in file.parents), HERE)


def _hash(name: str, files: Iterable[Path], base: Path) -> str:
    digest = hashlib.sha256(name.encode())
    for file in sorted(file for file in files if file.is_file() and file.parent.name != "__pycache__"):
        digest.update(file.relative_to(base).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
