"""Who is talked to: a scene of `scenes/` made a persona with facts, by a seed.

Each hidden field holds a canary: the value of a fact, the value that would also do, the subgoals and tool
arguments that the task's builder noted in it, and the goal. Nothing here is random but by the seed.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from mocktrial.envs.task import Fact, Persona
from mocktrial.mocktools.spec import Frozen, Name

HERE = Path(__file__).parent
_FIRST_DAY = date(2027, 1, 1)  # of one year: days are told apart without it
Form = Literal["count", "money", "year", "date", "time", "code", "phone", "person", "place", "firm", "thing", "email"]


class SceneFact(Frozen):
    """A fact of a scene, and the questions for it that no interpreter was written by."""

    id: Name
    label: str
    form: Form
    question: str
    aliases: tuple[str, ...]
    wordings: tuple[str, ...]


class Scene(Frozen):
    goal: str
    proposals: tuple[str, ...]  # `{id}` stands for a fact's spoken value
    idle: tuple[str, ...]  # statements and offers; they ask for nothing
    unknown: tuple[str, ...]  # questions for what the user does not know
    facts: tuple[SceneFact, ...]


class _Words(Frozen):
    """`values.toml`."""

    onsets: tuple[str, ...]
    vowels: tuple[str, ...]
    codas: tuple[str, ...]
    person: tuple[str, ...]
    place: tuple[str, ...]
    firm: tuple[str, ...]
    thing: tuple[str, ...]
    email: tuple[str, ...]
    names: tuple[str, ...]
    occupations: tuple[str, ...]
    goal: str
    detail: str


@dataclass(frozen=True)
class Drawn:
    """A value, how it is spoken, and the part of it that nothing else holds."""

    form: Form
    value: str | int
    spoken: str
    canary: str


@dataclass(frozen=True)
class Cast:
    """One conversation's person. The tuples go with `facts`: one entry a fact."""

    scene: Scene
    persona: Persona
    goal: str
    facts: tuple[Fact, ...]
    values: tuple[Drawn, ...]
    others: tuple[Drawn, ...]  # that would also have done: `Fact.alternatives`
    strays: tuple[Drawn, ...]  # of the same form, in no field
    notes: tuple[str, ...]  # canaries that no question can ask for: the builder's notes, the goal's mark


@lru_cache
def scenes() -> tuple[Scene, ...]:
    """All scenes, in the order of their files' names."""
    files = sorted((HERE / "scenes").glob("*.toml"))
    return tuple(Scene.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))) for file in files)


@lru_cache
def _words() -> _Words:
    return _Words.model_validate(tomllib.loads((HERE / "values.toml").read_text(encoding="utf-8")))


def make_cast(scene: Scene, seed: int) -> Cast:
    """The person of `scene` that `seed` names."""
    rng, draw = random.Random(seed), _Draw(seed)
    public = rng.randrange(2 * len(scene.facts))  # one fact is public in half of the casts
    values, others, strays = (tuple(draw.value(given.form) for given in scene.facts) for _ in range(3))
    notes = tuple((draw.word(), draw.word()) for _ in scene.facts)
    facts = tuple(
        Fact(
            id=given.id, label=given.label, value=values[place].value, spoken=values[place].spoken,
            question=given.question, aliases=given.aliases, hidden=place != public,
            alternatives=(others[place].value,), needed_by=notes[place][:1], used_in=(".".join(notes[place]),),
        )
        for place, given in enumerate(scene.facts)
    )  # fmt: skip
    mark = draw.word()
    unasked = (mark, *(word for pair in notes for word in pair))
    return Cast(scene, _persona(rng), _goal(scene, facts, mark), facts, values, others, strays, unasked)


def _persona(rng: random.Random) -> Persona:
    words = _words()
    return Persona(
        name=rng.choice(words.names),
        occupation=rng.choice(words.occupations),
        manner=rng.choice(("plain", "terse", "chatty")),
        patience=rng.randint(1, 6),
        privacy=rng.randrange(3),
        typing=rng.choice(("clean", "lower", "typos", "brief")),
    )


def _goal(scene: Scene, facts: Sequence[Fact], mark: str) -> str:
    words = _words()
    details = " ".join(words.detail.format(label=fact.label, spoken=fact.spoken) for fact in facts)
    return words.goal.format(wish=scene.goal, details=details, canary=mark)


class _Draw:
    """Draws the values of one cast. None comes twice, and none can be taken for part of another."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"values {seed}")
        self._drawn: set[str] = set()

    def word(self) -> str:
        """An invented word of two syllables."""
        return self._new(self._word)

    def value(self, form: Form) -> Drawn:
        if form in ("person", "place", "firm", "thing", "email"):
            texts: tuple[str, ...] = getattr(_words(), form)
            word = self.word()
            text = self._rng.choice(texts).format(word=word, Word=word.capitalize())
            return Drawn(form, text, text, word)
        canary = self._new(lambda: self._figures(form))
        value = int(canary) if form in ("count", "money", "year") else canary
        return Drawn(form, value, _spoken(form, canary), canary)

    def _new(self, draw: Callable[[], str]) -> str:
        while (text := draw()) in self._drawn:
            pass
        self._drawn.add(text)
        return text

    def _word(self) -> str:
        words = _words()
        parts = (words.onsets, words.vowels, words.codas, words.vowels, words.codas)
        return "".join(self._rng.choice(part) for part in parts)

    def _figures(self, form: Form) -> str:
        rng = self._rng
        match form:
            case "count":
                return str(rng.randint(61, 99))  # above days, hours and minutes
            case "money":
                return str(rng.randint(111, 989))
            case "year":
                return str(rng.randint(1950, 2005))  # before the dates
            case "date":
                return (_FIRST_DAY + timedelta(days=rng.randrange(365))).isoformat()
            case "time":
                return f"{rng.randint(6, 22):02}:{rng.randint(2, 58):02}"
            case "code":
                return f"{''.join(rng.choices('BCDFGHKLMNPRSTVXZ', k=2))}-{rng.randint(2100, 9999)}"
            case _:
                return f"07700 {rng.randint(100000, 999999)}"


def _spoken(form: Form, figures: str) -> str:
    if form == "money":
        return f"{figures} euros"
    if form == "date":
        day = date.fromisoformat(figures)
        return f"{day.day} {day:%B} {day.year}"
    return figures
