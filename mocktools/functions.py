"""The fixed list of functions that a tool's SQL may call, and the state behind two of them.

All are deterministic given the runtime: `now()` and `today()` read the virtual clock, `new_id(prefix)`
derives from the episode's seed and a counter that is rolled back with a failed call. SQLite's own
date functions are not on the list, since they can read the wall clock; ours return NULL on bad input.
Nor is `last_insert_rowid`, which on a pooled connection remembers another episode's row.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import apsw

from mocktrial.mocktools.values import fold

BUILTIN = frozenset(
    [
        "abs",
        "avg",
        "ceil",
        "ceiling",
        "char",
        "coalesce",
        "concat",
        "concat_ws",
        "count",
        "floor",
        "format",
        "glob",
        "group_concat",
        "ifnull",
        "iif",
        "instr",
        "json",
        "json_array",
        "json_array_length",
        "json_each",
        "json_extract",
        "json_group_array",
        "json_group_object",
        "json_object",
        "json_set",
        "json_remove",
        "json_type",
        "length",
        "like",
        "lower",
        "ltrim",
        "max",
        "min",
        "mod",
        "nullif",
        "pow",
        "power",
        "printf",
        "replace",
        "round",
        "rtrim",
        "sign",
        "string_agg",
        "substr",
        "substring",
        "sum",
        "total",
        "trim",
        "typeof",
        "unicode",
        "upper",
        "row_number",
        "rank",
        "dense_rank",
        "lag",
        "lead",
        "first_value",
        "last_value",
        "->",
        "->>",
    ]
)
_UNITS = {  # factor to the base unit of its dimension
    "m": ("length", 1.0), "km": ("length", 1000.0), "mi": ("length", 1609.344), "ft": ("length", 0.3048),
    "cm": ("length", 0.01), "in": ("length", 0.0254), "g": ("mass", 1.0), "kg": ("mass", 1000.0),
    "lb": ("mass", 453.59237), "oz": ("mass", 28.349523125), "l": ("volume", 1.0), "ml": ("volume", 0.001),
    "gal": ("volume", 3.785411784), "s": ("time", 1.0), "min": ("time", 60.0), "h": ("time", 3600.0),
    "day": ("time", 86400.0),
}  # fmt: skip
_ID_SPACE = 90_000  # ids run from 10000 to 99999, so seed rows may use shorter numbers freely
_ID_STEP = 7919  # prime to _ID_SPACE: a walk that meets every number once


@dataclass
class Runtime:
    """What one episode's functions read: virtual clock, seed, id counter."""

    now: datetime = datetime(2026, 1, 1)  # noqa: DTZ001 - virtual time has no zone
    seed: int = 0
    ids: int = 0

    def now_text(self) -> str:
        return self.now.isoformat()

    def today_text(self) -> str:
        return self.now.date().isoformat()

    def new_id(self, prefix: str | None) -> str:
        start = int.from_bytes(hashlib.sha256(f"id:{self.seed}".encode()).digest()[:4], "big")
        number = 10_000 + (start + self.ids * _ID_STEP) % _ID_SPACE
        self.ids += 1
        return f"{prefix}-{number}" if prefix else str(number)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def date_add(text: str | None, days: int | None) -> str | None:
    """`date_add('2026-05-11', 2)` = '2026-05-13'."""
    day = _day(text)
    try:
        return None if day is None or days is None else (day + timedelta(days=int(days))).isoformat()
    except (OverflowError, ValueError):
        return None


def days_between(first: str | None, second: str | None) -> int | None:
    """Days from `first` to `second`."""
    a, b = _day(first), _day(second)
    return None if a is None or b is None else (b - a).days


def weekday(text: str | None) -> str | None:
    """English name of the day of the week."""
    day = _day(text)
    return None if day is None else day.strftime("%A")


def add_minutes(text: str | None, minutes: float | None) -> str | None:
    """A 'YYYY-MM-DDTHH:MM:SS' or 'HH:MM' moved by minutes, in the form it came in."""
    if text is None or minutes is None:
        return None
    clock_only = len(text) == 5
    moment = _moment(f"2000-01-01T{text}" if clock_only else text)
    try:
        moved = None if moment is None else moment + timedelta(minutes=minutes)
    except (OverflowError, ValueError):
        return None
    return None if moved is None else moved.strftime("%H:%M") if clock_only else moved.isoformat()


