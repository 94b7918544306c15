"""Typed comparison of the slots a service received with the gold slots, with named leniencies.

Both sides are resolved first (`resolve_slots`), so "eight pm" equals "20:00". Each leniency is a rule that
can be switched off; the verdict says slot by slot what was compared and which rule, if any, forgave a
difference. Nothing raises: a missing, extra or different slot is a verdict.

The published scorer (Auto-SLURP, METHODS section 2) forgives any difference of `event_name` and
`list_name`. Taken literally, a call with an unrelated event name would pass. So the rules of that name
forgive wording only (articles, possessives, plurals, order, head words such as "event", one name within the
other, a name left out); `event_name_any` and `list_name_any` are the literal form, off by default. Rows that
have such a slot, and so could be decided either way: 116 of 1,000 in train.csv, 518 of 5,000 in
train_5k.csv, 13 of 100 in test.csv.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mocktrial.mocktools.autoslurp.catalog import catalog
from mocktrial.mocktools.autoslurp.resolve import Resolved, Slots, resolve, resolve_slots, said
from mocktrial.mocktools.autoslurp.resolve_time import hours, is_bare
from mocktrial.mocktools.autoslurp.spoken import words
from mocktrial.mocktools.values import JSON

PUBLISHED = frozenset({"am_pm", "descriptor_all", "event_name", "list_name", "person", "place_region", "spoken"})
RULES: Mapping[str, str] = {
    "am_pm": "am or pm may be missing on either side",
    "descriptor_all": "descriptor: all may be missing; other descriptors may not",
    "event_name": "the wording of an event's name may differ, and it may be left out",
    "list_name": "the wording of a list's name may differ, and it may be left out",
    "person": "person, from_person and to_person are one label",
    "place_region": "a place may carry its state or country",
    "spoken": "a date or time may stay as it was said, though the prompt asks for it in figures",
    "event_name_any": "an event's name may be anything (as published, taken literally)",
    "list_name_any": "a list's name may be anything (as published, taken literally)",
}
_IN_FIGURES = re.compile(r"[\d:/T-]+( ?[ap]m)?(/[\d:]+( ?[ap]m)?)?", re.IGNORECASE)
_PERSONS = ("person", "from_person", "to_person")


@dataclass(frozen=True, slots=True)
class SlotEvidence:
    """What was compared for one label. `rule` forgave a difference; empty where there was none to forgive."""

    slot: str
    expected: tuple[str, ...]  # canonical; empty: the gold call has no such slot
    actual: tuple[str, ...]  # canonical; empty: the call left it out
    ok: bool
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    ok: bool
    evidence: tuple[SlotEvidence, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules that forgave something, sorted."""
        return tuple(sorted({one.rule for one in self.evidence if one.rule}))


def compare(gold: Slots, actual: Mapping[str, JSON], *, now: datetime, rules: frozenset[str] = PUBLISHED) -> Verdict:
    """Whether `actual` (label to value) has the gold slots, no more and no less, under `rules`.

    Raises ValueError for a rule that does not exist.
    """
    if unknown := rules - RULES.keys():
        raise ValueError(f"no such rule: {', '.join(sorted(unknown))}; there are {', '.join(RULES)}")
    expected, found = resolve_slots(gold, now), resolve_slots(actual.items(), now)
    renamed = "person" in rules and _one_person(expected, found)
    evidence = [
        _slot(label, expected.get(label, ()), found.get(label, ()), now, rules)
        for label in [*expected, *(label for label in found if label not in expected)]
    ]
    if renamed:
        evidence = [_with_rule(one, "person") if one.slot in _PERSONS else one for one in evidence]
    spoken = _spoken(actual, found, now)
    if spoken and "spoken" in rules:
        evidence = [_with_rule(one, "spoken") if one.slot in spoken else one for one in evidence]
    elif spoken:
        evidence = [replace(one, ok=False) if one.slot in spoken else one for one in evidence]
    return Verdict(all(one.ok for one in evidence), tuple(evidence))


def _with_rule(one: SlotEvidence, rule: str) -> SlotEvidence:
    return replace(one, rule=one.rule or (rule if one.ok else ""))


def _spoken(actual: Mapping[str, JSON], found: Mapping[str, object], now: datetime) -> frozenset[str]:
    """The labels of `found` that have a date or a time in words."""
    facts, labels = catalog(), set()
    for name, value in actual.items():
        label = facts.label(name)
        kind = facts.kind(label)
        if kind in ("date", "time") and any(_in_words(kind, text, now) for text in said(value)):
            folded = label if label in found else label[:-1]
            labels.add(folded if folded in found else "time")
    return frozenset(labels)


