"""Spoken dates against a given today: one ISO date, or an ISO interval "from/to" (both days included).

Readings that people differ on are fixed here: weeks begin on Monday; a bare weekday, day or month is the
next one (a bare weekday never today); "next friday" is the Friday of next week; "last friday" the latest
before today. What no rule reads gives None; dateparser is asked last, and only about a written-out date.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

import dateparser

from mocktrial.mocktools.autoslurp.spoken import digits, words

_DAYS = {name.casefold(): at for at, name in enumerate(calendar.day_name)}
_MONTHS = {name.casefold(): at for at, name in enumerate(calendar.month_name) if name}
_SHORT = {name[:3]: at for name, at in _MONTHS.items()} | {"sept": 9}
_DAY = "(?P<weekday>" + "|".join(_DAYS) + ")"
_MONTH = "(?P<month>" + "|".join([*_MONTHS, *_SHORT]) + ")"
_NUMBER = r"(?P<number>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:(?:of |in )?(?P<year>\d{4}|20 \d\d|19 \d\d|this year|next year|last year))?"
_LEAD = re.compile(r"^(?:on|for|from|since|by|in|at|of|during|until|till|to) (?=\S)")
_UNIT = r"(?P<unit>day|week|month|year|weekend)s?"
_STEP = {"last": -1, "past": -1, "previous": -1, "this": 0, "current": 0, "whole": 0, "entire": 0, "the": 0,
         "": 0, "coming": 1, "next": 1, "following": 1, "upcoming": 1}  # fmt: skip
_WHICH = "(?:the |this )?(?P<which>" + "|".join(sorted(filter(None, _STEP), key=len, reverse=True)) + ")"
_ISO = r"\d{4}-\d\d-\d\d"
_WRITTEN = re.compile(r"\d+(?:[/.\-]\d+){1,2}|\d+ [a-z]+ \d+|[a-z]+ \d+ \d+")

_Match = re.Match[str]
_Rule = Callable[[_Match, date], "str | None"]


def resolve_date(text: str, now: datetime) -> str | None:
    """ "YYYY-MM-DD", "YYYY-MM-DD/YYYY-MM-DD", or None where the text is no date."""
    spoken = digits(text)
    while True:
        shorter = _LEAD.sub("", spoken)
        for pattern, rule in _RULES:
            for form in dict.fromkeys((spoken, shorter)):
                if (match := pattern.fullmatch(form)) and (found := _apply(rule, match, now.date())):
                    return found
        if shorter == spoken:
            return _written(spoken, now)
        spoken = shorter


def _apply(rule: _Rule, match: _Match, today: date) -> str | None:
    try:
        return rule(match, today)
    except (OverflowError, ValueError):
        return None  # no such day, or beyond the calendar's years


def _written(spoken: str, now: datetime) -> str | None:
    if not _WRITTEN.fullmatch(spoken):
        return None
    found = dateparser.parse(
        spoken,
        languages=["en"],
        settings={"RELATIVE_BASE": now.replace(tzinfo=None), "REQUIRE_PARTS": ["day", "month"]},
    )
    return found.date().isoformat() if found else None


def _interval(start: date, end: date) -> str:
    return start.isoformat() if start == end else f"{start.isoformat()}/{end.isoformat()}"


def _valid(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month_after(today: date, step: int) -> date:
    """The first day of the month `step` months on."""
    months = today.year * 12 + today.month - 1 + step
    return date(months // 12, months % 12 + 1, 1)


def _end_of_month(first: date) -> date:
    return first.replace(day=calendar.monthrange(first.year, first.month)[1])


def _span(unit: str, step: int, today: date) -> tuple[date, date]:
    """First and last day of the unit `step` units on."""
    if unit == "day":
        day = today + timedelta(days=step)
        return day, day
    if unit == "month":
        first = _month_after(today, step)
        return first, _end_of_month(first)
    if unit == "year":
        return date(today.year + step, 1, 1), date(today.year + step, 12, 31)
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=step)
    return (monday + timedelta(days=5 if unit == "weekend" else 0)), monday + timedelta(days=6)


def _year(match: _Match, today: date) -> int | None:
    said = match.groupdict().get("year")
    if not said:
        return None
    if said.endswith("year"):
        return today.year + _STEP[said.split()[0]]
    return int(said.replace(" ", ""))


def _month_number(name: str) -> int:
    return _MONTHS.get(name) or _SHORT[name]


def _upcoming(month: int, day: int, today: date) -> date | None:
    """The next such day, today included; a 29th of February may be years off."""
    dates = (_valid(today.year + ahead, month, day) for ahead in range(9))
    return next((found for found in dates if found and found >= today), None)


def _shift(days: int) -> _Rule:
    return lambda match, today: (today + timedelta(days=days)).isoformat()


def _iso(match: _Match, today: date) -> str:
    ends = [date.fromisoformat(part) for part in match.group().split("/")]
    return _interval(ends[0], ends[-1])


def _relative(match: _Match, today: date) -> str | None:
    """A week, weekend, month or year from here: "next week", "the month"."""
    return _interval(*_span(match["unit"], _STEP[match["which"] or ""], today))


def _weekday(match: _Match, today: date) -> str:
    which, day = match.groupdict().get("which") or "", _DAYS[match["weekday"]]
    monday = today - timedelta(days=today.weekday())
    if which in ("this", "current"):
        return (monday + timedelta(days=day)).isoformat()
    if which in ("next", "following"):
        return (monday + timedelta(days=7 + day)).isoformat()
    if which in ("last", "past", "previous"):
        return (today - timedelta(days=(today.weekday() - day - 1) % 7 + 1)).isoformat()
    return (today + timedelta(days=(day - today.weekday() - 1) % 7 + 1)).isoformat()


def _weekday_of_week(match: _Match, today: date) -> str:
    monday, _ = _span("week", _STEP[match["which"]], today)
    return (monday + timedelta(days=_DAYS[match["weekday"]])).isoformat()


def _count(match: _Match) -> int:
    return 1 if match["count"] in ("a", "an") else int(match["count"])


def _away(match: _Match, today: date, sign: int) -> str | None:
    """The day `count` units before or after today."""
    count, unit = _count(match) * sign, match["unit"]
    if abs(count) > 5000:
        return None
    if unit in ("week", "day"):
        return (today + timedelta(days=count * (7 if unit == "week" else 1))).isoformat()
    if unit == "weekend":
        return _interval(*_span("weekend", count, today))
    first = _month_after(today, count * (12 if unit == "year" else 1))
    return first.replace(day=min(today.day, _end_of_month(first).day)).isoformat()


def _run_of(match: _Match, today: date) -> str | None:
    """The last or next so many units; the next ones begin today."""
    ahead = _STEP[match["which"]] >= 0
    count = _count(match)
    if count < 1 or count > 5000 or match["unit"] == "weekend":
        return None
    other = date.fromisoformat(_away(match, today, 1 if ahead else -1) or today.isoformat())
    day = timedelta(days=1)
    return _interval(today, other - day) if ahead else _interval(other, today - day)


def _weekend_in_weeks(match: _Match, today: date) -> str:
    return _interval(*_span("weekend", int(match["count"]), today))


def _month_day(match: _Match, today: date) -> str | None:
    month, day, year = _month_number(match["month"]), int(match["number"]), _year(match, today)
    found = _valid(year, month, day) if year else _upcoming(month, day, today)
    return found.isoformat() if found else None


def _month_alone(match: _Match, today: date) -> str | None:
    month = _month_number(match["month"])
    first = date(_year(match, today) or today.year + (month < today.month), month, 1)
    return _interval(first, _end_of_month(first))


def _day_of_month(match: _Match, today: date) -> str | None:
    day, which = int(match["number"]), match.groupdict().get("which")
    if which is not None:
        first = _month_after(today, _STEP[which])
        found = _valid(first.year, first.month, day)
        return found.isoformat() if found else None
    dates = (_valid(first.year, first.month, day) for first in (_month_after(today, n) for n in range(3)))
    return next((found.isoformat() for found in dates if found and found >= today), None)


def _nth_weekday(match: _Match, today: date) -> str | None:
    """ "last friday of the month", "1st friday of next month", "2nd monday of may"."""
    if match["month"]:
        month = _month_number(match["month"])
        first = date(today.year + (month < today.month), month, 1)
    else:
        first = _month_after(today, _STEP[match["which"] or ""])
    days = [first + timedelta(days=n) for n in range(_end_of_month(first).day)]
    days = [day for day in days if day.weekday() == _DAYS[match["weekday"]]]
    at = -1 if match["nth"] == "last" else int(match["nth"][0]) - 1
    return days[at].isoformat() if -1 <= at < len(days) else None


def _first_days(match: _Match, today: date) -> str:
    first, last = _span(match["unit"], _STEP[match["which"] or ""], today)
    return _interval(first, min(last, first + timedelta(days=int(match["count"] or 1) - 1)))


def _rest(match: _Match, today: date) -> str:
    return _interval(today, _span(match["unit"], 0, today)[1])


def _weekday_number(match: _Match, today: date) -> str | None:
    """ "friday the 13th": the next day that is both."""
    day = _DAYS[match["weekday"]]
    ahead = (today + timedelta(days=n) for n in range(5000))
    found = (one for one in ahead if one.day == int(match["number"]) and one.weekday() == day)
    return next((one.isoformat() for one in found), None)


def _holiday(match: _Match, today: date) -> str | None:
    month, day = words().holidays[match["holiday"]]
    year = _year(match, today)
    found = _valid(year, month, day) if year else _upcoming(month, day, today)
    return found.isoformat() if found else None


def _table() -> tuple[tuple[re.Pattern[str], _Rule], ...]:
    """The rules in order; the first that reads the whole text wins."""
    count = r"(?P<count>an?|\d+)"
    holidays = "(?P<holiday>" + "|".join(sorted(words().holidays, key=len, reverse=True)) + ")"
    nth = rf"(?:the )?(?P<nth>last|\dst|\dnd|\drd|\dth) {_DAY} (?:of|in) "
    first = r"(?:the )?(?:1st|start)(?: (?P<count>\d+))?(?: days?)?"
    rules: list[tuple[str, _Rule]] = [
        (rf"{_ISO}(?:/{_ISO})?", _iso),
        (r"today|tonight|(?:this|todays|the current) (?:date|day)|todays|the day", _shift(0)),
        (r"tomorrows?|tomorrow night|(?:the )?next day", _shift(1)),
        (r"yesterday|last night", _shift(-1)),
        (r"(?:the )?day after tomorrow", _shift(2)),
        (r"(?:the )?day before yesterday", _shift(-2)),
        (rf"(?:the )?rest of (?:the|this) {_UNIT}", _rest),
        (rf"(?:{_WHICH} )?(?P<unit>week|month|year|weekend)", _relative),
        (r"(?:the )?weekend after next", lambda m, d: _interval(*_span("weekend", 2, d))),
        (rf"(?:{_WHICH} )?{_DAY}", _weekday),
        (rf"{_DAY} (?:of )?{_WHICH} week", _weekday_of_week),
        (rf"{_WHICH} week (?:on )?{_DAY}", _weekday_of_week),
        (rf"{count} {_UNIT} (?:from (?:now|today)|ahead|later|hence)", lambda m, d: _away(m, d, 1)),
        (rf"(?:in|after|within) {count} {_UNIT}(?: time)?", lambda m, d: _away(m, d, 1)),
        (rf"{count} {_UNIT} (?:ago|back)", lambda m, d: _away(m, d, -1)),
        (r"weekend (?P<count>\d+) weeks? from (?:now|today)", _weekend_in_weeks),
        (rf"(?:the )?(?P<which>last|past|previous|next|coming) {count} {_UNIT}", _run_of),
        (rf"(?:the )?{_NUMBER} (?:of )?{_MONTH}(?: {_YEAR})?", _month_day),
        (rf"{_MONTH} (?:the )?{_NUMBER}(?: {_YEAR})?", _month_day),
        (rf"(?P<year>\d{{4}}|20 \d\d) {_MONTH} (?:the )?{_NUMBER}", _month_day),
        (rf"{_MONTH}(?: {_YEAR})?", _month_alone),
        (rf"(?:the )?{_NUMBER} (?:of )?(?P<which>this|the|next|last) month", _day_of_month),
        (r"(?:the )?(?P<number>\d{1,2})(?:st|nd|rd|th)", _day_of_month),
        (rf"{nth}(?:(?P<which>this|the|next|last) month|{_MONTH})", _nth_weekday),
        (rf"{first} of (?P<which>this|the|next|last) (?P<unit>month|year|week)", _first_days),
        (rf"{_DAY} (?:the )?(?P<number>\d{{1,2}})(?:st|nd|rd|th)", _weekday_number),
        (rf"{holidays}(?: {_YEAR})?", _holiday),
    ]  # fmt: skip
    return tuple((re.compile(pattern), rule) for pattern, rule in rules)


_RULES = _table()