def minutes_between(first: str | None, second: str | None) -> float | None:
    """Minutes from `first` to `second`, both 'YYYY-MM-DDTHH:MM[:SS]'."""
    a, b = _moment(first), _moment(second)
    return None if a is None or b is None else (b - a).total_seconds() / 60


def distance_km(lat1: float | None, lon1: float | None, lat2: float | None, lon2: float | None) -> float | None:
    """Great-circle distance (haversine, radius 6371.0088 km), rounded to 0.1 km."""
    if lat1 is None or lon1 is None or lat2 is None or lon2 is None:
        return None
    p1, p2 = math.radians(lat1), math.radians(lat2)
    half = math.sin((p2 - p1) / 2) ** 2 + math.cos(p1) * math.cos(p2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return round(2 * 6371.0088 * math.asin(min(1.0, math.sqrt(half))), 1)


def convert_unit(value: float | None, source: str | None, target: str | None) -> float | None:
    """`convert_unit(2, 'km', 'm')` = 2000; NULL for unlike dimensions or unknown units."""
    a, b = _UNITS.get(source or ""), _UNITS.get(target or "")
    if value is None or a is None or b is None or a[0] != b[0]:
        return None
    return value * a[1] / b[1]


def _fold(text: object) -> str | None:
    return None if text is None else fold(str(text))


def is_text(value: object) -> bool:
    """Whether a stored value is text or NULL. Bytes are not; for half a surrogate pair APSW raises before the call."""
    return value is None or isinstance(value, str)


def _instr(text: object, part: object) -> int | None:
    """SQLite's own takes seconds to look for a long text in a long text."""
    return None if text is None or part is None else str(text).find(str(part)) + 1


def _trimmed(strip: Callable[[str, str], str]) -> Callable[[object, object], str | None]:
    """SQLite's own two-argument trims take seconds for long texts of many characters."""
    return lambda text, characters: None if text is None or characters is None else strip(str(text), str(characters))


def _or_null(function: Callable[..., object]) -> Callable[..., object]:
    """`function`, with NULL for arguments of a wrong type or out of range."""

    def call(*arguments: object) -> object:
        try:
            return function(*arguments)
        except (TypeError, ValueError, ArithmeticError):
            return None

    return call


_PURE: dict[str, tuple[Callable[..., object], int]] = {
    "add_minutes": (add_minutes, 2),
    "convert_unit": (convert_unit, 3),
    "date_add": (date_add, 2),
    "days_between": (days_between, 2),
    "distance_km": (distance_km, 4),
    "fold": (_fold, 1),
    "is_text": (is_text, 1),
    "minutes_between": (minutes_between, 2),
    "weekday": (weekday, 1),
}
_TRIMS: dict[str, Callable[[str, str], str]] = {"trim": str.strip, "ltrim": str.lstrip, "rtrim": str.rstrip}
_STATEFUL = ("now", "today", "new_id")
ALLOWED = BUILTIN | frozenset(_PURE) | frozenset(_STATEFUL)


def register(connection: apsw.Connection, runtime: Runtime) -> None:
    """Make the functions callable on `connection`, bound to `runtime`."""
    pure = {name: (_or_null(function), arity) for name, (function, arity) in _PURE.items()}
    pure |= {name: (_trimmed(strip), 2) for name, strip in _TRIMS.items()} | {"instr": (_instr, 2)}
    for name, (function, arity) in pure.items():  # innocuous: a CHECK may call them
        connection.create_scalar_function(name, function, arity, deterministic=True, flags=apsw.SQLITE_INNOCUOUS)
    stateful: dict[str, tuple[Callable[..., str], int]] = {
        "now": (runtime.now_text, 0),
        "today": (runtime.today_text, 0),
        "new_id": (runtime.new_id, 1),
    }
    for name, (method, arity) in stateful.items():
        connection.create_scalar_function(name, method, arity)
