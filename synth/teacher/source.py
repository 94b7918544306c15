"""`ModelTeacher`: blueprints from an endpoint, K units at a time, in the order of their numbers.

    teacher = make_teacher("openai:MODEL", base_url=..., seed=1, folder=part)
    await teacher.prepare(range(0, 32))     # or let `blueprint` prepare a window by itself
    teacher.blueprint(0)

Given the same answers, a blueprint depends on the seed and its number alone. A unit that came to nothing
raises `GivenUp`. Once the budget is spent or the endpoint is gone (all retries failed, or the key is refused),
units not yet made raise `Stopped`, so that an outage drops no unit for good. No failure of the model or the
endpoint raises anything else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from mocktrial.agents.openai_client import OpenAIModel, Refused
from mocktrial.agents.retry import Retry
from mocktrial.envs.task import Persona
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.spec import Frozen
from mocktrial.synth.blueprint import BARREN, Blueprint
from mocktrial.synth.personas import Personas
from mocktrial.synth.teacher.draft import Draft
from mocktrial.synth.teacher.errors import GivenUp, Stopped
from mocktrial.synth.teacher.ledger import TokenLedger
from mocktrial.synth.teacher.steps import STEPS, carry_out
from mocktrial.synth.teacher.wire import Wire

LEDGER = "teacher.jsonl"  # in the dataset's folder
_TIMEOUT = 900.0  # seconds for one answer; small machines write slowly
_RETRY = Retry(deadline=1800.0)
_HOPELESS = (401, 403, 404)  # no key, no right, no such model: the next unit will fare no better


class TeacherReport(Frozen):
    """What the teacher did and cost so far, earlier runs in the same folder included, for recipe and card."""

    teacher: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    tokens_by_step: dict[str, int]
    blueprints: int  # made or read again in this run
    given_up: dict[str, int]  # units, by reason
    dropped: dict[str, int]  # tools, constraints and goals that their units went on without, by reason
    output_format: str  # what the endpoint took: strict, json_schema, json_object or text
    stopped: str  # why nothing more was asked; empty: nothing stopped it

    def tokens_per_task(self, tasks: int) -> float:
        """Tokens paid for each of `tasks` proved tasks."""
        return (self.prompt_tokens + self.completion_tokens) / tasks if tasks else 0.0


class ModelTeacher:
    """A `BlueprintSource`. Close it, or use `with`.

    retries: how often a step's answer is sent back. goals: asked for in each unit. concurrency: units at a time.
    """

    def __init__(
        self, wire: Wire, *, name: str, seed: int, personas: Callable[[int], Persona],
        retries: int = 3, goals: int = 4, concurrency: int = 8,
    ) -> None:  # fmt: skip
        self.name, self.seed = name, seed
        self._wire, self._personas = wire, personas
        self._retries, self._goals, self._concurrency = retries, goals, concurrency
        self._made: dict[int, Blueprint | GivenUp | Stopped] = {}
        self._dropped: Counter[str] = Counter()
        self._given_up: Counter[str] = Counter()
        self._fruitless = 0  # units in a row
        self._blueprints = 0

    def blueprint(self, number: int) -> Blueprint:
        """Unit `number`; when it is not prepared, it and those after it are, as many as run at a time.

        Each is handed out once, so that memory stays flat. Raises `GivenUp` and `Stopped`.
        """
        if number not in self._made:
            asyncio.run(self._prepare_and_close(range(number, number + self._concurrency)))
        made = self._made.pop(number)
        if not isinstance(made, Blueprint):
            raise made
        return made

    async def prepare(self, numbers: Iterable[int]) -> None:
        """Make these units, `concurrency` at a time. Never fails for what the endpoint does."""
        slots = asyncio.Semaphore(self._concurrency)

        async def one(number: int) -> None:
            async with slots:
                await self._unit(number)

        await asyncio.gather(*(one(number) for number in numbers if number not in self._made))

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        if isinstance(self._wire.client, OpenAIModel):
            await self._wire.client.aclose()

    def close(self) -> None:
        self._wire.ledger.close()

    def __enter__(self) -> ModelTeacher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def report(self) -> TeacherReport:
        ledger = self._wire.ledger
        return TeacherReport(
            teacher=self.name,
            requests=ledger.requests,
            prompt_tokens=ledger.prompt_tokens,
            completion_tokens=ledger.completion_tokens,
            tokens_by_step=dict(sorted(ledger.by_step.items())),
            blueprints=self._blueprints,
            given_up=dict(sorted(self._given_up.items())),
            dropped=dict(sorted(self._dropped.items())),
            output_format=self._wire.format,
            stopped=str(self._wire.stopped or ""),
        )

    async def _prepare_and_close(self, numbers: Iterable[int]) -> None:
        try:
            await self.prepare(numbers)
        finally:
            await self.aclose()

    async def _unit(self, number: int) -> None:
        draft, dropped = Draft(number, self.seed, self._personas(number)), Counter[str]()
        try:
            for step in STEPS:
                await carry_out(step, draft, self._wire, retries=self._retries, goals=self._goals, dropped=dropped)
        except Stopped as error:
            self._made[number] = error  # what it has is kept, a later run goes on from here
        except GivenUp as error:
            self._give_up(number, error)
        except NoResult as error:
            if isinstance(error, Refused) and error.status not in _HOPELESS:
                self._give_up(number, GivenUp("teacher: the endpoint refused a request"))
            else:
                reason = Stopped(str(error), hint="mend that, then run the same command again")
                self._wire.stop(reason)
                self._made[number] = reason
        else:
            self._made[number] = draft.blueprint()
            self._blueprints += 1
            self._dropped.update(dropped)
            self._fruitless = 0

    def _give_up(self, number: int, error: GivenUp) -> None:
        self._made[number] = error
        self._given_up[str(error)] += 1
        self._fruitless += 1
        if self._fruitless >= BARREN:
            reason = f"{BARREN} units in a row came to nothing, the last: {error}"
            self._wire.stop(Stopped(reason, hint="take a larger model"))


def make_teacher(
    spec: str, *, base_url: str | None, seed: int, folder: Path, max_tokens: int | None = None, retries: int = 3,
    concurrency: int = 8, goals: int = 4, personas: Callable[[int], Persona] | None = None,
    answer_tokens: int | None = None, temperature: float | None = None, retry: Retry | None = None,
) -> ModelTeacher:  # fmt: skip
    """The teacher that `spec` names, "openai:MODEL". Its ledger stands in `folder`; a second run there goes on.

    max_tokens: budget of all requests together, prompts included. answer_tokens: bound of one answer.
    temperature: of sampling. None leaves each to the endpoint. Raises `UsageError` for another spec, a missing
    key or an address that is none.
    """
    kind, _, model = spec.partition(":")
    if kind != "openai" or not model:
        raise UsageError(f"there is no teacher {spec!r}", hint="teachers are: procedural, openai:MODEL")
    client = OpenAIModel(model, base_url, concurrency=concurrency, timeout=_TIMEOUT, retry=retry or _RETRY)
    chosen = {"max_tokens": answer_tokens, "temperature": temperature}
    settings = {name: value for name, value in chosen.items() if value is not None}
    wire = Wire(client, model, TokenLedger(folder / LEDGER), max_tokens=max_tokens, settings=settings)
    return ModelTeacher(
        wire, name=client.name, seed=seed, personas=personas or Personas(seed).persona,
        retries=retries, goals=goals, concurrency=concurrency,
    )  # fmt: skip
