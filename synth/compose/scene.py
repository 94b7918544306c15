"""What the goal makers share: the design, its tools, wording by seed, and references to things and records.

A goal is built as the plain data of `goals.json` and validated as such; nothing here is special to the composer.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from mocktrial.synth.compose.design import Design, RecordDesign, ThingDesign
from mocktrial.synth.compose.ops import Op, Ops
from mocktrial.synth.compose.rows import samples
from mocktrial.synth.compose.sql import others, quoted
from mocktrial.synth.kits import Field

GoalData = dict[str, Any]
_SLOT = re.compile(r"<(\w+)>")
_FRAMES = 4  # wordings a goal
_BOOLEANS = {True: ("True", "1"), False: ("False", "0")}  # how a flag is written where it is bound and where it is read
_SHORT = ("of", "for", "on", "at", "in", "to", "from", "with", "by")  # after these a value says which one is meant


@lru_cache(maxsize=1)
def wording() -> dict[str, dict[str, Any]]:
    text = (Path(__file__).parent / "wording.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def put(template: str, words: Mapping[str, str]) -> str:
    """`template` with each `<slot>`; a slot with a capital letter is the same word with one."""

    def word(match: re.Match[str]) -> str:
        name = match[1]
        if name in words:
            return words[name]
        return capital(words[name.lower()])

    return _SLOT.sub(word, template)


def capital(text: str) -> str:
    """With a capital first letter, also behind an opening bracket or bar of the goal form."""
    if text.startswith("["):
        inner = text[1:].split("|")
        return "[" + "|".join(part[:1].upper() + part[1:] for part in inner)
    return text[:1].upper() + text[1:]


@dataclass
class Scene:
    """One design with what is needed to write goals for it. `day_zero` is the world's today."""

    design: Design
    ops: Ops
    chance: random.Random
    day_zero: date
    pins: dict[str, str] = field(default_factory=dict)

    def frames(self, kind: str, words: Mapping[str, str]) -> dict[str, Any]:
        """`wish` and some `instructions` of a kind."""
        entry = wording()[kind]
        chosen = self.chance.sample(entry["frames"], min(_FRAMES, len(entry["frames"])))
        return {"wish": put(entry["wish"], words), "instructions": [put(frame, words) for frame in chosen]}

    def values(self, item: Field) -> list[Any]:
        """What a user may want a field to be."""
        if item.kind == "day":
            first, last = item.day or (1, 14)
            days = sorted(self.chance.sample(range(first, last + 1), min(8, last - first + 1)))
            return [(self.day_zero + timedelta(days=day)).isoformat() for day in days]
        return samples(item, self.chance)

    def value_fact(self, item: Field, name: str = "", **more: Any) -> dict[str, Any]:
        """The fact template of a value of a field."""
        fact: dict[str, Any] = {
            "id": name or item.name, "label": f"the {item.words}", "question": question(item),
            "aliases": [*item.also], "says": manner(item),
        }  # fmt: skip
        if item.unit:
            fact["spoken"] = f"{{}} {item.unit}"
        if item.kind == "flag":  # told, never hidden: who does not ask is right half of the time
            fact |= {"label": f"whether it is {item.flag}", "question": f"Is it {item.flag} or not?", "hide": False}
            fact["spoken_as"] = {word: said for truth, said in flag_words(item).items() for word in _BOOLEANS[truth]}
        return fact | more


def calling(op: Op, step: str, arguments: Mapping[str, Any], **more: Any) -> GoalData:
    """A gold call; `arguments` by their part in the operation."""
    named_so = {op.args[part]: value for part, value in arguments.items()}
    return {"call": op.name, "id": step, "arguments": named_so, **more}


def told(sql: str) -> GoalData:
    """The criterion that what the query gives was said."""
    return {"id": "told", "kind": "tell", "sql": sql}


def family(checks: Sequence[GoalData]) -> str:
    """Of a goal whose plan proves first who is asking, or does not."""
    return "policy" if checks else "tool_use"


def goal_id(words: str, way: str = "") -> str:
    """A short id from a verb or name and the way that something is pointed at."""
    return f"{words.replace('_', ' ').replace(' ', '-').lower()[:18]}{'-' if way else ''}{way}"


def flag_words(item: Field) -> dict[bool, str]:
    """What a flag is called when true and when not: "gift-wrapped", "not gift-wrapped"; "without a helmet"."""
    name, way = item.flag.partition(" ")[::2]
    return {True: item.flag, False: f"without {way}" if name == "with" else f"not {item.flag}"}


def manner(item: Field) -> str:
    return {"day": "day", "time": "time", "money": "money"}.get(item.kind, "")


