"""The compact notation of columns and parameters in the catalogue's files.

    column      TYPE[?] [LOW..HIGH] [-> table.column] [; description]
    parameter   TYPE[[]][?] [LOW..HIGH] [= default] [; description]

TYPE is text, integer, real, boolean, date, time, datetime, json, or choices "a|b|c". A parameter's may also be
`table.column`: the value of that column in some row, which must exist. `?`: may be null, or left out. `[]`: a
list. LOW..HIGH bounds a number, or the length of a text or a list. Mistakes are `SpecError`.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, get_args

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.spec import Column, ColumnType, Frozen

Kind = Literal["text", "integer", "real", "boolean", "date", "time", "datetime", "json"]
_KINDS: frozenset[str] = frozenset(get_args(ColumnType))
_NOTATION = re.compile(
    r"(?P<type>[a-z]\w*(?:\.\w+)?|[\w.+ -]+(?:\|[\w.+ -]+)+?)(?P<many>\[\])?(?P<optional>\?)?"
    r"(?:\s+(?P<low>-?\d+(?:\.\d+)?)\.\.(?P<high>-?\d+(?:\.\d+)?))?"
    r"(?:\s*->\s*(?P<references>\w+\.\w+))?(?:\s*=\s*(?P<default>[^;]+?))?(?:\s*;\s*(?P<about>.+))?"
)
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_DATETIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:00$"
_LONGEST = 200  # characters of a text without bounds of its own


class Reading(Frozen):
    """One notation, taken apart."""

    type: Kind
    choices: tuple[str, ...] = ()
    row_of: str = ""  # a parameter that names a row: "table.column"
    many: bool = False
    optional: bool = False
    low: float | None = None
    high: float | None = None
    references: str = ""
    default: Any = None
    about: str = ""


def read_notation(text: str, where: str) -> Reading:
    """`text` taken apart; `where` stands in errors."""
    found = _NOTATION.fullmatch(text.strip())
    if not found:
        raise SpecError(f"{where}: cannot read {text!r}", hint="mocktools/systoolkit/notation.py has the notation")
    given = found["type"].strip()
    choices = tuple(part.strip() for part in given.split("|")) if "|" in given else ()
    row_of = given if "." in given and not choices else ""
    kind = "text" if choices or row_of else given
    if kind not in _KINDS:
        raise SpecError(
            f"{where}: {given!r} is no type", hint=f"types are {', '.join(sorted(_KINDS))}, a|b, table.column"
        )
    low, high = (None if found[name] is None else float(found[name]) for name in ("low", "high"))
    return Reading.model_validate(
        {
            "type": kind, "choices": choices, "row_of": row_of, "many": bool(found["many"]),
            "optional": bool(found["optional"]) or found["default"] is not None, "low": low, "high": high,
            "references": found["references"] or "", "default": _default(found["default"], kind),
            "about": found["about"] or "",
        }
    )  # fmt: skip


def _default(text: str | None, kind: str) -> Any:
    return text if text is None or kind not in ("integer", "real", "boolean", "json") else json.loads(text)


def column(name: str, text: str, where: str) -> tuple[Column, tuple[str, ...]]:
    """The column, and the checks that its bounds make."""
    read = read_notation(text, f"{where}.{name}")
    made = Column(
        name=name, type=read.type, null=read.optional, choices=read.choices, references=read.references,
        description=read.about,
    )  # fmt: skip
    if read.low is None or read.high is None:
        return made, ()
    measured = f"length({name})" if read.type == "text" else name
    return made, (f"{measured} BETWEEN {read.low:g} AND {read.high:g}",)


def parameter(read: Reading) -> dict[str, Any]:
    """The JSON Schema of a parameter."""
    schema = _schema_of_one(read)
    if read.many:
        schema = {"type": "array", "items": schema, "minItems": int(read.low or 1), "maxItems": int(read.high or 10)}
    if read.default is not None:
        schema["default"] = read.default
    return schema | ({"description": read.about} if read.about else {})


def _schema_of_one(read: Reading) -> dict[str, Any]:
    bounded = read.low is not None and read.high is not None and not read.many
    low, high = (read.low or 0, read.high or 0) if bounded else (None, None)
    match read.type:
        case "integer" if low is not None and high is not None:
            return {"type": "integer", "minimum": int(low), "maximum": int(high)}
        case "real" if bounded:
            return {"type": "number", "minimum": low, "maximum": high}
        case "integer" | "real":
            return {"type": "integer" if read.type == "integer" else "number"}
        case "boolean":
            return {"type": "boolean"}
        case "date":
            return {"type": "string", "format": "date"}
        case "time":
            return {"type": "string", "pattern": _TIME}
        case "datetime":
            return {"type": "string", "pattern": _DATETIME}
        case "json":
            raise SpecError("a parameter cannot be json", hint="use text, or a list: text[]")
        case "text":
            if read.choices:
                return {"type": "string", "enum": list(read.choices)}
            return {"type": "string", "minLength": int(low or 1), "maxLength": int(high or _LONGEST)}
