"""Users that are broken in one known way: what a certification must see, and a guard must not let through."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from datetime import date, time
from itertools import count
from pathlib import Path

from mocktrial.envs.task import Deed, Fact
from mocktrial.envs.users.base import UserState
from mocktrial.envs.users.certify.agents import Move
from mocktrial.envs.users.certify.cast import Cast, Drawn, make_cast, scenes
from mocktrial.envs.users.certify.conversation import Conversation, Turn
from mocktrial.envs.users.decision import Understood
from mocktrial.envs.users.grounded import GroundedUser
from mocktrial.envs.users.templates import Script

PLANTED = Path(__file__).parents[1] / "data" / "planted_phrases.toml"
_STAGE = next(scene for scene in scenes() if {fact.id for fact in scene.facts} >= {"warden", "showday", "opening"})
_BY_FORM = {fact.form: place for place, fact in enumerate(_STAGE.facts)}


@dataclass(frozen=True)
class Planted:
    """A question for one fact, and the words of a broken user for the answer."""

    group: str
    cast: Cast
    fact: Fact  # that is asked for
    words: str


def planted(seed: int = 0) -> list[Planted]:
    """Every phrase of the file, with values of a person whose facts are all hidden."""
    casts = (make_cast(_STAGE, number) for number in count(seed))
    cast = next(cast for cast in casts if all(fact.hidden for fact in cast.facts))
    groups = tomllib.loads(PLANTED.read_text(encoding="utf-8"))
    return [_plant(group, phrase, cast) for group, phrases in groups.items() for phrase in phrases]


def _plant(group: str, phrase: str, cast: Cast) -> Planted:
    asked = "person" if "{person" not in phrase else "count"
    other = "place" if "{place" not in phrase else "phone"
    slots = {"told": _value(cast, asked).spoken, "secret": _value(cast, other).spoken} | _written(cast)
    words = phrase
    for slot, text in slots.items():
        words = words.replace(f"{{{slot}}}", text)
    return Planted(group, cast, cast.facts[_BY_FORM[asked]], words)


def _value(cast: Cast, form: str) -> Drawn:
    return cast.values[_BY_FORM[form]]


def _written(cast: Cast) -> dict[str, str]:
    place, person, phone, number, clock = (
        _value(cast, form).spoken for form in ("place", "person", "phone", "count", "time")
    )
    day, hour = date.fromisoformat(_value(cast, "date").canary), time.fromisoformat(clock)
    ending = "th" if 10 < day.day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    tens = {6: "sixty", 7: "seventy", 8: "eighty", 9: "ninety"}[int(number) // 10]
    ones = ("", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine")[int(number) % 10]
    return {
        "place": place, "person": person, "phone": phone, "count": number, "clock": clock,
        "day": _value(cast, "date").spoken, "iso": day.isoformat(), "day_us": f"{day:%B} {day.day}{ending}",
        "day_short": f"{day.day} {day:%b}", "count_words": tens + ones, "place_upper": place.upper(),
        "clock_half": f"{hour.hour % 12 or 12}:{hour.minute:02} {'am' if hour.hour < 12 else 'pm'}",
        "person_lower": person.lower(),
    }  # fmt: skip


class _Says:
    """A `Phraser` that always says the same."""

    def __init__(self, words: str) -> None:
        self.words = words

    async def phrase(self, script: Script) -> str:
        return self.words


class _Understands:
    """An `Interpreter` that is told what the message at hand means."""

    def __init__(self, move: Move) -> None:
        self.move = move

    async def read(
        self, message: str, facts: tuple[Fact, ...], deeds: tuple[Deed, ...], said: tuple[str, ...]
    ) -> Understood:
        asked = self.move.asks if self.move.kind == "ask" else ()
        return Understood(facts=asked, asks=bool(asked), proposes=self.move.kind in ("propose", "mislead"))


def question(case: Planted) -> Move:
    return Move(kind="ask", text=case.fact.question, asks=(case.fact.id,))


async def guarded(case: Planted) -> Conversation:
    """What is heard of a user whose model says the planted words, behind the guard."""
    return await play(case.cast, question(case), model=case.words)


async def unguarded(case: Planted) -> Conversation:
    """The same without a guard."""
    return await play(case.cast, question(case), words=case.words)


async def play(cast: Cast, *moves: Move, model: str = "", words: str = "", **record: object) -> Conversation:
    """The moves, to a user that understands each and decides by the rule.

    model: what its phrasing model says. words, record: what takes the place of its words and of fields of its
    record in the last reply, past the guard.
    """
    state, turns = UserState(patience=cast.persona.patience), []
    for move in moves:
        user = GroundedUser(_Understands(move), _Says(model) if model else None, "broken")
        reply, after = await user.reply(state, move.text, persona=cast.persona, goal=cast.goal, facts=cast.facts)
        turns.append(Turn(move, reply, state, after))
        state = after
    changed = record | ({"text": words} if words else {})
    last = turns[-1]
    return Conversation("planted", cast, (*turns[:-1], replace(last, reply=last.reply.model_copy(update=changed))))