def question(item: Field) -> str:
    match item.kind:
        case "day":
            return f"Which day, as the {item.words}?" if item.words != "day" else "On which day?"
        case "time":
            return f"At what time, for the {item.words}?" if item.words != "time" else "At what time?"
        case "whole" | "money":
            return f"What is the {item.words}, in numbers?"
        case _:
            return f"What is the {item.words}?"


@dataclass(frozen=True)
class Named:
    """A thing that the user calls by its name: the query, fact and first call that go with it.

    own, plain: "[{pet}'s|the pet's]", "[{pet}|the pet]".
    """

    thing: ThingDesign
    id: str
    find: Op
    fact: dict[str, Any]
    extra: str  # columns that the binding query must give beside the name: the first name of namesakes
    test: str  # and what it must hold of the thing at `t`
    own: str
    plain: str

    @property
    def step(self) -> str:
        return f"find_{self.id}"

    @property
    def call(self) -> dict[str, Any]:
        return {"call": self.find.name, "id": self.step, "arguments": {self.find.args["name"]: {"fact": self.id}}}

    def key(self) -> dict[str, Any]:
        """The argument that is its id."""
        return {"step": self.step, "take": self.find.gives["id"], "where": {self.find.gives["name"]: self.id}}


def named(scene: Scene, thing: ThingDesign, name: str, words: str = "", *, namesake: bool = False) -> Named | None:
    """How the user names a thing; with `namesake` by a first name that others share."""
    find = scene.ops.get("find", thing.thing.name)
    if find is None:
        return None
    noun = words or thing.noun.one
    fact: dict[str, Any] = {
        "id": name, "label": f"the {noun}", "question": f"Which {noun}?", "aliases": [f"which {thing.noun.one}"],
        "alternatives": others(thing, name),
    }  # fmt: skip
    if not namesake:
        own, plain = f"[{{{name}}}'s|the {noun}'s]", f"[{{{name}}}|the {noun}]"
        return Named(thing, name, find, fact, "", "", own, plain)
    first = "substr({0}.name, 1, instr({0}.name, ' ') - 1)"
    test = f" AND (SELECT count(*) FROM {thing.table} w WHERE {first.format('w')} = {first.format('t')}) > 1"
    fact |= {
        "kind": "ambiguous", "question": f"There is more than one {noun} of that name. What is the full name?",
        "aliases": ["full name", "last name", "surname", f"which {noun}"],
        "alternatives": f"SELECT name FROM {thing.table} WHERE name <> :{name} AND name LIKE :{name}_first || ' %'",
    }  # fmt: skip
    return Named(
        thing, name, find, fact, f", {first.format('t')} AS {name}_first", test,
        f"[{{{name}}}'s|{{{name}_first}}'s]", f"[{{{name}}}|{{{name}_first}}]",
    )  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """A record that the user points at: whose it is and by which mark it is known among that party's.

    bind: gives party, mark and `state`. ref: "[{pet}'s visit|the visit][ on {day}]".
    """

    record: RecordDesign
    party: Named
    bind: str
    facts: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    ref: str
    listing: Op
    mark: str  # the fact that tells it apart; empty where the party has just one in that state
    wish: str

    def key(self) -> dict[str, Any]:
        """The argument that is the record's id."""
        where = {self.listing.gives[self.mark]: self.mark} if self.mark else {"status": "state"}
        return {"step": "records", "take": self.listing.gives["id"], "where": where}


