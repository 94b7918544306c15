"""Kits: what a kind of organisation works with, as data. `synth/library/SECTOR/NAME.toml` holds one each.

A kit names things (who and what there is), records (what happens between them, with a life cycle), the rules
that bind them and the words that people use. It holds no tool, no SQL and no task: `compose` makes worlds of
many structures out of one kit. docs/kits.md has the form. A broken file is a `SpecError` with file and key.
"""

from __future__ import annotations

import tomllib
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import Field as field
from pydantic import ValidationError, model_validator

from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.files import broken, read_text
from mocktrial.mocktools.spec import Frozen, Name

Kind = Literal["choices", "whole", "money", "day", "time", "flag", "text"]
_KINDS: tuple[Kind, ...] = ("choices", "whole", "money", "day", "time", "flag", "text")
Span = tuple[int, int]


class Field(Frozen):
    """One property. Exactly one of the keys in `_KINDS` says what its values are."""

    name: Name
    choices: tuple[str, ...] = ()
    whole: Span | None = None  # first and last, in steps of `step`
    money: Span | None = None  # whole units of currency
    day: Span | None = None  # days from the virtual today, first and last
    time: Span | None = None  # hours of the day, first and last; on the half hour
    flag: str = ""  # what it means when true: "insured"
    text: str = ""  # words that people may put there: a mimesis provider, "address.address"
    step: int = field(default=1, ge=1)
    unit: str = ""  # spoken after a number: "kg"
    label: str = ""  # "phone number"; the name with spaces when empty
    also: tuple[str, ...] = ()  # other words for the label
    prep: str = ""  # word before the value in a record's phrase: "on", "at", "for"
    change: bool = False  # people ask to change it
    optional: bool = False  # a world may lack it
    low: str = ""  # what people call the one with the least: "cheapest"
    high: str = ""  # and with the most: "largest"

    @property
    def kind(self) -> Kind:
        return next(kind for kind in _KINDS if getattr(self, kind))

    @property
    def words(self) -> str:
        return self.label or self.name.replace("_", " ")

    @model_validator(mode="after")
    def _one_kind(self) -> Field:
        given = [kind for kind in _KINDS if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"field {self.name}: needs exactly one of {', '.join(_KINDS)}; has {given or 'none'}")
        if self.kind == "choices" and len(set(self.choices)) < 2:
            raise ValueError(f"field {self.name}: needs at least two choices")
        if (self.low or self.high) and self.kind not in ("whole", "money", "day", "time"):
            raise ValueError(f"field {self.name}: low and high go with numbers, money, days and times")
        return self


class Thing(Frozen):
    """Who or what there is: people, places, goods. Each has a name that people call it by, unique in its table."""

    name: Name
    plural: str = ""
    also: tuple[str, ...] = ()  # other nouns; "person/people" where the plural is not regular
    people: bool = False  # called by a first and a last name
    called: tuple[str, ...] = ()  # names, at least as many as `count` allows; not for people
    of: Name | None = None  # the thing that each belongs to
    count: Span = (6, 10)
    fields: tuple[Field, ...] = ()
    optional: bool = False

    @model_validator(mode="after")
    def _named(self) -> Thing:
        if self.people == bool(self.called):
            raise ValueError(f"thing {self.name}: give either people = true or called = [names]")
        if self.called and len(set(self.called)) < self.count[1]:
            raise ValueError(f"thing {self.name}: called has fewer than {self.count[1]} different names")
        return self


class Link(Frozen):
    thing: Name
    prep: str = "for"  # "a visit for Rex with Dr Ito"
    role: Name | None = None  # where a record links to one kind of thing twice
    change: bool = False  # people ask for another one

    @property
    def name(self) -> str:
        return self.role or self.thing


class Move(Frozen):
    """One step of a record's life: `verb` takes it from one of `of` to `to`."""

    verb: str  # "check in", as the user says it
    also: tuple[str, ...] = ()
    of: tuple[str, ...]
    to: str
    confirm: bool = False  # the rules want the user's yes
    undoes: str = ""  # the verb that it takes back


class Rule(Frozen):
    """What a record must not break. Exactly one of the first six keys says which kind it is."""

    once: tuple[Name, ...] = ()  # no two active records share all of these links and fields
    limit: Name | None = None  # a link: at most `most` active records each
    capacity: Name | None = None  # a link: at most as many active records as its field `by` says
    stock: Name | None = None  # a link: its field `by` is lowered by the record's `amount` (1 when empty)
    needs: Name | None = None  # a link: its flag or choice `by` must be true, or `value`
    notice: Name | None = None  # a day field: `moves` only `most` days or more before it
    by: Name | None = None
    most: Span = (2, 4)
    amount: Name | None = None
    value: str = ""
    moves: tuple[str, ...] = ()
    optional: bool = True

    @property
    def kind(self) -> str:
        return next(kind for kind in ("once", "limit", "capacity", "stock", "needs", "notice") if getattr(self, kind))

    @model_validator(mode="after")
    def _one_kind(self) -> Rule:
        given = [kind for kind in ("once", "limit", "capacity", "stock", "needs", "notice") if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"a rule needs exactly one of once, limit, capacity, stock, needs, notice; has {given}")
        if given[0] in ("capacity", "stock", "needs") and not self.by:
            raise ValueError(f"a rule of kind {given[0]} needs `by`, a field of {getattr(self, given[0])}")
        if given[0] == "notice" and not self.moves:
            raise ValueError("a rule of kind notice needs moves")
        return self


