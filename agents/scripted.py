"""Scripted agents: the expert that follows the gold plan, and named wrong behaviours.

They are public test doubles: the proof of a task plays them, `mocktrial run --agent NAME` runs them, and
a grader that lets an adversary pass is broken. They read `episode.task`, which no real agent may.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mocktrial.envs.chat import Message, assistant, tool_call
from mocktrial.envs.episode import Episode, Observation
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Argument, Ask, Call, Confirm, Finish, FromFact, FromStep, GoldStep, Task
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.values import dumps

_SLOT = re.compile(r"\{([\w.-]+)\}")


@dataclass
class PlanPlayer:
    """Plays a plan step by step, resolving arguments from facts and earlier results.

    facts: value of each fact, in place of the task's own (what a guesser believes).
    """

    task: Task
    facts: Mapping[str, Any]
    results: dict[int, Any] = field(default_factory=dict)
    calls: int = 0

    async def play(self, episode: Episode, plan: Sequence[GoldStep]) -> None:
        observation = await episode.reset()
        for number, step in enumerate(plan):
            if observation.done:
                return
            observation = await episode.step(self.message(step))
            if isinstance(step, Call):
                self.results[number] = _result_of(observation)

    def message(self, step: GoldStep) -> Message:
        """The assistant message that carries out one step."""
        match step:
            case Ask(text=text) | Confirm(confirm=text):
                return assistant(self._fill(text))
            case Finish(finish=text):
                return self._call("finish", {"message": self._fill(text)})
            case Call(call=name, arguments=arguments):
                return self._call(name, {key: self.value(argument) for key, argument in arguments.items()})

    def value(self, argument: Argument) -> Any:
        if isinstance(argument, FromFact):
            return self.facts[argument.fact]
        if isinstance(argument, FromStep):
            return _at(self.results.get(argument.step), argument.path)
        return argument.value

    def _call(self, name: str, arguments: Mapping[str, Any]) -> Message:
        self.calls += 1
        return assistant(None, tool_call(f"call_{self.calls}", name, dumps(dict(arguments))))

    def _fill(self, text: str) -> str:
        def fill(match: re.Match[str]) -> str:
            head, _, path = match[1].partition(".")
            if head == "fact":
                fact = self.task.fact(path)
                return fact.spoken if self.facts[path] == fact.value else str(self.facts[path])
            return str(_at(self.results.get(int(head)), path))

        return _SLOT.sub(fill, text)


def _result_of(observation: Observation) -> Any:
    try:
        return json.loads(observation.messages[0]["content"])
    except (IndexError, KeyError, ValueError) as error:
        raise NoResult(f"a scripted agent got no tool result: {error}", blame="tools") from error


def _at(value: Any, path: str) -> Any:
    """The part of a result at a dotted path; None where it ends early, as when a guess found nothing."""
    for part in filter(None, path.split(".")):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


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
        # Steps keep their numbers, since later ones refer to them: a question becomes a look at nothing.
        player = PlanPlayer(task, facts)
        await episode.reset()
        for number, step in enumerate(task.gold):
            if episode.done or isinstance(step, Ask):
                continue
            observation = await episode.step(player.message(step))
            if isinstance(step, Call):
                player.results[number] = _result_of(observation)
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
