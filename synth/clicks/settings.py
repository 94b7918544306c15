"""The simulator's parameters as frozen models, read from TOML. `default.toml` documents each of them.

Unknown keys, wrong types and shares that make no distribution are `UsageError`s that name the key.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tomlkit
from pydantic import Field, ValidationError, model_validator

from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen

DEFAULT = Path(__file__).parent / "default.toml"
Share = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=-20, le=20)]
Spread = Annotated[float, Field(ge=0, le=10)]
T = TypeVar("T")


class Hours(Frozen):
    morning: Share
    midday: Share
    evening: Share
    night: Share

    @model_validator(mode="after")
    def _whole(self) -> Hours:
        return _sums_to_one(self, tuple(self.model_dump().values()))


class Devices(Frozen):
    locked: Share
    flight: Share
    muted: Share
    bluetooth_off: Share
    offline: Share


class Preference(Frozen):
    bias: Strength
    relatedness: Strength
    interest: Spread
    hour: Spread
    utility: Spread
    surprise: Spread


class Usage(Frozen):
    utility: Strength
    noise: Spread


class Readiness(Frozen):
    level: Strength
    spread: Spread
    visits: Spread
    night: Strength
    fatigue: Strength


class Tools(Frozen):
    affinity: float = Field(gt=0, le=10)
    spread: Spread


class Attention(Frozen):
    position: tuple[Share, ...] = Field(min_length=1)
    returns: Share
    accident: Share


class Settings(Frozen):
    users: int = Field(ge=1, le=1_000_000)
    visits: float = Field(gt=0, le=10_000)
    sessions: int = Field(ge=1, le=100_000)
    turns: tuple[Share, ...] = Field(min_length=1)
    pool: int = Field(ge=1, le=50)
    shown: int = Field(ge=1, le=20)
    chat_share: Share
    hours: Hours
    devices: Devices
    preference: Preference
    usage: Usage
    readiness: Readiness
    tools: Tools
    attention: Attention

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        if len(self.attention.position) < self.shown:
            raise ValueError(f"attention.position has {len(self.attention.position)} places, shown is {self.shown}")
        if self.pool < self.shown:
            raise ValueError(f"pool is {self.pool}, less than shown, {self.shown}")
        return _sums_to_one(self, self.turns)


def load_settings(path: Path | None = None, changes: Sequence[str] = ()) -> Settings:
    """Settings of a TOML file, whose missing keys are the default's. changes: "part.key=value", in TOML."""
    given = _read(DEFAULT)
    if path is not None:
        given = _over(given, _read(path))
    for change in changes:
        key, found, value = change.partition("=")
        if not found:
            raise UsageError(f"{change!r} changes nothing", hint="write KEY=VALUE, such as tools.affinity=0.7")
        given = _over(given, _toml(f"{key.strip()} = {value.strip()}", f"--set {change}"))
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(
            f"{path or 'settings'}: {key}: {reason}", hint=f"every key stands in {DEFAULT.name}"
        ) from error


def dump_settings(settings: Settings) -> str:
    return tomlkit.dumps(settings.model_dump(mode="json"))


def _read(path: Path) -> dict[str, Any]:
    try:
        return _toml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is no TOML: {error}") from error


def _over(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(base)
    for key, value in top.items():
        old = joined.get(key)
        joined[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return joined


def _sums_to_one(model: T, shares: Sequence[float]) -> T:
    if not math.isclose(math.fsum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"shares add up to {math.fsum(shares):g}, not 1")
    return model
