"""How often the user's side of a dataset says one sentence: patterns of instruction, spoken facts and replies.

A pattern is a sentence with values, numbers, weekdays and months masked, case and punctuation dropped; what is
nothing but a value is none. Replies are the templates' (`envs/users/templates.py`) to the questions of the
gold plan. The share of a pattern is that of the tasks in which it stands.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Ask, Confirm, Task
from mocktrial.envs.users.decision import Decision
from mocktrial.envs.users.templates import Script, phrases
from mocktrial.mocktools.values import fold
from mocktrial.synth.voice.speech import sentences_of

MOST = 0.02  # of the tasks may have one pattern
FEWEST = 2000  # tasks from which on that is asked: a small dataset has few kinds of wishes
_KEPT = 100_000  # patterns; when there are more, those seen once are forgotten
_WORD = re.compile(r"_|\w+(?:[-'’@.]\w+)*")
_VALUE = re.compile(r"\d[\w.,:/@-]*")


@dataclass
class Sentences:
    """Counts over tasks; at most 100,000 patterns at a time."""

    tasks: int = 0
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, patterns: Iterable[str]) -> None:
        """Of one task, each once."""
        self.tasks += 1
        self._counts.update(patterns)
        if len(self._counts) > _KEPT:
            self._counts = Counter({pattern: count for pattern, count in self._counts.items() if count > 1})

    def commonest(self, most: int = 1) -> list[tuple[str, float]]:
        """Patterns with their share of the tasks, the commonest first."""
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))[:most]
        return [(pattern, round(count / self.tasks, 4)) for pattern, count in ranked]


def patterns_of(tasks: Iterable[Task]) -> Iterator[tuple[str, ...]]:
    """The patterns of each task, sorted."""
    for task in tasks:
        forms = {form for fact in task.facts for form in (fact.spoken, str(fact.value)) if form}
        mask = re.compile("|".join(rf"(?<!\w){re.escape(form)}(?!\w)" for form in sorted(forms, key=_longest)), re.I)
        spoken = {_masked(fact.spoken, _words_of(str(fact.value))) for fact in task.facts}
        lines = (line for text in (task.instruction, *_replies(task)) for line in sentences_of(text))
        told = {_masked(line, mask if forms else None) for line in lines}
        yield tuple(sorted((spoken | told) - {""}))


def _words_of(value: str) -> re.Pattern[str]:
    """ "Ann" is no sentence about Ann Lee."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, value.split())) or '(?!)'})\b", re.IGNORECASE)


def _longest(form: str) -> tuple[int, str]:
    return -len(form), form


def _masked(sentence: str, mask: re.Pattern[str] | None) -> str:
    text = _VALUE.sub("_", mask.sub("_", sentence) if mask else sentence)
    words = _WORD.findall(_dates().sub("_", fold(text)))
    kept = [word for at, word in enumerate(words) if word != "_" or words[at - 1 : at] != ["_"]]  # runs are one value
    return " ".join(kept) if set(kept) - {"_"} else ""


@cache
def _dates() -> re.Pattern[str]:
    names = [name.casefold() for name in (*calendar.day_name, *calendar.month_name) if name]
    return re.compile(rf"\b(?:{'|'.join(names)})\b")


def _replies(task: Task) -> Iterator[str]:
    """What a user without a model says to the gold plan's questions and proposals."""
    heard: list[str] = []
    for step in task.gold:
        if not isinstance(step, Ask | Confirm):
            continue
        asked = step.ask if isinstance(step, Ask) else ()
        seed = derive(task.seed, task.persona.patience, len(heard))
        decision = Decision(tells=asked, released=asked, confirmed=isinstance(step, Confirm))
        told = tuple(fact for fact in task.facts if fact.id in asked)
        yield phrases(Script(decision, task.persona, told, seed=seed))[0]
        heard += asked