def _in_words(kind: str, text: str, now: datetime) -> bool:
    if _IN_FIGURES.fullmatch(text):
        return False
    resolved = resolve(kind, text, now)
    return resolved.kind in ("date", "time") and resolved.value.casefold() != text.casefold()


def _one_person(expected: dict[str, tuple[Resolved, ...]], found: dict[str, tuple[Resolved, ...]]) -> bool:
    """Renames the call's only person label to the gold's only one; True where that changed anything."""
    wanted = [label for label in _PERSONS if label in expected]
    given = [label for label in _PERSONS if label in found]
    if len(wanted) != 1 or len(given) != 1 or wanted == given:
        return False
    found[wanted[0]] = found.pop(given[0])
    return True


def _slot(
    label: str,
    expected: tuple[Resolved, ...],
    actual: tuple[Resolved, ...],
    now: datetime,
    rules: frozenset[str],
) -> SlotEvidence:
    ok, rule = _judge(label, expected, actual, now, rules)
    texts = (tuple(one.value for one in expected), tuple(one.value for one in actual))
    return SlotEvidence(label, *texts, ok, rule)


def _judge(
    label: str,
    expected: tuple[Resolved, ...],
    actual: tuple[Resolved, ...],
    now: datetime,
    rules: frozenset[str],
) -> tuple[bool, str]:
    """Whether the slot passes, and the rule that forgave a difference."""
    if not expected:
        return False, ""
    if f"{label}_any" in rules and expected != actual:
        return True, f"{label}_any"
    if not actual:
        if label == "descriptor" and {one.value for one in expected} == {"all"} and "descriptor_all" in rules:
            return True, "descriptor_all"
        return (True, label) if label in words().head_words and label in rules else (False, "")
    if len(expected) != len(actual):
        return False, ""
    used = ""
    for want, got in zip(expected, actual, strict=True):
        ok, rule = _same(label, want, got, now, rules)
        used = used or rule
        if not ok:
            return False, ""
    return True, used


def _same(label: str, want: Resolved, got: Resolved, now: datetime, rules: frozenset[str]) -> tuple[bool, str]:
    """Whether two values mean the same, and the rule that was needed for it."""
    if want.value == got.value:
        return True, ""
    if want.kind == got.kind == "time":
        return _same_time(want.value, got.value, now, "am_pm" in rules)
    if want.kind == got.kind == "place" and "place_region" in rules:
        return _same_city(want.value, got.value)
    if label in words().head_words and label in rules and _same_wording(label, want.value, got.value):
        return True, label
    return False, ""


def _same_time(want: str, got: str, now: datetime, lenient: bool) -> tuple[bool, str]:
    """Times and spans end by end; a moment equals the time of day it falls on within a day from now."""
    wanted, given = want.split("/"), got.split("/")
    if len(wanted) != len(given):
        return False, ""
    used = ""
    for left, right in ((_of_day(a, now), _of_day(b, now)) for a, b in zip(wanted, given, strict=True)):
        if left == right or not (_is_time(left) and _is_time(right)):
            if left != right:
                return False, ""
        elif lenient and (is_bare(left) or is_bare(right)):
            if (int(left[:2]) - int(right[:2])) % 12 or left[3:5] != right[3:5]:
                return False, ""
            used = "am_pm"
        elif hours(left) != hours(right):
            return False, ""
    return True, used


def _is_time(text: str) -> bool:
    return bool(re.fullmatch(r"\d\d:\d\d(?: [ap]m)?", text))


def _of_day(text: str, now: datetime) -> str:
    """A moment within a day of now as a time of day, its half known; anything else as it is."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text):
        return text
    away = (datetime.fromisoformat(text) - now.replace(tzinfo=None)).total_seconds()
    if not -60 < away < 86_400:
        return text
    time = text[11:]
    return f"{time} {'am' if time < '12:00' else 'pm'}" if is_bare(time) else time


def _same_city(want: str, got: str) -> tuple[bool, str]:
    """The same city where at most one side names its state or country."""
    (city, _, region), (other, _, given) = want.partition(", "), got.partition(", ")
    same = city == other and not (region and given)
    return same, "place_region" if same else ""


def _same_wording(label: str, want: str, got: str) -> bool:
    """Whether one name's content words, taken without order and number, contain the other's."""
    heads = words().head_words[label]
    left, right = _content(want, heads), _content(got, heads)
    return bool(left and right) and (left <= right or right <= left)


def _content(name: str, heads: frozenset[str]) -> frozenset[str]:
    """The words that carry a name's meaning, singular; all of its words where none does."""
    empty = words().small_words | heads
    content = [word for word in name.split() if word not in empty] or name.split()
    return frozenset(_singular(word) for word in content)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
