"""Many plays of one task, for its proof: the same `Episode` as any agent's, taken back instead of begun anew.

The gold plan is played once with a mark before each step. Another variant that starts with the same messages
goes on from the mark where it parts from the gold plan: what comes before would be the same, byte by byte,
since an episode is deterministic. Where the rest of a variant is words alone and its changes are wrong, it has
failed, and the rest is not said. What breaks raises `NoResult`; nothing is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from mocktrial.agents.scripted import PlanPlayer, truth
from mocktrial.envs.chat import Message
from mocktrial.envs.episode import Episode, EpisodeMark
from mocktrial.envs.grading import writes_hold
from mocktrial.envs.task import (
    Argument,
    Ask,
    Call,
    Confirm,
    Deed,
    Fact,
    Finish,
    FromFact,
    FromStep,
    GoldStep,
    Persona,
    Task,
)
from mocktrial.envs.users.base import Hand, Reply, UserState
from mocktrial.envs.users.scripted import ScriptedUser
from mocktrial.mocktools.errors import NoResult
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.recalled import RecalledWorld
from mocktrial.mocktools.values import part_at
from mocktrial.mocktools.writeset import Change
from mocktrial.synth.proof.cells import Slip
from mocktrial.synth.proof.variants import Numbered, Variant

_T = TypeVar("_T")
_FACT = re.compile(r"\{fact\.([\w.-]+)\}")


class Play(NamedTuple):
    """How a variant went. What only a whole grading shows is empty where the play failed and that was enough."""

    success: bool
    sent: tuple[str, ...]  # what the agent sent, without the ids of calls
    results: dict[int, Any]
    unmet: tuple[str, ...] = ()  # criteria that do not hold
    ending: tuple[Any, ...] = ()  # of a success: equal for plays that came to the same
    writes: tuple[Change, ...] = ()


@dataclass
class Prover(PlanPlayer):
    """Takes the first row where a wrong value's result has no such row as the plan's: it still writes.

    It asks for a yes to the right thing and then does the wrong one: the user's no must not hide a blind grader.
    """

    sent: list[str] = field(default_factory=list)

    def message(self, step: GoldStep) -> Message:
        message = self._composed(step)
        self.sent.append(_key(message))
        return message

    def key(self, step: GoldStep) -> str:
        """What `message` would send."""
        return _key(self._composed(step))

    def _composed(self, step: GoldStep) -> Message:
        if step.__class__ is Confirm:  # not isinstance, which is slow to say no
            return PlanPlayer(self.task, truth(self.task), self.results).message(step)
        return super().message(step)

    def value(self, argument: Argument) -> Any:
        found = super().value(argument)
        if found is None and isinstance(argument, FromStep):
            rows = self.results.get(argument.step)
            found = part_at(rows, f"0.{argument.path.partition('.')[2]}") if isinstance(rows, list) else None
        return found


@dataclass(frozen=True)
class _Point:
    """The gold play before one of its steps."""

    mark: EpisodeMark
    results: dict[int, Any]
    calls: int
    sent: tuple[str, ...]
    look: Call | None
    number: int  # of the step
    next: str  # what the step sends
    names: frozenset[str]  # facts that this depends on


class Rehearsal:
    """Close it to give the episode's database back."""

    def __init__(self, task: Task, image: WorldImage) -> None:
        self.task, self.image = task, image
        self.episode = Episode(task, image, agent="proof", user=_Remembering(), kind=RecalledWorld)
        self._truth = truth(task)
        self._handy = bool(task.deeds) or any(fact.via for fact in task.facts)  # the user may change something too
        self._points: list[_Point] = []
        self._right: dict[object, bool] = {}  # whether the changes of a state are as they must be
        drive(self.episode.reset())
        self._start = self._end = self.episode.mark()

    def close(self) -> None:
        self.episode.close()

    def untouched(self) -> tuple[str, ...]:
        """Ids of the criteria that do not hold where nothing is done at all; the world then stands at its start."""
        self.episode.rewind(self._start)
        self.episode.finish("finished")
        return self.episode.unmet()

    def play_gold(self) -> Play:
        """The gold plan, with the marks from which other plays go on; the world then stands at its end."""
        self.episode.rewind(self._start)
        player = Prover(self.task, self._truth)
        self._points = []
        for number, step in enumerate(self.task.gold):
            if not self.episode.done:
                mark, results, calls, look = self.episode.mark(), dict(player.results), player.calls, player.look
                sent = tuple(player.sent)
                drive(player.take(self.episode, number, step))
                following = player.sent[len(sent)]
                self._points.append(_Point(mark, results, calls, sent, look, number, following, _facts_in(step)))
        play = self._ended(player)
        self._end = self.episode.mark()
        return play

    @property
    def world(self) -> RecalledWorld:
        assert isinstance(self.episode.world, RecalledWorld), "opened as one"
        return self.episode.world

    def to_the_end(self) -> RecalledWorld:
        """The world where the gold plan left it."""
        self.episode.rewind(self._end)
        return self.world

    def succeeds_with(self, slip: Slip) -> bool | None:
        """Whether the gold play still succeeds where its end is altered so; None where no table allows that."""
        world = self.to_the_end()
        if not any(world.alter(way) for way in slip.ways):
            return None
        return writes_hold(self.task, world.write_set()) and self.episode.succeeded()

    def play(self, variant: Variant, *, whole: bool) -> Play:
        """A variant, from where it parts from the gold plan. whole: also of a play that fails, all that it shows."""
        shared = self._shared(variant)
        point = self._points[shared]
        self.episode.rewind(point.mark)
        player = Prover(
            self.task, variant.facts, dict(point.results), point.calls, variant.recovery, point.look, list(point.sent)
        )
        words = _last_call(variant.steps) + 1 if not self._handy else len(variant.steps)
        for place, (number, step) in enumerate(variant.steps[shared:], shared):
            if self.episode.done:
                break
            if not whole and place >= words and self._fails_whatever_is_said():
                rest = [player.key(step) for _, step in variant.steps[place:]]
                return Play(False, (*player.sent, *rest), player.results)
            drive(player.take(self.episode, number, step))
            if self._settled(variant, number, player):
                return Play(False, tuple(player.sent), player.results)
        return self._ended(player, whole=whole)

    def _fails_whatever_is_said(self) -> bool:
        world = self.world
        if world.state not in self._right:
            self._right[world.state] = writes_hold(self.task, world.write_set())
        return not self._right[world.state]

    def _shared(self, variant: Variant) -> int:
        """How many first steps do what the gold plan does."""
        if variant.recovery != "right":
            return 0
        last = len(self._points) - 1
        probe = Prover(self.task, variant.facts, results=self._points[last].results)
        doubted = [name for name, value in variant.facts.items() if value != self._truth[name]]
        for place, ((number, step), point) in enumerate(zip(variant.steps[:last], self._points, strict=False)):
            same = step is self.task.gold[point.number] and point.names.isdisjoint(doubted)
            if number != point.number or not (same or probe.key(step) == point.next):
                return place
        return min(len(variant.steps), last)

    def _settled(self, variant: Variant, number: int, player: Prover) -> bool:
        """Whether nothing that follows step `number` can matter: a call was refused, or a guess is seen."""
        if number == variant.taken:
            return failed(player.results[number])
        return variant.kind == "guess" and self.episode.lost()

    def _ended(self, player: Prover, *, whole: bool = True) -> Play:
        self.episode.finish("finished")
        sent = tuple(player.sent)
        if not whole and (self._fails_whatever_is_said() or not self.episode.succeeded()):
            return Play(False, sent, player.results)
        unmet = self.episode.unmet() if whole else ()
        success = not unmet and bool(self.task.rubric.subgoals or self.task.rubric.interactions)
        writes = self.world.write_set()
        ending = _ending(self.episode, writes) if success else ()
        return Play(success, sent, player.results, unmet, ending, writes)


