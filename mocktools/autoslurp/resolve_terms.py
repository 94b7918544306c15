"""Places, amounts and the small closed vocabularies: currencies, time zones, relations, frequencies, e-mail.

Each function gives the canonical text, or None where it does not know the wording. Tables: `words.json`.
"""

from __future__ import annotations

import re

from mocktrial.mocktools.autoslurp.spoken import digits, names_of, plain, words

_AMOUNT = re.compile(
    r"(?:by |to |at |level |volume |number |number of )*(?P<number>[-+]?\d+(?:\.\d+)?)"
    r"(?: ?(?P<percent>%|percent|per cent))?(?: (?:levels?|points?|notches|notch|times?|degrees?))?"
)
_ORDINAL = re.compile(r"(?:the )?(?P<number>\d+)(?:st|nd|rd|th)")


def resolve_amount(text: str) -> str | None:
    """ "fifty percent" gives "50%", "a thousand" "1000", "max" "maximum"."""
    spoken = digits(text)
    spoken = spoken.removeprefix("by ") if spoken != "by" else spoken
    if spoken in ("half", "a half", "one half"):
        return "50%"
    if spoken in ("a", "an"):
        return "1"
    if extreme := names_of("extremes").get(spoken):
        return extreme
    match = _AMOUNT.fullmatch(spoken) or _ORDINAL.fullmatch(spoken)
    if not match:
        return None
    number = float(match["number"])
    said = f"{number:.0f}" if number.is_integer() else f"{number}".rstrip("0")
    return said + ("%" if match.groupdict().get("percent") else "")


def resolve_place(text: str) -> str:
    """A place as "city" or "city, region": "dallas texas" gives "dallas, texas", "my city" "new york"."""
    table = words()
    city, said = (plain(part) for part in text.partition(",")[::2])
    whole = plain(text)
    if city and (region := _region(said, bare=False)):
        return f"{table.place_aliases.get(city, city)}, {region}"
    if whole in table.home_words:
        return table.home
    if whole in table.place_aliases:
        return table.place_aliases[whole]
    if known := names_of("regions").get(whole):
        return known if whole not in table.region_words or whole == "us" else whole
    pieces = whole.split()
    for size in range(min(3, len(pieces) - 1), 0, -1):
        if region := _region(" ".join(pieces[-size:]), bare=True):
            city = " ".join(pieces[:-size])
            return f"{table.place_aliases.get(city, city)}, {region}"
    return whole


def _region(text: str, *, bare: bool) -> str | None:
    """The full name of a state or country. Abbreviations that are words count after a comma only."""
    if bare and text in words().region_words:
        return None
    return names_of("regions").get(text)


def resolve_currency(text: str) -> str | None:
    """The ISO code: "us dollars" gives "USD"."""
    spoken = plain(text).removeprefix("the ")
    table = names_of("currencies")
    singular = spoken.removesuffix("s")
    return table.get(spoken) or table.get(singular) or table.get("the " + spoken)


def resolve_timezone(text: str) -> str | None:
    spoken = plain(text).removesuffix(" zone").removesuffix(" time")
    return names_of("timezones").get(spoken)


def resolve_relation(text: str) -> str:
    """ "my mom" gives "mother"; what the table lacks stays as said."""
    spoken = plain(text).removeprefix("my ").removeprefix("the ")
    return names_of("relations").get(spoken, spoken)


def resolve_frequency(text: str) -> str:
    """ "every day" gives "daily"; other frequencies keep their words, numbers as digits."""
    spoken = plain(digits(text))
    return names_of("frequencies").get(spoken, spoken)


def resolve_email(text: str) -> str:
    """ "john@gmail dot com" gives "john@gmail.com"."""
    spoken = re.sub(r"\s+dot\s+", ".", text.casefold().strip())
    return re.sub(r"\s+at\s+", "@", spoken).replace(" ", "")
