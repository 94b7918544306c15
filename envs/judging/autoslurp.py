"""Auto-SLURP's own judge (arXiv 2504.18373; METHODS, section 2), beside our predicates.

Two gates a row, each a question to a model: do the slots that reached the service equal the gold slots, under the
published leniencies (they stand in the prompt), and does the transcript finish the task? A row passes where both do.
Unlike the published scorer, gold slots are resolved against the virtual clock, the transcript is fenced, and a row
whose verdict cannot be read is counted as `no_result`: it is not dropped, and not counted as right.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import Template

from mocktrial.envs.agreement import Answer, kappa, share
from mocktrial.envs.chat import Message
from mocktrial.envs.judging.asker import Asker, Question
from mocktrial.envs.judging.judge import TRIES, WARM, answer_schema, ask, prompt_text, read_answer
from mocktrial.envs.judging.transcript import fenced, parts_of
from mocktrial.envs.rubric import CallCriterion
from mocktrial.envs.seeds import derive
from mocktrial.envs.statistics.estimates import Estimate
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.autoslurp.resolve import canonical_arguments
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import JSON, dumps, stable

_GATES = ("gate_slots.txt", "gate_transcript.txt")
_SHOWN = 20  # disagreements that are listed


class GateVerdict(Frozen):
    """An answer by `gate.json`."""

    reason: str
    passes: bool


@dataclass(frozen=True)
class Row:
    """An episode of a row, with the time of its world."""

    task: Task
    trajectory: Trajectory
    now: datetime

    @property
    def predicates(self) -> tuple[bool, bool]:
        """What our scoring says: the calls have the slots; all of it succeeded."""
        grade = self.trajectory.grade
        calls = [result.passed for result in grade.criteria if result.kind == "call"] if grade else []
        return all(calls), bool(grade and grade.success)


class Disagreement(Frozen):
    row: str
    agent: str
    judge: tuple[bool, bool]  # slots, transcript
    predicates: tuple[bool, bool]  # slots, whole


class SlurpCertificate(Frozen):
    judge: str
    rows: int
    episodes: int
    no_result: int
    judge_success: Estimate | None  # share of episodes that pass both gates
    predicate_success: Estimate | None
    agreement: Estimate | None
    kappa: Estimate | None
    slots_agreement: Estimate | None  # of the first gate with our comparison of slots
    both: int
    judge_only: int
    predicates_only: int
    neither: int
    disagreements: tuple[Disagreement, ...]  # the first few


class TwoGates:
    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        texts: list[JSON] = [prompt_text(name) for name in ("gate_system.txt", *_GATES, "gate.json")]
        self.pin = f"{asker.name}@{hashlib.sha256(stable(texts).encode()).hexdigest()[:12]}"

    async def decide(self, row: Row) -> tuple[bool, bool]:
        """Whether each gate passes. Raises `NoResult(blame="judge")`."""
        slots, whole = row.predicates
        return (
            await self._passes(row, _GATES[0], _slots_prompt(row), slots),
            await self._passes(row, _GATES[1], _transcript_prompt(row), whole),
        )

    async def _passes(self, row: Row, gate: str, prompt: str, truth: bool) -> bool:
        messages: tuple[Message, ...] = (
            {"role": "system", "content": prompt_text("gate_system.txt")},
            {"role": "user", "content": prompt},
        )
        base = Question("gate", answer_schema("gate"), messages, row.trajectory.seed, truth=truth)
        for attempt in range(TRIES):
            seed = derive(base.seed, gate, attempt)
            verdict = read_answer(await ask(self._asker, base, seed, WARM if attempt else 0.0), GateVerdict)
            if verdict is not None:
                return verdict.passes
        raise NoResult(f"{self._asker.name} gave no verdict that can be read in {TRIES} tries", blame="judge")


def _slots_prompt(row: Row) -> str:
    gold = [
        f"{criterion.tool} {dumps(canonical_arguments(criterion.arguments['slots'], row.now))}"
        for criterion in row.task.rubric.subgoals
        if isinstance(criterion, CallCriterion)
    ]
    received = [f"{event.name} {dumps(event.arguments)}" for event in row.trajectory.events if event.kind == "call"]
    return Template(prompt_text("gate_slots.txt")).substitute(
        query=row.task.instruction,
        gold="\n".join(gold) or "none",
        received="\n".join(received) or "none",
        today=row.now.strftime("%A, %Y-%m-%d"),
    )


def _transcript_prompt(row: Row) -> str:
    transcript = fenced(parts_of(row.trajectory.messages))
    return Template(prompt_text("gate_transcript.txt")).substitute(query=row.task.instruction, transcript=transcript)


async def certify_slurp(
    gates: TwoGates,
    rows: Sequence[Row],
    *,
    concurrency: int = 16,
    on_asked: Callable[[int], None] = lambda count: None,
) -> SlurpCertificate:
    """Both gates on every episode, beside what the predicates said of it."""
    slots = asyncio.Semaphore(concurrency)
    asked = 0

    async def decide(row: Row) -> tuple[bool, bool] | None:
        nonlocal asked
        async with slots:
            try:
                decided = await gates.decide(row)
            except NoResult:
                decided = None
        asked += 1
        on_asked(asked)
        await asyncio.sleep(0)  # a double never waits, and would keep Ctrl-C from being heard
        return decided

    found = await asyncio.gather(*(decide(row) for row in rows))
    return _certificate(gates.pin, rows, [(row, said) for row, said in zip(rows, found, strict=True) if said])


def _certificate(pin: str, rows: Sequence[Row], decided: Sequence[tuple[Row, tuple[bool, bool]]]) -> SlurpCertificate:
    answers: dict[str, list[Answer]] = {}
    slots: dict[str, list[bool]] = {}
    for row, said in decided:
        answers.setdefault(row.task.id, []).append(Answer(row.predicates[1], all(said), float(all(said))))
        slots.setdefault(row.task.id, []).append(said[0] == row.predicates[0])
    flat = [answer for task in answers.values() for answer in task]
    return SlurpCertificate(
        judge=pin, rows=len({row.task.id for row in rows}), episodes=len(rows), no_result=len(rows) - len(decided),
        judge_success=share({task: [a.said for a in found] for task, found in answers.items()}),
        predicate_success=share({task: [a.truth for a in found] for task, found in answers.items()}),
        agreement=share({task: [a.said == a.truth for a in found] for task, found in answers.items()}),
        kappa=kappa(answers), slots_agreement=share(slots),
        both=sum(a.said and a.truth for a in flat), judge_only=sum(a.said and not a.truth for a in flat),
        predicates_only=sum(a.truth and not a.said for a in flat),
        neither=sum(not a.said and not a.truth for a in flat),
        disagreements=tuple(
            Disagreement(row=row.task.id, agent=row.trajectory.agent, judge=said, predicates=row.predicates)
            for row, said in decided
            if all(said) != row.predicates[1]
        )[:_SHOWN],
    )  # fmt: skip
