"""Reader of Auto-SLURP's released files (train.csv, test.csv, train_5k.csv), whose headers differ.

Every row is kept. What a row's slots leave in doubt stands in its `problems`; labels and intents that no
service has are counted in the dataset's `unmapped`. A file that is missing, is no CSV, lacks a column or
has a row of the wrong length raises `UsageError` naming file, line and next step.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mocktrial.mocktools.autoslurp.catalog import Catalog, catalog
from mocktrial.mocktools.autoslurp.slot_list import SlotList, parse_lists
from mocktrial.mocktools.errors import UsageError

COLUMNS: Mapping[str, tuple[str, ...]] = {  # field to the headers it goes by
    "id": ("id",),
    "query": ("query", "sentence"),
    "intent": ("intent",),
    "slots": ("slots",),
    "action": ("action",),
    "domain": ("domain",),
}
OPTIONAL = frozenset({"action", "domain"})
_INTENTS = re.compile(r"\s*[;,]\s*")
_HINT = "give one of Auto-SLURP's released files, such as test.csv"


@dataclass(frozen=True, slots=True)
class GoldCall:
    """One call that the row asks for. Labels are in the services' spelling; a label may come twice."""

    intent: str
    slots: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    query: str  # what the person said
    calls: tuple[GoldCall, ...]
    action: str
    domain: str  # empty where the file has none
    raw: str  # the slots column as released
    problems: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()  # "intent" or "intent.label" that no service has
    foreign: tuple[str, ...] = ()  # "intent.label" that only other services list


@dataclass(frozen=True, slots=True)
class Dataset:
    path: str
    rows: tuple[Row, ...]

    @property
    def unmapped(self) -> dict[str, int]:
        """How often each intent or intent.label that no service has occurs, most frequent first."""
        return _counts(label for row in self.rows for label in row.unmapped)

    @property
    def foreign(self) -> dict[str, int]:
        """How often each intent.label occurs that other services list, but not the intent's own."""
        return _counts(label for row in self.rows for label in row.foreign)

    @property
    def rows_unmapped(self) -> int:
        return sum(1 for row in self.rows if row.unmapped)

    @property
    def notes(self) -> tuple[str, ...]:
        """One line a doubt: row id and problem."""
        return tuple(f"row {row.id}: {problem}" for row in self.rows for problem in row.problems)


def _counts(labels: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0])))


def read(path: str | Path) -> Dataset:
    """All rows of one released file, in order. Raises `UsageError`."""
    path = Path(path)
    return Dataset(str(path), tuple(_row(record) for record in _records(path)))


def _records(path: Path) -> Iterator[dict[str, str]]:
    """Each line as a mapping of our field names."""
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            places = _places(path, header)
            for cells in reader:
                line = reader.line_num
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise UsageError(
                        f"{path}, line {line}: {len(cells)} cells where the header has {len(header)}",
                        hint="mend or remove that line",
                    )
                record = {field: cells[at].strip() for field, at in places.items()}
                if not record["id"] or not record["intent"]:
                    empty = "intent" if record["id"] else "id"
                    raise UsageError(f"{path}, line {line}: the {empty} is empty", hint="mend that line")
                yield record
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", hint=_HINT) from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", hint=_HINT) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path}, after line {line}: not a CSV file ({error})", hint=_HINT) from error


def _places(path: Path, header: list[str]) -> dict[str, int]:
    """Where each field stands. Raises `UsageError` naming the missing column."""
    places: dict[str, int] = {}
    for field, names in COLUMNS.items():
        found = [header.index(name) for name in names if name in header]
        if found:
            places[field] = found[0]
        elif field not in OPTIONAL:
            raise UsageError(f"{path}, line 1: no column {' or '.join(map(repr, names))}", hint=_HINT)
    return places


def _row(record: Mapping[str, str]) -> Row:
    facts = catalog()
    intents = [facts.intent_aliases.get(name, name) for name in _INTENTS.split(record["intent"]) if name]
    lists = parse_lists(record["slots"], frozenset(facts.kinds) | frozenset(facts.aliases))
    problems = [problem for one in lists for problem in one.problems]
    calls = _calls(intents, lists, facts, problems)
    unmapped = [call.intent for call in calls if _is_unlisted(call.intent, facts)]
    foreign: list[str] = []
    for call in calls:
        for label, _ in call.slots:
            _sort_label(call.intent, label, facts, unmapped, foreign)
    return Row(
        id=record["id"],
        query=record["query"],
        calls=calls,
        action=record.get("action", ""),
        domain=record.get("domain", ""),
        raw=record["slots"],
        problems=tuple(dict.fromkeys(problems)),
        unmapped=tuple(dict.fromkeys(unmapped)),
        foreign=tuple(dict.fromkeys(foreign)),
    )


def _calls(
    intents: list[str], lists: tuple[SlotList, ...], facts: Catalog, problems: list[str]
) -> tuple[GoldCall, ...]:
    """The n-th list belongs to the n-th intent; lists left over go to the last intent."""
    slots: list[list[tuple[str, str]]] = [[] for _ in intents]
    for at, one in enumerate(lists):
        slots[min(at, len(intents) - 1)] += [(facts.label(name), value) for name, value in one.slots]
    if len(lists) != len(intents):
        problems.append(f"{len(intents)} intents but {len(lists)} lists of slots")
    for intent, own in zip(intents, slots, strict=True):
        names = Counter(name for name, _ in own)
        problems += [f"{intent}: {name} comes {count} times" for name, count in names.items() if count > 1]
    return tuple(GoldCall(intent, tuple(own)) for intent, own in zip(intents, slots, strict=True))


def _is_unlisted(intent: str, facts: Catalog) -> bool:
    return intent not in facts.intents or facts.intents[intent].unlisted


def _sort_label(intent: str, label: str, facts: Catalog, unmapped: list[str], foreign: list[str]) -> None:
    """Adds `intent.label` to the list it belongs to, if any."""
    known = facts.intents.get(intent)
    if known is not None and not known.service:
        return  # the agent answers by itself: nothing is sent
    own = facts.services[known.service] if known else None
    if own and label in own.slots:
        return
    local = any(label in one.slots for one in facts.services.values() if not one.external)
    (foreign if local else unmapped).append(f"{intent}.{label}")
