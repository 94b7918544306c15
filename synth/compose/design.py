"""What one world takes of its kit: which things, records, fields and rules, under which nouns, how fine the tools.

`draw_design(kit, chance)` decides by seed; every later step of composing reads the design and decides nothing
about structure again. Nothing here knows SQL.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from mocktrial.synth.kits import Field, Kit, Link, Move, Record, Rule, Thing

_KEEP = 0.65  # of what is optional
_VOWELS = "aeiou"
_YOU = ("uni", "use", "usu", "uti", "eu", "one")  # begin with a vowel and sound like "you" or "won"
_SILENT = ("hour", "honest", "honour", "heir")


@dataclass(frozen=True)
class Noun:
    """A word and its forms: "check up", "check ups", `check_up`."""

    one: str
    many: str

    @property
    def snake(self) -> str:
        return snake(self.one)

    @property
    def table(self) -> str:
        return snake(self.many)

    @property
    def a(self) -> str:
        return with_article(self.one)


@dataclass(frozen=True)
class ThingDesign:
    thing: Thing
    noun: Noun
    key: str  # the column that holds its id
    fields: tuple[Field, ...]
    parent: ThingDesign | None
    coarse: bool  # one tool to change it, with optional arguments, or one a field
    separate: bool  # a list tool a filter, or one with optional filters
    grows: bool  # can be added and removed

    @property
    def table(self) -> str:
        return self.noun.table

    def field(self, name: str) -> Field | None:
        return next((item for item in self.fields if item.name == name), None)


@dataclass(frozen=True)
class LinkDesign:
    link: Link
    to: ThingDesign
    column: str

    @property
    def name(self) -> str:
        return self.link.name

    @property
    def words(self) -> str:
        return self.link.role.replace("_", " ") if self.link.role else self.to.noun.one


@dataclass(frozen=True)
class RuleDesign:
    rule: Rule
    most: int  # chosen from the rule's span


@dataclass(frozen=True)
class RecordDesign:
    record: Record
    noun: Noun
    key: str
    coarse_moves: bool  # one tool for all moves
    coarse_changes: bool  # one tool for all changes
    named_links: bool  # lists show the names of linked things beside their ids
    noted: bool  # has a note
    totals: bool  # has tools that count and sum
    links: tuple[LinkDesign, ...]
    fields: tuple[Field, ...]
    moves: tuple[Move, ...]
    rules: tuple[RuleDesign, ...]

    @property
    def table(self) -> str:
        return self.noun.table

    @property
    def party(self) -> LinkDesign:
        return self.links[0]

    @property
    def active(self) -> tuple[str, ...]:
        return self.record.active or self.record.states[:1]

    def link(self, name: str) -> LinkDesign:
        return next(item for item in self.links if item.name == name)

    def field(self, name: str) -> Field | None:
        return next((item for item in self.fields if item.name == name), None)


@dataclass(frozen=True)
class Style:
    """How this world names its tools."""

    verbs: dict[str, str]  # the word for each kind of operation: "find" or "search"
    verb_last: bool  # "visit_cancel"
    suffix: str  # of id parameters: "_id" or ""


@dataclass(frozen=True)
class Design:
    kit: Kit
    kit_name: str
    things: tuple[ThingDesign, ...]
    records: tuple[RecordDesign, ...]
    style: Style
    verified: str  # the name of the people that must prove who they are before their records change; or empty

    def thing(self, name: str) -> ThingDesign | None:
        return next((item for item in self.things if item.thing.name == name), None)


VERBS = {
    "find": ("find", "search", "look_up"),
    "list": ("list", "show", "browse"),
    "get": ("get", "view", "read"),
    "set": ("set", "change", "edit"),
    "update": ("update", "modify", "amend"),
    "add": ("add", "register", "new"),
    "remove": ("remove", "delete", "drop"),
    "count": ("count", "number_of"),
    "total": ("total", "sum_of"),
    "free": ("room_in", "places_left_in", "capacity_of"),
    "assign": ("reassign", "switch", "swap"),
    "note": ("note_on", "comment_on", "annotate"),
    "status": ("set_status_of", "advance", "mark"),
    "verify": ("verify", "authenticate", "identify"),
}


def draw_design(name: str, kit: Kit, chance: random.Random, taken: Iterable[str] = ()) -> Design:
    """The structure of one world of `kit`. `taken`: nouns' tables that another toolkit of the world has."""
    used = set(taken)
    needed = _needed(kit, chance)
    things: dict[str, ThingDesign] = {}
    for thing in kit.things:
        if thing.name in needed:
            parent = things.get(thing.of or "")
            things[thing.name] = _thing(thing, parent, kit, chance, used)
    records = []
    for record in kit.records:
        if record.name in needed:
            records.append(_record(record, things, chance, used))
    verbs = {kind: chance.choice(words) for kind, words in VERBS.items()}
    style = Style(verbs, verb_last=chance.random() < 0.25, suffix=chance.choice(("_id", "_id", "")))
    parties = [record.party.to.thing for record in records if record.record.create]
    people = [party.name for party in parties if party.people]
    verified = people[0] if people and chance.random() < 0.35 else ""
    return Design(kit, name, tuple(things.values()), tuple(records), style, verified)


