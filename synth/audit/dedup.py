"""Duplicates among instructions: exact, near and reworded, streaming, in the order in which they are asked.

    exact     equal after normalising: case, white space and punctuation, courtesies ("could you please") dropped
    near      word 3-grams of the normalised texts overlap by `NEAR` or more (Jaccard, estimated by MinHash of
              `PERMUTATIONS` values in locality-sensitive buckets: rensa, standard error 0.035), in any two worlds
    reworded  same world, same gold calls, same public values, and `REWORDED` of the letters after sorting words:
              finds typos and moved clauses, which break 3-grams, and tells a typo from another value

Equal questions in equal order give equal answers: the hashes are seeded. Nothing here looks at meaning;
`embeddings` does where a model is installed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from rapidfuzz import fuzz
from rensa import RMinHash, RMinHashDeduplicator

from mocktrial.envs.task import Call, Task
from mocktrial.mocktools.values import stable

NEAR = 0.8
REWORDED = 82.0  # percent
PERMUTATIONS = 128
_SEED = 20260122
_GRAM = 3
_WORD = re.compile(r"\w+(?:[-:.'’@]\w+)*")

Kind = Literal["exact", "near", "reworded"]


@dataclass(frozen=True)
class Sample:
    """What decides whether a task has been seen: small, so that workers send it and the parent keeps none."""

    id: str
    text: str  # normalised instruction
    block: str  # hash of world, gold calls and public values: those of one block are compared letter by letter


def sample_of(task: Task) -> Sample:
    text = normalised(task.instruction)
    calls = [step.call for step in task.gold if isinstance(step, Call)]
    public = sorted(stable(fact.value) for fact in task.facts if not fact.hidden)
    numbers = sorted(word for word in text.split() if any(letter.isdigit() for letter in word))
    block = stable([task.world, calls, public, numbers])
    return Sample(task.id, text, hashlib.sha256(block.encode()).hexdigest()[:16])


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
        self._exact[sample.text] = sample.id
        self._near.add(sample.id, minhash)
        mates.append((sample.text, sample.id))
        return None
