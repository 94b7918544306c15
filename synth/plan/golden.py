"""The gold plan of a planned goal as a task holds it: questions, calls, requests for a yes, last words.

What is missing from the request is asked for at once. What only a look-up shows to be doubtful (several rows
match, no row matches) is asked for after the look-up, right before the first call that needs it. Injected
faults leave no trace here: whoever plays the plan deals with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mocktrial.envs.task import Argument, Ask, Call, Confirm, Finish, FromFact, FromStep, GoldStep, Value
from mocktrial.mocktools.values import same
from mocktrial.synth.form.steps import ComputeSource, FactSource
from mocktrial.synth.form.templates import choose, fill
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.plan.planning import STEP_SLOT, PlannedCall, PlanRun
from mocktrial.synth.plan.underspecify import Uses

MAX_WRONG = 3  # wrong results of a computation that the proof plays
_LATER = ("ambiguous", "presupposition")  # kinds of facts that a look-up shows to be needed


def subgoal_of(call: PlannedCall) -> str:
    """The id of the criterion that a call serves; empty for a look-up."""
    return call.template.subgoal or (call.name if call.after != call.before else "")


class GoldWriter:
    """Writes one gold plan. `questions` are those of the facts, `spoken` what templates may name."""

    def __init__(
        self,
        uses: Uses,
        run: PlanRun,
        questions: Mapping[str, str],
        spoken: Mapping[str, Any],
        others: Sequence[PlanRun] = (),
    ) -> None:
        self.uses, self.goal, self.run = uses, uses.goal, run
        self.questions, self.spoken, self.others = questions, spoken, others
        self.steps: list[GoldStep] = []
        self._numbers: list[int] = []  # by place of a call, the number of its step
        self._counts: Counter[str] = Counter()
        self._confirmed: set[str] = set()
        self._lost: set[int] = set()  # places of calls whose result the agent never sees

    def write(self, hidden: Sequence[str]) -> tuple[GoldStep, ...]:
        later = {fact.id for fact in self.goal.facts if fact.kind in _LATER and fact.id in hidden}
        self._ask([name for name in hidden if name not in later])
        for place, call in enumerate(self.run.calls):
            self._ask([name for name in hidden if name in later and self.uses.first(self.run, name) == place])
            self._confirm(call.template.call)
            self._call(call)
        unmet = [fault.tool for fault in self.goal.faults if fault.tool not in self._counts]
        if unmet:
            raise Unplannable(f"{self.goal.id}: no call meets the fault of {unmet[0]}")
        return (*self.steps, Finish(finish=self._finish()))

    def _call(self, call: PlannedCall) -> None:
        step = Call.model_construct(call=call.template.call, arguments=self._arguments(call), subgoal=subgoal_of(call))
        if self._loses_reply(step.call):
            self._lost.add(len(self._numbers))
        self._numbers.append(len(self.steps))
        self.steps.append(step)

    def _loses_reply(self, tool: str) -> bool:
        """Whether the agent never sees what the next call of the tool gives. Other faults make it call again."""
        kinds = {number: item.kind for item in self.goal.faults if item.tool == tool for number in item.calls}
        self._counts[tool] += 1
        while (kind := kinds.get(self._counts[tool])) and kind != "lost_reply":
            self._counts[tool] += 1
        return bool(kind)

    def _ask(self, names: Sequence[str]) -> None:
        if names:
            self.steps.append(Ask(ask=tuple(names), text=" ".join(self.questions[name] for name in names)))

    def _confirm(self, tool: str) -> None:
        """Ask for a yes before the first call of a tool that wants one, for all of its calls at once."""
        calls = [call for call in self.run.calls if call.template.call == tool and call.template.confirm]
        if not calls or tool in self._confirmed:
            return
        self._confirmed.add(tool)
        texts = [fill(call.template.confirm, self._values(call.template.confirm, call)) for call in calls]
        self.steps.append(Confirm(confirm=" ".join(dict.fromkeys(texts))))

    def _finish(self) -> str:
        made = {call.template.id for call in self.run.calls}
        text = choose(self.goal.finish, lambda name: "." in name and name.partition(".")[0] not in made)
        return fill(text, self._values(text))

    def _values(self, text: str, call: PlannedCall | None = None) -> dict[str, Any]:
        """What `text` may name: `{book.id}` becomes `{3.id}`; in an `each`, `{list.day}` is the row's."""
        values = dict(self.spoken)
        for step, path in STEP_SLOT.findall(text):
            place = next(place for place, made in enumerate(self.run.calls) if made.template.id == step)
            if place >= len(self._numbers):
                raise Unplannable(f"{self.goal.id}: asks for a yes before {step} is known")
            row = f"{call.row}." if call and call.row is not None and step == call.template.each else ""
            values[f"{step}.{path}"] = f"{{{self._number(place)}.{row}{path}}}"
        return values

    def _number(self, place: int) -> int:
        if place in self._lost:
            raise Unplannable(f"{self.goal.id}: needs the reply of {self.run.calls[place].template.id}, which is lost")
        return self._numbers[place]

    def _arguments(self, call: PlannedCall) -> dict[str, Argument]:
        """Not validated, nor are calls: their parts are a checked goal's and the world's own."""
        arguments: dict[str, Argument] = {}
        for name, source in call.template.arguments.items():
            if name in call.paths:
                place, path = call.paths[name]
                arguments[name] = FromStep.model_construct(step=self._number(place), path=path)
            elif isinstance(source, FactSource):
                arguments[name] = FromFact.model_construct(fact=source.fact)
            else:
                wrong = self._wrong(call, name) if isinstance(source, ComputeSource) else ()
                arguments[name] = Value.model_construct(value=call.arguments[name], alternatives=wrong)
        return arguments

    def _wrong(self, call: PlannedCall, argument: str) -> tuple[Any, ...]:
        """Other results of a computation: those that come of other facts, else one that is off by one."""
        right = call.arguments[argument]
        wrong: list[Any] = []
        for run in self.others:
            found = [made.arguments[argument] for made in run.calls if made.name == call.name]
            wrong += [value for value in found if not any(same(value, item) for item in (right, *wrong))]
        if not wrong and isinstance(right, int | float):
            wrong = [right + 1]
        return tuple(wrong[:MAX_WRONG])