class Record(Frozen):
    """What happens: a booking, an order, a loan. Its first link says whose it is."""

    name: Name
    plural: str = ""
    also: tuple[str, ...] = ()
    links: tuple[Link, ...] = field(min_length=1)
    create: tuple[str, ...] = ()  # "book", "arrange"; empty: people do not make one
    fields: tuple[Field, ...] = ()
    states: tuple[str, ...] = field(min_length=2)  # the first is a new one's
    active: tuple[str, ...] = ()  # states that count for rules; the first alone when empty
    moves: tuple[Move, ...] = field(min_length=1)
    rules: tuple[Rule, ...] = ()
    count: Span = (18, 30)
    optional: bool = False

    @model_validator(mode="after")
    def _states_known(self) -> Record:
        for move in self.moves:
            for state in (*move.of, move.to):
                if state not in self.states:
                    raise ValueError(f"record {self.name}, move {move.verb!r}: {state!r} is no state of it")
        for state in self.active:
            if state not in self.states:
                raise ValueError(f"record {self.name}: {state!r} in active is no state of it")
        return self


class Kit(Frozen):
    title: str  # "a veterinary practice"
    roles: tuple[str, ...] = field(min_length=2)  # who writes to the assistant
    beyond: tuple[str, ...] = field(min_length=3)  # what no tool here does, as a verb phrase: "print a poster"
    things: tuple[Thing, ...] = field(min_length=2)
    records: tuple[Record, ...] = field(min_length=1)

    @cached_property
    def thing_of(self) -> dict[str, Thing]:
        return {thing.name: thing for thing in self.things}

    @model_validator(mode="after")
    def _fits(self) -> Kit:
        names = [thing.name for thing in self.things] + [record.name for record in self.records]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is defined twice")
        seen: set[str] = set()
        for thing in self.things:
            if thing.of and thing.of not in seen:
                raise ValueError(f"thing {thing.name}: of = {thing.of!r}, no thing before it")
            seen.add(thing.name)
            _check_fields(thing.name, thing.fields)
        for record in self.records:
            _check_fields(record.name, record.fields)
            self._check_record(record)
        return self

    def _check_record(self, record: Record) -> None:
        fields = {item.name: item for item in record.fields}
        links = {link.name: link for link in record.links}
        if len(links) < len(record.links) or set(links) & set(fields):
            raise ValueError(f"record {record.name}: two links or fields share a name; give a link a role")
        for link in record.links:
            if link.thing not in {thing.name for thing in self.things}:
                raise ValueError(f"record {record.name}: links to {link.thing!r}, which is no thing")
        verbs = {move.verb for move in record.moves}
        for rule in record.rules:
            where = f"record {record.name}, rule {rule.kind}"
            for name in rule.once:
                if name not in fields and name not in links:
                    raise ValueError(f"{where}: {name!r} is neither a link nor a field")
            ruled = links.get(rule.limit or rule.capacity or rule.stock or rule.needs or "")
            if rule.kind in ("limit", "capacity", "stock", "needs") and ruled is None:
                raise ValueError(f"{where}: names no link of the record")
            if ruled is not None and rule.by:
                thing = next(thing for thing in self.things if thing.name == ruled.thing)
                target = next((item for item in thing.fields if item.name == rule.by), None)
                wanted = ("flag", "choices") if rule.kind == "needs" else ("whole", "money")
                if target is None or target.kind not in wanted:
                    raise ValueError(f"{where}: {rule.by!r} must be a {' or '.join(wanted)} field of {ruled.thing}")
                if rule.kind == "needs" and target.kind == "choices" and rule.value not in target.choices:
                    raise ValueError(f"{where}: value must be one of {', '.join(target.choices)}")
            if rule.amount and (rule.amount not in fields or fields[rule.amount].kind not in ("whole", "money")):
                raise ValueError(f"{where}: amount {rule.amount!r} must be a whole or money field of the record")
            if rule.notice and (rule.notice not in fields or fields[rule.notice].kind != "day"):
                raise ValueError(f"{where}: {rule.notice!r} must be a day field of the record")
            for verb in rule.moves:
                if verb not in verbs:
                    raise ValueError(f"{where}: {verb!r} is no move of the record")


_RESERVED = ("id", "name", "status", "note")


def _check_fields(owner: str, fields: tuple[Field, ...]) -> None:
    names = [item.name for item in fields]
    for name in names:
        if names.count(name) > 1 or name in _RESERVED:
            raise ValueError(f"{owner}: field {name!r} is there twice or reserved ({', '.join(_RESERVED)})")


def kit_names() -> dict[str, str]:
    """Sector of each shipped kit by name, sorted."""
    return {path.stem: path.parent.name for path in sorted(_library().glob("*/*.toml"), key=lambda path: path.stem)}


@lru_cache(maxsize=256)
def load_kit(name: str) -> Kit:
    """A shipped kit. Raises `UsageError` for an unknown one."""
    sectors = kit_names()
    if name not in sectors:
        raise UsageError(f"there is no kit {name!r}", hint=f"kits are: {', '.join(sectors)}")
    return read_kit(_library() / sectors[name] / f"{name}.toml")


def read_kit(path: Path) -> Kit:
    """A kit from its file. Raises `SpecError` that names file and key."""
    try:
        data: dict[str, Any] = tomllib.loads(read_text(path))
        return Kit.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{path}: {error}", hint="docs/kits.md has the form") from error
    except ValidationError as error:
        raise broken(str(path), error, hint="docs/kits.md has the form") from error


def _library() -> Path:
    return Path(str(resources.files("mocktrial.synth"))) / "library"
