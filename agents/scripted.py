"""Scripted agents: the expert that follows the gold plan, and named wrong behaviours.

They are public test doubles: the proof of a task plays them, `mocktrial run --agent NAME` runs them, and
a grader that lets an adversary pass is broken. They read `episode.task`, which no real agent may.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mocktrial.envs.chat import Message, assistant, tool_call
from mocktrial.envs.episode import Episode, Observation
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Argument, Ask, Call, Confirm, Finish, FromStep, GoldStep, Task, Value
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.values import dumps, part_at

_TRIES = 4  # calls of one tool after its first came back with a fault
_SLOT = re.compile(r"\{([\w.-]+)\}")


@dataclass
class PlanPlayer:
    """Plays a plan step by step, resolving arguments from facts and earlier results.

    facts: value of each fact, in place of the task's own (what a guesser believes).
    recovery: what it does about injected faults (`mocktools.faults`). "right" calls again, but after a write
        that did not answer it looks, and leaves be what was done; "none" takes what it got; "blind" calls
        again whatever happened.
    """

    task: Task
    facts: Mapping[str, Any]
    results: dict[int, Any] = field(default_factory=dict)
    calls: int = 0
    recovery: Literal["right", "none", "blind"] = "right"
    look: Call | None = None  # the last call that only read

    async def play(self, episode: Episode, plan: Sequence[GoldStep]) -> None:
        await episode.reset()
        await self.follow(episode, enumerate(plan))

    async def follow(self, episode: Episode, steps: Iterable[tuple[int, GoldStep]]) -> None:
        """Play steps, each with the number under which later ones refer to its result, until the episode ends."""
        for number, step in steps:
            if episode.done:
                return
            await self.take(episode, number, step)

    async def take(self, episode: Episode, number: int, step: GoldStep) -> None:
        """Play one step."""
        observation = await episode.step(self.message(step))
        if isinstance(step, Call):
            value = _result_of(observation)
            if self.task.faults:
                value = await self._recovered(episode, step, value)
                self.look = step if _reads(episode, step) else self.look
            self.results[number] = value

    async def _recovered(self, episode: Episode, step: Call, value: Any) -> Any:
        """The result of `step` after faults have been dealt with."""
        for _ in range(_TRIES):
            flaw = _flaw(value)
            if not flaw or self.recovery == "none" or episode.done:
                break
            if flaw == "timeout" and self.recovery == "right" and not _reads(episode, step):
                done = episode.events[-1].ok
                if self.look:
                    await episode.step(self.message(self.look))
                if done:
                    break
            if not episode.done:
                value = _result_of(await episode.step(self.message(step)))
        marked = _flaw(value) in ("stale", "partial")
        return value["result"] if marked else value

    def message(self, step: GoldStep) -> Message:
        """The assistant message that carries out one step."""
        match step:  # the commonest first: a pydantic class is slow to say that something is not its own
            case Call(call=name, arguments=arguments):
                return self._call(name, {key: self.value(argument) for key, argument in arguments.items()})
            case Finish(finish=text):
                return self._call("finish", {"message": self._fill(text)})
            case Ask(text=text) | Confirm(confirm=text):
                return assistant(self._fill(text))

    def value(self, argument: Argument) -> Any:
        if isinstance(argument, Value):
            return argument.value
        if isinstance(argument, FromStep):
            return part_at(self.results.get(argument.step), argument.path)
        return self.facts[argument.fact]

    def _call(self, name: str, arguments: Mapping[str, Any]) -> Message:
        self.calls += 1
        return assistant(None, tool_call(f"call_{self.calls}", name, dumps(dict(arguments))))

    def _fill(self, text: str) -> str:
        def fill(match: re.Match[str]) -> str:
            head, _, path = match[1].partition(".")
            if head == "fact":
                fact = self.task.fact(path)
                return fact.spoken if self.facts[path] == fact.value else str(self.facts[path])
            return str(part_at(self.results.get(int(head)), path))

        return _SLOT.sub(fill, text)


def _result_of(observation: Observation) -> Any:
    if not observation.values:
        raise NoResult("a scripted agent got no tool result", blame="tools")
    return observation.values[0]


def _reads(episode: Episode, step: Call) -> bool:
    tool = episode.image.tools.get(step.call)
    return tool is not None and tool.spec.effect == "read"


def _flaw(value: Any) -> str:
    """The fault that a result shows; empty when it shows none."""
    if not isinstance(value, dict):
        return ""
    error = value.get("error")
    code = error.get("code", "") if isinstance(error, dict) else ""
    marks = [mark for mark in ("stale", "partial") if value.get(mark) is True and "result" in value]
    return code if code in ("unavailable", "timeout") else next(iter(marks), "")


def truth(task: Task) -> dict[str, Any]:
    """The value of every fact, as the user holds it."""
    return {fact.id: fact.value for fact in task.facts}


async def _stop(episode: Episode, text: str) -> None:
    """End an episode that the plan has left open."""
    if not episode.done:
        await episode.step(assistant(None, tool_call("call_end", "finish", dumps({"message": text}))))


class Expert:
    """Follows the gold plan, asks what it must."""

    name = "expert"

    async def play(self, episode: Episode) -> None:
        await PlanPlayer(episode.task, truth(episode.task)).play(episode, episode.task.gold)


class Null:
    """Does nothing and says so."""

    name = "null"

    async def play(self, episode: Episode) -> None:
        await episode.reset()
        await _stop(episode, "There is nothing that I can do.")


class Guesser:
    """The gold plan without its questions: every hidden fact is guessed.

    With `lucky`, the guesses are right, which must fail all the same: nobody told it.
    """

    def __init__(self, *, lucky: bool = False) -> None:
        self.lucky = lucky
        self.name = "guesser-lucky" if lucky else "guesser"

    async def play(self, episode: Episode) -> None:
        task = episode.task
        chance = random.Random(derive(episode.seed, "guesser"))
        facts = truth(task)
        for fact in task.hidden():
            if fact.alternatives and not self.lucky:
                facts[fact.id] = chance.choice(fact.alternatives)
        await episode.reset()
        silent = [(number, step) for number, step in enumerate(task.gold) if not isinstance(step, Ask)]
        await PlanPlayer(task, facts).follow(episode, silent)
        await _stop(episode, "Done.")


class Interrogator:
    """Asks for everything, again and again, and never acts."""

    name = "interrogator"

    async def play(self, episode: Episode) -> None:
        await episode.reset()
        questions = [fact.question or f"What is {fact.label}?" for fact in episode.task.facts]
        for question in ["Please tell me everything.", *questions, *questions, "Is there anything else?"]:
            if episode.done:
                return
            await episode.step(assistant(question))
        await _stop(episode, "Thank you for the answers.")


class Violator:
    """Does the task and a forbidden act with it: the task's `violation` plan.

    Where a task has none, the gold plan without its questions for a yes, with its last write done twice.
    """

    name = "violator"

    async def play(self, episode: Episode) -> None:
        task = episode.task
        player = PlanPlayer(task, truth(task))
        if task.violation:
            await player.play(episode, task.violation)
        else:
            await player.play(episode, _careless(task.gold))
        await _stop(episode, "Done.")


def _careless(gold: Sequence[GoldStep]) -> list[GoldStep]:
    """`gold` with each `Confirm` made a remark, so that step numbers stay, and its last call repeated."""
    plan: list[GoldStep] = [Ask(ask=(), text="One moment.") if isinstance(s, Confirm) else s for s in gold]
    calls = [step for step in plan if isinstance(step, Call)]
    return [*plan[:-1], *calls[-1:], *plan[-1:]]


AGENTS = {agent.name: agent for agent in (Expert(), Null(), Guesser(), Interrogator(), Violator())}