def _needed(kit: Kit, chance: random.Random) -> set[str]:
    """What the world has: all that is not optional, a share of what is, and all that these refer to."""
    offered = [(item.name, item.optional) for item in kit.things] + [(item.name, item.optional) for item in kit.records]
    chosen = {name for name, optional in offered if not optional or chance.random() < _KEEP}
    for record in kit.records:
        if record.name in chosen:
            chosen |= {link.thing for link in record.links}
    for thing in reversed(kit.things):
        if thing.name in chosen and thing.of:
            chosen.add(thing.of)
    return chosen


def _fields(fields: tuple[Field, ...], chance: random.Random, keep: set[str]) -> tuple[Field, ...]:
    return tuple(item for item in fields if not item.optional or item.name in keep or chance.random() < _KEEP)


def _thing(thing: Thing, parent: ThingDesign | None, kit: Kit, chance: random.Random, used: set[str]) -> ThingDesign:
    keep = {
        rule.by
        for record in kit.records
        for rule in record.rules
        for link in record.links
        if rule.by and not rule.optional and link.thing == thing.name
    }
    noun = _noun(thing.name, thing.plural, thing.also, chance, used)
    return ThingDesign(
        thing=thing, noun=noun, key=_key(noun, chance), fields=_fields(thing.fields, chance, {k for k in keep if k}),
        parent=parent, coarse=chance.random() < 0.4, separate=chance.random() < 0.35, grows=chance.random() < 0.5,
    )  # fmt: skip


def _record(record: Record, things: dict[str, ThingDesign], chance: random.Random, used: set[str]) -> RecordDesign:
    noun = _noun(record.name, record.plural, record.also, chance, used)
    links = tuple(
        LinkDesign(link, things[link.thing], (link.role or things[link.thing].noun.snake) + "_id")
        for link in record.links
    )
    firm = {
        name for rule in record.rules if not rule.optional for name in (*rule.once, rule.amount, rule.notice) if name
    }
    fields = _fields(record.fields, chance, firm)
    rules = tuple(
        RuleDesign(rule, chance.randint(*rule.most))
        for rule in record.rules
        if (not rule.optional or chance.random() < _KEEP) and _applies(rule, fields, links, record)
    )
    return RecordDesign(
        record=record, noun=noun, key=_key(noun, chance), links=links, fields=fields, moves=record.moves, rules=rules,
        coarse_moves=chance.random() < 0.3, coarse_changes=chance.random() < 0.4, named_links=chance.random() < 0.5,
        noted=chance.random() < 0.5, totals=chance.random() < 0.6,
    )  # fmt: skip


def _applies(rule: Rule, fields: tuple[Field, ...], links: tuple[LinkDesign, ...], record: Record) -> bool:
    """Whether the fields that the rule speaks of are in this world."""
    here = {item.name for item in fields} | {link.name for link in links}
    named = {*rule.once, *filter(None, (rule.amount, rule.notice))}
    if not named <= here:
        return False
    target = rule.capacity or rule.stock or rule.needs
    if target:
        thing = next(link.to for link in links if link.name == target)
        return thing.field(rule.by or "") is not None
    return True


def _noun(name: str, plural: str, also: tuple[str, ...], chance: random.Random, used: set[str]) -> Noun:
    """One of the words for it whose table nobody has."""
    options = [name.replace("_", " ") + (f"/{plural}" if plural else ""), *also]
    chance.shuffle(options)
    for option in options:
        one, _, many = option.partition("/")
        noun = Noun(one, many or pluralise(one))
        if noun.table not in used and noun.snake not in used:
            used.update((noun.table, noun.snake))
            return noun
    noun = Noun(f"other {options[0].partition('/')[0]}", f"other {pluralise(options[0].partition('/')[0])}")
    used.update((noun.table, noun.snake))
    return noun


def _key(noun: Noun, chance: random.Random) -> str:
    return chance.choice(("id", "id", "code", f"{noun.snake}_id"))


def pluralise(word: str) -> str:
    """Of a regular English noun; irregular ones stand in the kit."""
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def with_article(words: str) -> str:
    """`words` after "a" or "an", by how they sound."""
    first = words.lower()
    vowel = first[:1] in _VOWELS and not first.startswith(_YOU)
    return f"{'an' if vowel or first.startswith(_SILENT) else 'a'} {words}"


def snake(words: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in words.lower()).split())
