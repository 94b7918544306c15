"""Duplicates among instructions: exact, near and reworded, streaming, in the order in which they are asked.

    exact     equal after normalising: case, white space and punctuation, courtesies ("could you please") dropped
    near      word 3-grams of the normalised texts overlap by `NEAR` or more (Jaccard, estimated by MinHash of
              `PERMUTATIONS` values in locality-sensitive buckets: rensa, standard error 0.035), in any two worlds
    reworded  same world, same gold calls, same public values, and `REWORDED` of the letters after sorting words:
              finds typos and moved clauses, which break 3-grams, and tells a typo from another value
    same      same world, writes, answer and values, hidden ones too: one wish in two wordings

Equal questions in equal order give equal answers: the hashes are seeded. Nothing here looks at the meaning of
words; `meaning` does, where a model is installed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from rapidfuzz import fuzz
from rensa import RMinHash, RMinHashDeduplicator

from mocktrial.envs.rubric import TellCriterion
from mocktrial.envs.task import Call, Finish, Task, Value
from mocktrial.mocktools.values import fold, stable

NEAR = 0.8
REWORDED = 82.0  # percent
PERMUTATIONS = 128
_SEED = 20260122
_GRAM = 3
_WORD = re.compile(r"\w+(?:[-:.'’@]\w+)*")

Kind = Literal["exact", "near", "reworded", "same"]


@dataclass(frozen=True)
class Sample:
    """What decides whether a task has been seen: small, so that workers send it and the parent keeps none."""

    id: str
    text: str  # normalised instruction
    block: str  # hash of world, gold calls and public values: those of one block are compared letter by letter
    wish: str  # hash of world and wish: of all but words, look-ups and faults


def sample_of(task: Task) -> Sample:
    text = normalised(task.instruction)
    calls = [step.call for step in task.gold if isinstance(step, Call)]
    public = sorted(stable(fact.value) for fact in task.facts if not fact.hidden)
    numbers = sorted(word for word in text.split() if any(letter.isdigit() for letter in word))
    block = [task.world, calls, public, numbers]
    return Sample(task.id, text, hashed(block), hashed([task.world, wish_of(task)]))


def wish_of(task: Task) -> tuple[list[str], list[Any]]:
    """The wish without its words: the tools that serve a subgoal, sorted; and all that these are given, what is
    told in the end, and all values, of which kind and whether hidden. Look-ups and faults are not part of it."""
    serving = [step for step in task.gold if isinstance(step, Call) and step.subgoal]
    literals = [value.value for step in serving for value in step.arguments.values() if isinstance(value, Value)]
    answers = [fold(step.finish) for step in task.gold if isinstance(step, Finish)]
    answers += [part.sql for part in task.rubric.subgoals if isinstance(part, TellCriterion)]  # which column is told
    values = [(fact.hidden and fact.kind, fold(stable(fact.value))) for fact in task.facts]
    return sorted({step.call for step in serving}), [literals, answers, values]


def twin_of(task: Task) -> str:
    """Equal for tasks of two datasets that wish for the same in one domain, whatever their worlds are called."""
    return hashed([task.domain, wish_of(task)])


def hashed(value: Any) -> str:
    return hashlib.sha256(stable(value).encode()).hexdigest()[:16]


def normalised(instruction: str) -> str:
    """Words of an instruction without case, punctuation and courtesies, one space between two."""
    words = " ".join(_WORD.findall(unicodedata.normalize("NFKC", instruction).casefold()))
    return " ".join(_courtesies().sub(" ", words).split()) or words


@cache
def _courtesies() -> re.Pattern[str]:
    phrases = (Path(__file__).parent / "courtesies.txt").read_text(encoding="utf-8").split("\n")
    return re.compile(rf"\b(?:{'|'.join(re.escape(phrase) for phrase in phrases if phrase)})\b")


def grams(text: str, length: int = _GRAM) -> list[str]:
    """Runs of `length` words of a normalised text; the whole text where it is shorter."""
    words = text.split()
    return [" ".join(words[at : at + length]) for at in range(max(1, len(words) - length + 1))]


def sketch(tokens: Sequence[str]) -> RMinHash:
    """MinHash of a set of tokens: PERMUTATIONS values."""
    found = RMinHash(PERMUTATIONS, _SEED)
    found.update(list(tokens))
    return found


class Duplicates:
    """Everything taken so far. About 1.5 KB a task."""

    def __init__(self) -> None:
        self._exact: dict[str, str] = {}  # normalised text: id
        self._near = RMinHashDeduplicator(NEAR, PERMUTATIONS, True, None, _SEED)
        self._blocks: dict[str, list[tuple[str, str]]] = {}  # block: (text, id)
        self._wishes: dict[str, str] = {}  # wish: id

    def knows(self, instruction: str) -> bool:
        """Whether `take` would call a sample with this instruction an exact duplicate."""
        return normalised(instruction) in self._exact

    def take(self, sample: Sample) -> tuple[Kind, str] | None:
        """None, and the sample is remembered; or how it repeats which earlier one, and it is not."""
        if sample.text in self._exact:
            return "exact", self._exact[sample.text]
        minhash = sketch(grams(sample.text))
        twins = self._near.get_duplicates(minhash)
        if twins:
            return "near", min(twins)
        mates = self._blocks.setdefault(sample.block, [])
        for text, name in mates:
            if fuzz.token_sort_ratio(text, sample.text, score_cutoff=REWORDED):
                return "reworded", name
        if sample.wish in self._wishes:
            return "same", self._wishes[sample.wish]
        self._exact[sample.text] = sample.id
        self._wishes[sample.wish] = sample.id
        self._near.add(sample.id, minhash)
        mates.append((sample.text, sample.id))
        return None
