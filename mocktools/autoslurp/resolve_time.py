"""Spoken times of day, spans and durations against a given now.

A time is "HH:MM" on the 24-hour clock. Where the half of the day was said and the digits do not show it,
" am" or " pm" follows ("06:00 am", "12:00 pm"; "18:00" needs none): a bare "06:00" or "12:00" left it open.
Spans are "from/to", open ends "..": "after two pm" is "14:00/..". A moment counted from now is
"YYYY-MM-DDTHH:MM"; a length is an ISO 8601 duration ("PT20M"). What no rule reads gives None.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mocktrial.mocktools.autoslurp.spoken import digits, words

_HALF = r"(?: ?(?P<half>[ap]m))?"
_CLOCK = re.compile(rf"(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d)(?::\d\d)?| (?P<spoken>[0-5]?\d))?(?: oclock)?{_HALF}")
_MILITARY = re.compile(rf"(?P<hour>\d{{1,2}})(?: ?(?P<minute>\d\d))(?: hours)?{_HALF}")
_THOUSAND = re.compile(rf"(?P<hour>1\d) ?(?P<minute>00)(?: hours)?{_HALF}")
_PAST = re.compile(
    rf"(?P<count>half|(?:a )?quarter|\d{{1,2}})(?: minutes?)? (?P<way>past|after|to|till|before) "
    rf"(?P<hour>\d{{1,2}})(?: oclock)?{_HALF}"
)
_EARLIER = re.compile(r"(?P<count>an?|\d+) (?P<unit>minute|hour)s? (?P<way>before|after) (?P<time>.+)")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d)?")
_DURATION = re.compile(
    r"(?:for )?(?:the )?(?P<count>an?|half an?|\d+)(?: and (?P<half>half|a half))? "
    r"(?P<unit>minute|hour|day|week)s?"
)
_ISO_DURATION = re.compile(r"p(?:\d+d)?(?:t(?=\d)(?:\d+h)?(?:\d+m)?)?(?<!p)")
_AWAY = re.compile(r"(?:in|after|within) (?:the )?(?:next )?(?P<length>.+)|(?P<length2>.+) (?:from now|ahead|later)")
_AGO = re.compile(r"(?P<length>.+) ago")
_SPAN = re.compile(
    r"(?:for |from |in |within |during )?(?:the )?(?P<which>last|past|previous|next|coming|this) "
    r"(?P<length>.+)"
)
_BETWEEN = re.compile(
    r"(?:between |from )?(?P<start>.+?) (?:and|to|until|till|-) (?P<end>.+)"
    r"|(?P<a>[^/]*[:.][^/]*)/(?P<b>[^/]*[:.][^/]*)"
)
_MINUTES_TO = re.compile(r"(?:1[3-9]|[2-5]\d) (?:to|till) .+")
_BOUND = re.compile(r"(?P<way>before|until|till|after|since|past) (?P<time>.+)")
_LEAD = re.compile(r"^(?:at|by|for|on|around|about|exactly|approximately|from) (?=\S)")
_IN_PERIOD = re.compile(
    r"(?P<time>.+?) (?P<period>(?:in the |at |this |the )?(?:morning|afternoon|evening|night|tonight))"
)


def resolve_time(text: str, now: datetime) -> str | None:
    """A time, span, moment or duration as the module describes, or None where the text is none."""
    spoken = digits(text)
    while True:
        try:
            found = _moment_or_span(spoken, now) or _point(spoken)
        except OverflowError:
            return None  # beyond the calendar's years
        shorter = _LEAD.sub("", spoken)
        if found or shorter == spoken:
            return found
        spoken = shorter


def resolve_period(text: str) -> str | None:
    """The name of a part of the day: "this morning" gives "morning"."""
    spoken = digits(text)
    name = words().period_aliases.get(spoken, spoken)
    return name if name in words().periods else None


def period_span(name: str) -> str:
    """The hours of a part of the day: "afternoon" gives "12:00/17:00"."""
    return "/".join(words().periods[name])


def within_period(time: str, name: str) -> str | None:
    """A bare time read inside a part of the day ("06:00", "evening": "18:00"), else None."""
    if not re.fullmatch(r"\d\d:\d\d", time) or not 1 <= int(time[:2]) <= 12:
        return None
    half = "am" if name == "morning" else "pm"
    hour = int(time[:2])
    if name == "night":
        half = "am" if hour == 12 or hour < 5 else "pm"
    return clock(hour, int(time[3:]), half)


def in_period(time: str, name: str) -> bool:
    """Whether a time whose half of the day is known lies in that part of the day (nights end at five)."""
    start, end = words().periods[name]
    at = hours(time)
    return start <= at <= end or (name == "night" and (at < "05:00" or at >= "17:00"))


def is_bare(time: str) -> bool:
    """Whether the half of the day was left open."""
    return bool(re.fullmatch(r"(0[1-9]|1[0-2]):\d\d", time))


def hours(time: str) -> str:
    """ "HH:MM" on the 24-hour clock, a bare time as it stands."""
    return time[:5]


def clock(hour: int, minute: int, half: str | None) -> str | None:
    """The canonical time, or None where there is no such time."""
    if minute > 59 or hour > 24:
        return None
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
        suffix = " am" if 1 <= hour < 12 else " pm" if hour == 12 else ""
        return f"{hour:02}:{minute:02}{suffix}"
    return f"{hour % 24:02}:{minute:02}"


def _point(spoken: str) -> str | None:
    """A time of day."""
    if spoken in words().clock_words:
        return words().clock_words[spoken]
    for pattern in (_CLOCK, _MILITARY, _THOUSAND):
        if match := pattern.fullmatch(spoken):
            parts = match.groupdict()
            found = clock(int(parts["hour"]), int(parts["minute"] or parts.get("spoken") or 0), parts["half"])
            if found:
                return found
    if match := _PAST.fullmatch(spoken):
        return _past(match)
    if match := _EARLIER.fullmatch(spoken):
        return _earlier(match)
    if match := _IN_PERIOD.fullmatch(spoken):
        period, time = resolve_period(match["period"]), _point(match["time"])
        if period and time:
            return within_period(time, period) or time
    return None


def _past(match: re.Match[str]) -> str | None:
    """ "half past six", "quarter to 7", "20 past 3 pm"."""
    said = match["count"]
    minutes = 30 if said == "half" else 15 if said.endswith("quarter") else int(said)
    if int(match["hour"]) > 24 or minutes > 59:
        return None
    time = clock(int(match["hour"]), 0, match["half"])
    return time and _move(time, minutes if match["way"] in ("past", "after") else -minutes)


def _earlier(match: re.Match[str]) -> str | None:
    """ "15 minutes before 12 pm"."""
    time = _point(match["time"])
    count = 1 if match["count"] in ("a", "an") else int(match["count"])
    minutes = count * (60 if match["unit"] == "hour" else 1)
    return time and _move(time, minutes if match["way"] == "after" else -minutes)


def _move(time: str, minutes: int) -> str | None:
    """The time so many minutes on; a bare time stays bare."""
    at = (int(time[:2]) * 60 + int(time[3:5]) + minutes) % 1440
    hour, minute = divmod(at, 60)
    if is_bare(time):
        return f"{(hour - 1) % 12 + 1:02}:{minute:02}"
    return clock((hour - 1) % 12 + 1, minute, "pm" if hour >= 12 else "am")


def _length(text: str) -> timedelta | None:
    if text in ("hour", "minute"):
        text = f"an {text}"
    text = re.sub(r"^(\d+) hours? and (?:a )?half$", r"\1 and half hours", text)
    match = _DURATION.fullmatch(text)
    if not match:
        return None
    said, unit = match["count"], timedelta(**{match["unit"] + "s": 1})
    count = 0.5 if said.startswith("half") else 1 if said in ("a", "an") else int(said)
    length = (count + (0.5 if match["half"] else 0)) * unit if count < 10_000 else timedelta()
    return length if length >= timedelta(minutes=1) else None  # what is shorter stays text


def _short_length(text: str) -> timedelta | None:
    """A length said in minutes or hours."""
    return None if re.search(r"\b(?:day|week)s?$", text) else _length(text)


def _iso_length(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    days, minutes = divmod(minutes, 1440)
    hour, minute = divmod(minutes, 60)
    clocked = (f"{hour}H" if hour else "") + (f"{minute}M" if minute else "")
    return "P" + (f"{days}D" if days else "") + (f"T{clocked}" if clocked else "")


def _moment_or_span(spoken: str, now: datetime) -> str | None:
    """Everything that is not a plain time of day."""
    at = now.replace(tzinfo=None)
    if spoken in ("now", "right now", "immediately"):
        return _stamp(at)
    if _MOMENT.fullmatch(spoken):
        try:
            return _stamp(datetime.fromisoformat(spoken.upper()))
        except ValueError:
            return None
    if _ISO_DURATION.fullmatch(spoken):
        return spoken.upper()
    if length := _length(spoken):
        return _iso_length(length)
    if period := resolve_period(spoken):
        return period_span(period)
    return _counted(spoken, at) or _between(spoken, now) or _bounded(spoken, now)


def _counted(spoken: str, at: datetime) -> str | None:
    """Moments and spans counted from now; whole days and weeks are left to the dates."""
    for pattern, sign in ((_AWAY, 1), (_AGO, -1)):
        match = pattern.fullmatch(spoken)
        length = _short_length(next(filter(None, match.groups()), "")) if match else None
        if length:
            return _stamp(at + sign * length)
    match = _SPAN.fullmatch(spoken)
    length = _short_length(match["length"]) if match else None
    if not match or not length:
        return None
    if match["which"] in ("next", "coming"):
        return f"{_stamp(at)}/{_stamp(at + length)}"
    if match["which"] == "this":
        start = at.replace(minute=0)
        return f"{_stamp(start)}/{_stamp(start + length)}"
    return f"{_stamp(at - length)}/{_stamp(at)}"


def _between(spoken: str, now: datetime) -> str | None:
    """ "10 to 11 am", "9 am/5 pm": two ends, each a time or a moment. "20 to 3" is a time, no span."""
    match = _BETWEEN.fullmatch(spoken)
    if not match or _MINUTES_TO.fullmatch(spoken):
        return None
    ends = [_end(match["start"] or match["a"], now), _end(match["end"] or match["b"], now)]
    if not ends[0] or not ends[1]:
        return None
    return f"{ends[0]}/{ends[1]}"


def _end(text: str, now: datetime) -> str | None:
    if text == "..":
        return text
    if _MOMENT.fullmatch(text):
        return _moment_or_span(text, now)
    return _point(text)


def _bounded(spoken: str, now: datetime) -> str | None:
    """ "before noon", "after 2 pm"."""
    match = _BOUND.fullmatch(spoken)
    time = match and _end(match["time"], now)
    if not match or not time:
        return None
    return f"{time}/.." if match["way"] in ("after", "since", "past") else f"../{time}"


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="minutes")[:16]
