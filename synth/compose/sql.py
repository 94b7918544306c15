"""Small builders of SQL text over a design. Strings in, strings out; names come from the design, never from a user."""

from __future__ import annotations

from collections.abc import Sequence

from mocktrial.synth.compose.design import LinkDesign, RecordDesign, RuleDesign, ThingDesign
from mocktrial.synth.kits import Field

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def quoted(words: Sequence[str]) -> str:
    """`'a', 'b'`"""
    return ", ".join("'" + word.replace("'", "''") + "'" for word in words)


def text(word: str) -> str:
    return quoted((word,))


def active(record: RecordDesign, alias: str) -> str:
    """Whether the record at `alias` counts for rules."""
    return f"{alias}.status IN ({quoted(record.active)})"


def join_links(record: RecordDesign, alias: str, links: Sequence[LinkDesign]) -> str:
    """JOIN of linked things, each under `t0`, `t1`, ..."""
    parts = (
        f" JOIN {link.to.table} t{number} ON t{number}.{link.to.key} = {alias}.{link.column}"
        for number, link in enumerate(links)
    )
    return "".join(parts)


def taken_by(record: RecordDesign, link: LinkDesign, owner: str) -> str:
    """Number of active records of the thing whose id is the expression `owner`."""
    return f"(SELECT count(*) FROM {record.table} q WHERE q.{link.column} = {owner} AND {active(record, 'q')})"


def free_places(record: RecordDesign, rule: RuleDesign, alias: str) -> str:
    """Places left of the thing at `alias` under a capacity rule."""
    link = record.link(rule.rule.capacity or "")
    return f"{alias}.{rule.rule.by} - {taken_by(record, link, f'{alias}.{link.to.key}')}"


def flag_holds(field: Field, value: str, column: str) -> str:
    return column if field.kind == "flag" else f"{column} = {text(value)}"


def tellings(column: str, rest: str, kind: str) -> str:
    """A query of the ways to tell what `SELECT column rest` gives: a day as "2026-05-12", "12 May" or "May 12"."""
    if kind != "day":
        return f"SELECT {column} {rest}"
    month, day = _month(column), f"ltrim(substr({column}, 9), '0')"
    ways = (column, f"{day} || ' ' || {month}", f"{month} || ' ' || {day}")
    return " UNION ALL ".join(f"SELECT {way} {rest}" for way in ways)


def vague_day(day: str) -> str:
    """About when a day is: "early in May"."""
    middle = f"WHEN substr({day}, 9) < '21' THEN 'in the middle of '"
    part = f"CASE WHEN substr({day}, 9) < '11' THEN 'early in ' {middle} ELSE 'late in ' END"
    return f"({part}) || {_month(day)}"


def vague_time(time: str) -> str:
    """About when a time is: "in the morning"."""
    later = f"WHEN {time} < '17:00' THEN 'in the afternoon' ELSE 'in the evening'"
    return f"CASE WHEN {time} < '12:00' THEN 'in the morning' {later} END"


def _month(day: str) -> str:
    months = " ".join(f"WHEN '{number:02}' THEN '{name}'" for number, name in enumerate(_MONTHS, 1))
    return f"(CASE substr({day}, 6, 2) {months} END)"


def plain_number(expression: str) -> str:
    """A number without the decimals that it does not need: 81, 81.5."""
    whole = f"CAST({expression} AS INTEGER)"
    return f"CASE WHEN {expression} = {whole} THEN {whole} ELSE {expression} END"


def others(thing: ThingDesign, name: str) -> str:
    """Names of the other rows of a thing than the one whose name is bound as `name`."""
    return f"SELECT name FROM {thing.table} WHERE name <> :{name} ORDER BY name LIMIT 9"