class _Remembering:
    """The scripted user, which is a pure function, and is asked the same in most variants of one task."""

    def __init__(self) -> None:
        self._user = ScriptedUser()
        self._known: dict[tuple[UserState, str], tuple[Reply, UserState]] = {}

    async def reply(
        self, state: UserState, message: str, *, persona: Persona, goal: str, facts: tuple[Fact, ...],
        deeds: tuple[Deed, ...] = (), hand: Hand | None = None,
    ) -> tuple[Reply, UserState]:  # fmt: skip
        if hand:  # what it says may depend on the world
            return await self._user.reply(
                state, message, persona=persona, goal=goal, facts=facts, deeds=deeds, hand=hand
            )
        key = (state, message)
        if key not in self._known:
            self._known[key] = await self._user.reply(state, message, persona=persona, goal=goal, facts=facts)
        return self._known[key]


def _key(message: Message) -> str:
    called = [call["function"] for call in message.get("tool_calls", ())]
    return message["content"] or "".join(f"{call['name']} {call['arguments']}" for call in called)


def _facts_in(step: GoldStep) -> frozenset[str]:
    """Ids of the facts whose values stand in what a step sends."""
    if isinstance(step, Call):
        return frozenset(item.fact for item in step.arguments.values() if isinstance(item, FromFact))
    text = step.finish if isinstance(step, Finish) else step.text if isinstance(step, Ask) else step.confirm
    return frozenset(_FACT.findall(text))


def _last_call(steps: Sequence[Numbered]) -> int:
    """Place of the last call; -1 where there is none."""
    return next((place for place in range(len(steps) - 1, -1, -1) if isinstance(steps[place][1], Call)), -1)


def failed(result: Any) -> bool:
    """Whether a call failed, by its result."""
    return result is None or (isinstance(result, dict) and isinstance(result.get("error"), dict))


def _ending(episode: Episode, writes: tuple[Change, ...]) -> tuple[Any, ...]:
    """What a play came to; a write that is done again at once and changes nothing leaves no mark."""
    words: list[str] = []
    marks: list[tuple[str, str, Any]] = []
    for event in episode.events:
        if event.kind == "say":
            words.append(event.text)
            continue
        if event.kind == "call":
            tool = episode.image.tools.get(event.name)
            if tool is None or tool.spec.effect == "read" or not event.ok:
                continue
        mark = (event.kind, event.name, event.arguments)
        if marks[-1:] != [mark]:
            marks.append(mark)
    return writes, words, marks


def drive(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never waits for anything outside (the scripted user does not)."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: _T = stop.value
        return result
    coroutine.close()
    raise NoResult("a proof waits for nothing outside", blame="bug")
