"""Models at work for a dataset: the teacher that invents worlds, the rewriter that rewords instructions.

    with open_models(chosen, seed, folder) as models:
        produce(Job(models.source, ..., reworder=models.reworder), ..., paid=models.paid)

Each keeps a ledger of what was paid for in the part folder of the dataset, so that the same command goes on
without paying twice. Neither can be sent to other processes. Raises `UsageError` for an unknown name, a missing
key or a folder that is taken, `MissingExtra` where the client is not installed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocktrial.envs.chat import Chat, ChatModel, ToolSchema
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.blueprint import BlueprintSource
from mocktrial.synth.production.produce import Paid
from mocktrial.synth.production.units import Reworder
from mocktrial.synth.rewrite import NO_ANSWER, Rewriter
from mocktrial.synth.sources import PROCEDURAL, source_of
from mocktrial.synth.teacher.errors import BudgetSpent
from mocktrial.synth.teacher.ledger import TokenLedger

OPENAI = "openai:"
REWRITES = "rewrite.jsonl"  # in the part folder


@dataclass(frozen=True)
class Chosen:
    """What was asked for. max_tokens: of each model. retries: of a step's answer. concurrency: requests at a time."""

    teacher: str = PROCEDURAL
    domains: tuple[str, ...] = ()
    rewrite: str = ""
    base_url: str | None = None
    max_tokens: int | None = None
    retries: int = 3
    concurrency: int = 8

    @property
    def model(self) -> bool:
        """Whether an endpoint is at work, so that units are made in one process."""
        return self.teacher.startswith(OPENAI) or bool(self.rewrite)


@dataclass(frozen=True)
class Models:
    source: BlueprintSource
    reworder: Reworder | None = None
    paid: tuple[Paid, ...] = ()


@contextmanager
def open_models(chosen: Chosen, seed: int, folder: Path | None) -> Iterator[Models]:
    """The source and the rewriter that were chosen, for the dataset `folder`; ledgers are closed at the end."""
    if not chosen.model:
        yield Models(source_of(chosen.teacher, chosen.domains, seed))
        return
    if folder is None:
        raise UsageError("a model's answers are kept beside the dataset: it needs a name", hint="mocktrial synth NAME")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists already", hint="choose another name or remove it first")
    part = folder.with_name(folder.name + ".part")
    paid: list[Paid] = []
    with ExitStack() as stack:
        source = _source(chosen, seed, part, stack, paid)
        reworder = _reworder(chosen, part, stack, paid) if chosen.rewrite else None
        yield Models(source, reworder, tuple(paid))


def _source(chosen: Chosen, seed: int, part: Path, stack: ExitStack, paid: list[Paid]) -> BlueprintSource:
    if not chosen.teacher.startswith(OPENAI):
        return source_of(chosen.teacher, chosen.domains, seed)
    if chosen.domains:
        raise UsageError("a model teacher invents its own domains", hint="leave --domains out")
    from mocktrial.synth.teacher.source import LEDGER, make_teacher  # needs the extra `agents`

    made = make_teacher(
        chosen.teacher, base_url=chosen.base_url, seed=seed, folder=part,
        max_tokens=chosen.max_tokens, retries=chosen.retries, concurrency=chosen.concurrency,
    )  # fmt: skip
    teacher = stack.enter_context(made)

    def cost(tasks: int) -> dict[str, Any]:
        told = teacher.report()
        return {
            "requests": told.requests,
            "prompt_tokens": told.prompt_tokens,
            "completion_tokens": told.completion_tokens,
            "tokens_per_task": round(told.tokens_per_task(tasks), 1),
            "tokens_by_step": told.tokens_by_step,
        }

    paid.append(Paid("teacher", part / LEDGER, cost))
    return teacher


def _reworder(chosen: Chosen, part: Path, stack: ExitStack, paid: list[Paid]) -> Reworder:
    if not chosen.rewrite.startswith(OPENAI):
        raise UsageError(f"there is no model {chosen.rewrite!r}", hint="write --rewrite openai:MODEL")
    from mocktrial.agents.openai_client import OpenAIModel  # needs the extra `agents`

    model = OpenAIModel(chosen.rewrite.removeprefix(OPENAI), chosen.base_url, concurrency=chosen.concurrency)
    ledger = TokenLedger(part / REWRITES)
    stack.callback(ledger.close)

    def cost(tasks: int) -> dict[str, Any]:
        return {
            "requests": ledger.requests,
            "prompt_tokens": ledger.prompt_tokens,
            "completion_tokens": ledger.completion_tokens,
            "tokens_per_task": round(ledger.tokens / tasks, 1) if tasks else 0.0,
        }

    paid.append(Paid("rewrite", part / REWRITES, cost))
    runner = stack.enter_context(asyncio.Runner())  # one loop for all units: connections and slots belong to it
    stack.callback(lambda: runner.run(model.aclose()))
    budgeted = _Budgeted(model, ledger, chosen.max_tokens)
    return _Reworder(Rewriter(budgeted, ledger, concurrency=chosen.concurrency), model.name, runner)


@dataclass(frozen=True)
class _Budgeted:
    """A model that is asked nothing more once the ledger holds `max_tokens`."""

    model: ChatModel
    ledger: TokenLedger
    max_tokens: int | None

    @property
    def name(self) -> str:
        return self.model.name

    def start(self, tools: Sequence[ToolSchema], *, seed: int) -> Chat:
        if self.max_tokens is not None and self.ledger.tokens >= self.max_tokens:
            reason = f"the budget of {self.max_tokens} tokens for rewriting is spent"
            raise BudgetSpent(reason, hint="allow more with --max-tokens")
        return self.model.start(tools, seed=seed)


@dataclass(frozen=True)
class _Reworder:
    """A `Rewriter` for a unit at a time."""

    rewriter: Rewriter
    name: str
    runner: asyncio.Runner

    def __call__(self, tasks: Sequence[Task]) -> tuple[list[Task], dict[str, int]]:
        before = Counter(self.rewriter.counts)
        done = self.runner.run(self.rewriter.rewrite_all(tasks))
        if set(self.rewriter.counts) == {NO_ANSWER}:  # that was the first unit, and nobody is there
            raise UsageError(
                f"{self.name} answered none of {len(tasks)} requests, no task was written: {self.rewriter.failure}",
                hint="see to the endpoint (--base-url) and run the same command again",
            )
        return done, dict(self.rewriter.counts - before)
