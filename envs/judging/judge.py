"""`Judge`: a model with its prompt pinned by hash, asked for a verdict by schema that must quote the transcript.

One vote decides where it is clear. Within `NEAR` of the line the criterion's whole number of votes is taken and
their mean counts. A yes without a quote that stands (`evidence`) counts 0. A quote that was miscopied, or an answer
that breaks the schema, is asked for again; an answer that stays unreadable raises `NoResult(blame="judge")`, never
a score.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from mocktrial.envs.chat import Message
from mocktrial.envs.judging.asker import Asker, Question
from mocktrial.envs.judging.evidence import Flaw, flaw_of, grading_words
from mocktrial.envs.judging.transcript import Part, bare, fenced, parts_of
from mocktrial.envs.rubric import JudgeCriterion
from mocktrial.envs.seeds import derive
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import JSON, stable

NEAR = 0.2  # of a score, which is 0 to 1
TRIES = 3  # of one vote, until its answer can be read
WARM = 0.7  # temperature of all answers but the first
_MISCOPIED: tuple[Flaw, ...] = ("short", "missing", "argument")
_CHECKS = ("evidence.py", "judge.py", "transcript.py")  # modules that decide what a verdict is worth
_PROMPTS = Path(__file__).parent / "prompts"
_F = TypeVar("_F", bound=Frozen)


class Quote(Frozen):
    part: int
    text: str


class Verdict(Frozen):
    """An answer by `verdict.json`."""

    quotes: tuple[Quote, ...]
    reason: str
    score: int = Field(ge=0, le=10)


@dataclass(frozen=True)
class Vote:
    said: float  # the model's own score, 0 to 1
    score: float  # what counts: 0 for a yes whose quotes do not stand
    quotes: tuple[str, ...] = ()  # that stand
    flaws: tuple[Flaw, ...] = ()  # of those that do not


@dataclass(frozen=True)
class Decision:
    """What became of one criterion. score: mean of the votes'."""

    passed: bool
    score: float
    votes: tuple[Vote, ...]

    @property
    def flaws(self) -> tuple[Flaw, ...]:
        """What was wrong with refused quotes, each once."""
        return tuple(sorted({flaw for vote in self.votes for flaw in vote.flaws}))

    def evidence(self) -> str:
        """One line for the grade."""
        quotes = [quote for vote in self.votes for quote in vote.quotes]
        refused = f"; quotes refused: {', '.join(self.flaws)}" if self.flaws else ""
        shown = f"; quotes {quotes[0]!r}" if quotes else refused
        return f"score {self.score:.2f} of {len(self.votes)} vote(s){shown}"


class Judge:
    """checked: False takes a yes at its word and shows the transcript bare: only to measure what checks are worth."""

    def __init__(self, asker: Asker, *, checked: bool = True) -> None:
        self.asker, self._checked = asker, checked
        self.name = asker.name
        self.pin = f"{self.name}@{prompt_hash()}" if checked else f"{self.name}@unchecked"

    async def decide(
        self, criterion: JudgeCriterion, messages: Sequence[Message], seed: int, *, truth: bool | None = None
    ) -> Decision:
        """Whether the criterion holds in the episode of these messages. truth: for doubles, see `Question`."""
        parts = parts_of(messages)
        base = Question("verdict", answer_schema("verdict"), self._prompt(criterion, parts), seed, truth=truth)
        first = await self._vote(base, criterion, parts, 0)
        votes = [first]
        if abs(first.score - criterion.line) <= NEAR:
            more = (self._vote(base, criterion, parts, number) for number in range(1, criterion.votes))
            votes += await asyncio.gather(*more)
        score = math.fsum(vote.score for vote in votes) / len(votes)
        return Decision(score >= criterion.line, score, tuple(votes))

    def _prompt(self, criterion: JudgeCriterion, parts: Sequence[Part]) -> tuple[Message, ...]:
        question = Template(prompt_text("question.txt")).substitute(
            question=criterion.question,
            evidence=criterion.evidence or "what shows it",
            sources=", ".join(criterion.sources),
            names="; ".join(criterion.names) or "any words",
            transcript=fenced(parts) if self._checked else bare(parts),
        )
        return {"role": "system", "content": prompt_text("system.txt")}, {"role": "user", "content": question}

    async def _vote(self, base: Question, criterion: JudgeCriterion, parts: Sequence[Part], number: int) -> Vote:
        vote: Vote | None = None
        for attempt in range(TRIES):
            warm = WARM if number or attempt else 0.0
            seed = derive(base.seed, "judge", criterion.id, number, attempt)
            verdict = read_answer(await ask(self.asker, base, seed, warm), Verdict)
            if verdict is None:
                continue
            vote = self._weighed(verdict, criterion, parts)
            if vote.score == vote.said or not set(vote.flaws) <= set(_MISCOPIED):
                break
        if vote is None:
            raise NoResult(f"{self.name} gave no verdict that can be read in {TRIES} tries", blame="judge")
        return vote

    def _weighed(self, verdict: Verdict, criterion: JudgeCriterion, parts: Sequence[Part]) -> Vote:
        said = verdict.score / 10
        if said < criterion.line or not self._checked:
            return Vote(said, said)
        flaws = [flaw_of(quote.text, parts, criterion) for quote in verdict.quotes]
        standing = tuple(quote.text for quote, flaw in zip(verdict.quotes, flaws, strict=True) if flaw is None)
        refused = tuple(flaw for flaw in flaws if flaw) if verdict.quotes else ("missing",)
        return Vote(said, said if standing else 0.0, standing, refused)


async def ask(asker: Asker, base: Question, seed: int, temperature: float) -> str:
    """One answer. Whatever keeps a judge from answering is the judge's: raises `NoResult(blame="judge")`."""
    question = Question(base.form, base.schema, base.messages, seed, temperature, base.truth)
    try:
        return await asker.answer(question)
    except NoResult as failure:
        raise NoResult(str(failure), blame="judge", kind=failure.kind, hint=failure.hint) from None


def read_answer(text: str, form: type[_F]) -> _F | None:
    """The JSON object in an answer, in a code fence or not; None where it is none of that form."""
    body = text[text.find("{") : text.rfind("}") + 1]
    try:
        return form.model_validate_json(body)
    except ValidationError:
        return None


@cache
def prompt_hash() -> str:
    """First 12 hex digits over all that shapes a verdict beside the model: prompts, schema, word list, checks."""
    texts: list[JSON] = [prompt_text(name) for name in ("system.txt", "question.txt", "verdict.json")]
    texts += sorted(grading_words())
    texts += [Path(__file__).with_name(name).read_text(encoding="utf-8") for name in _CHECKS]
    return hashlib.sha256(stable(texts).encode()).hexdigest()[:12]


@cache
def prompt_text(name: str) -> str:
    return (_PROMPTS / name).read_text(encoding="utf-8")


@cache
def answer_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(prompt_text(f"{name}.json"))
    return schema