def choose(
    scene: Scene,
    record: RecordDesign,
    states: Sequence[str],
    *,
    namesake: bool = False,
    wrong: bool = False,
    single: bool = False,
    extra: str = "",
    rivals: Sequence[str] = (),
) -> Chosen | None:
    """A reference to a record in one of `states`; None where this world gives no way to say which.

    namesake: its party goes by an ambiguous first name. wrong: the instruction takes the day wrongly.
    single: the party has one record only in that state, and no mark is needed. extra: columns of `r` to bind too.
    rivals: states of the records that might have been meant instead; the same ones when empty.
    """
    party = named(scene, record.party.to, record.party.name, record.party.words, namesake=namesake)
    listing = scene.ops.get("of", record.record.name, record.party.name)
    mark = _mark(scene, record, listing) if not single else ""
    if party is None or listing is None or mark is None:
        return None
    table, link, noun = record.table, record.party, record.noun.one
    join = f"JOIN {link.to.table} t ON t.{link.to.key} = r.{link.column}"
    among = f"r.status IN ({quoted(states)})"
    rival = f"r.status IN ({quoted(rivals or states)})"
    column, mark_join = _mark_column(record, mark)
    if single:
        only = f"(SELECT count(*) FROM {table} q WHERE q.{link.column} = r.{link.column} AND q.status = r.status) = 1"
        shown = f"t.name AS {party.id}, r.status AS state{extra}{party.extra}"
        bind = f"SELECT {shown} FROM {table} r {join} WHERE {among} AND {only}"
        alternatives = (
            f"SELECT t.name FROM {table} r {join} WHERE {rival} AND {only} "
            f"AND {'1' if rivals else 'r.status = :state'} AND t.name <> :{party.id}"
        )
        phrase, mark_facts = "", []
    else:
        only = (
            f"(SELECT count(*) FROM {table} q{mark_join.replace('r.', 'q.').replace(' m ', ' n ').replace('m.', 'n.')} "
            f"WHERE q.{link.column} = r.{link.column} "
            f"AND {column.replace('r.', 'q.').replace('m.', 'n.')} = {column}) = 1"
        )
        bind = (
            f"SELECT t.name AS {party.id}, {column} AS {mark}, r.status AS state{extra}{party.extra} "
            f"FROM {table} r {join}{mark_join} WHERE {among} AND {only}"
        )
        alternatives = (
            f"SELECT t.name FROM {table} r {join}{mark_join} WHERE {rival} AND {only} AND {column} = :{mark} "
            f"AND t.name <> :{party.id}"
        )
        mark_fact = _mark_fact(scene, record, mark, wrong) | {
            "alternatives": f"SELECT {column} FROM {table} r {join}{mark_join} WHERE {rival} AND {only} "
                            f"AND t.name = :{party.id} AND {column} <> :{mark}",
        }  # fmt: skip
        phrase, mark_facts = _mark_phrase(record, mark, wrong), [mark_fact]
        if wrong:
            bind += (
                f" AND NOT EXISTS (SELECT 1 FROM {table} q WHERE q.{link.column} = r.{link.column} "
                f"AND q.{mark} = date_add(r.{mark}, 1))"
            )
            bind = bind.replace(" FROM ", f", date_add(r.{mark}, 1) AS wrong_{mark} FROM ", 1)
    party_fact = party.fact if namesake else party.fact | {"alternatives": alternatives}
    head = (
        f"[{{{party.id}}}'s {noun}|{{{party.id}_first}}'s {noun}]"
        if namesake
        else f"[{{{party.id}}}'s {noun}|the {noun}]"
    )
    calls = [party.call, {"call": listing.name, "id": "records", "arguments": {listing.args["id"]: party.key()}}]
    return Chosen(
        record, party, bind + party.test, [party_fact, *mark_facts], calls, head + phrase, listing, mark,
        f"{{{party.id}}}'s {noun}" + re.sub(r"\[([^|\]]*)(\|[^\]]*)?\]", r"\1", phrase),
    )  # fmt: skip


def _mark(scene: Scene, record: RecordDesign, listing: Op | None) -> str | None:
    """The field or link by which a user tells a party's records apart."""
    options = [item.name for item in record.fields if item.kind in ("day", "choices")]
    options += [link.name for link in record.links[1:] if listing is not None and link.name in listing.gives]
    days = [item.name for item in record.fields if item.kind == "day"]
    pool = days * 2 + options
    return scene.chance.choice(pool) if pool else None


def _mark_column(record: RecordDesign, mark: str) -> tuple[str, str]:
    if not mark or record.field(mark):
        return f"r.{mark}", ""
    link = record.link(mark)
    return "m.name", f" JOIN {link.to.table} m ON m.{link.to.key} = r.{link.column}"


def _mark_fact(scene: Scene, record: RecordDesign, mark: str, wrong: bool) -> dict[str, Any]:
    item, noun = record.field(mark), record.noun.one
    if item is None:
        words = record.link(mark).words
        return {
            "id": mark,
            "label": f"the {words}",
            "question": f"The {noun} with which {words}?",
            "aliases": [f"which {words}"],
        }
    fact = scene.value_fact(
        item, label=f"the {item.words} of the {noun}", question=f"Which {item.words} does the {noun} have?"
    )
    fact["aliases"] = [
        *fact["aliases"],
        f"which {noun}",
        f"which {item.words}",
        *(["date", "when"] if item.kind == "day" else []),
    ]
    if wrong:
        fact |= {"kind": "presupposition", "question": f"There is no {noun} then. On which day is the {noun}?"}
    return fact


def _mark_phrase(record: RecordDesign, mark: str, wrong: bool) -> str:
    item = record.field(mark)
    if item is None:
        link = record.link(mark)
        return f"[ {link.link.prep} {{{mark}}}]"
    if wrong:
        return f"[ {item.prep or 'on'} {{{mark}}}| {item.prep or 'on'} {{wrong_{mark}:day}}]"
    if item.prep in _SHORT:
        return f"[ {item.prep} {{{mark}}}]"
    return f"[ (the one {item.prep or f'with {item.words}'} {{{mark}}})]"
