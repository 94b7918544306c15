"""One task from one goal, one world and one seed: bind, plan, hide, write.

    make_task(goal, image, domain=..., personas=..., seed=...) -> Task

Raises `Unplannable` where the chosen rows do not make a good task; the caller counts the reason and
tries another seed. The task is not proved yet: `prove` does that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Fact, GoldStep, Persona, Task
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.form.goals import FactTemplate, Goal
from mocktrial.synth.form.templates import fill, instruct, slots, speak
from mocktrial.synth.plan.choosing import Unplannable
from mocktrial.synth.plan.difficulty import branching, distractors
from mocktrial.synth.plan.golden import GoldWriter, subgoal_of
from mocktrial.synth.plan.planning import PlannedCall, PlanRun, alternatives_of, bind, carry_out, run_more, run_plan
from mocktrial.synth.plan.rubrics import build_rubric
from mocktrial.synth.plan.stage import LATER, Stage, varies
from mocktrial.synth.plan.strays import has_writes, stray_write
from mocktrial.synth.plan.underspecify import Uses, gives_away, readable, telling_alternatives
from mocktrial.synth.voice.speech import realise

MAX_ALTERNATIVES = 2  # of a hidden fact; each is played in the proof
MAX_PUBLIC = 1  # of any other
_OPINIONS = ("preference", "constraint")  # kinds of facts that no result can give away, whatever number stands in it
MAX_HIDDEN = 2


class _Others:
    """Other values of one fact, a few, chosen by seed. Each is planned only when it is wanted."""

    def __init__(self, values: list[Any], telling: Iterator[tuple[Any, PlanRun]]) -> None:
        self.values = values  # whether they tell or not
        self.telling: list[tuple[Any, PlanRun]] = []  # those found so far
        self._more = telling

    def find(self, count: int) -> bool:
        """Look for `count` of them that tell; whether there is any."""
        self.telling += islice(self._more, count - len(self.telling))
        return bool(self.telling)


@dataclass(frozen=True)
class _Draft:
    """What is known of a task while it is made."""

    goal: Goal
    uses: Uses
    stage: Stage
    values: dict[str, Any]
    spoken: dict[str, str]  # the facts
    gold: PlanRun
    others: dict[str, _Others]  # by fact

    @property
    def names(self) -> dict[str, Any]:
        """What templates may name."""
        return {**self.values, **self.spoken}


def make_task(
    goal: Goal,
    image: WorldImage,
    *,
    domain: str,
    personas: Sequence[Persona],
    seed: int,
    gap: bool = True,
    speaker: Callable[[], Persona | None] = lambda: None,
    known: Callable[[str], bool] = lambda instruction: False,
) -> Task:
    """Bind, plan, hide and write. Raises `Unplannable`.

    gap: without it the task of the same seed has the same rows and plan, and the instruction tells all.
    speaker: who asks, in words of their own; without one, somebody of `personas` in the words of the goal.
    known: whether there is a task with this instruction already, so that no more work is to be put into this one.
    """
    chance = random.Random(seed)
    with Stage(image, derive(seed, "trial", 0)) as stage:
        draft = _draft(goal, stage, chance)
        concealed = _hide(draft, chance) if goal.gap else ()
        hidden = concealed if gap else ()
        instruction = _instruction(draft, concealed, hidden, chance)
        asker = speaker()
        if asker is not None:
            instruction = _said_by(asker, instruction, draft, hidden, chance)
        if known(instruction):
            raise Unplannable("exact duplicate")
        violation = _Violation(draft, seed)
        for fact, others in draft.others.items():
            others.find(MAX_ALTERNATIVES if fact in concealed else MAX_PUBLIC)
        questions = {fact.id: _question(draft, fact, hidden) for fact in goal.facts}
        other_runs = [run for others in draft.others.values() for _, run in others.telling]
        steps = GoldWriter(draft.uses, draft.gold, questions, draft.names, other_runs).write(hidden)
        moves = varies(image, (call.template.call for call in draft.gold.calls))
        twin = carry_out(goal, image, draft.values, seed + 1, LATER) if moves else draft.gold
        rubric = build_rubric(goal, draft.values, hidden, draft.gold, twin, writable=has_writes(image))
        return Task(
            id="draft",
            world=image.spec.name,
            world_hash=image.hash,
            domain=domain,
            family=goal.family,
            difficulty=len(draft.gold.calls),
            persona=asker or chance.choice(personas),
            goal=fill(goal.wish, draft.names),
            instruction=instruction,
            facts=tuple(_fact(draft, template, questions, hidden) for template in goal.facts),
            rubric=rubric,
            gold=steps,
            violation=violation.plan(questions, hidden, steps),
            faults=goal.faults,
            seed=seed,
            provenance={
                "generator": "procedural", "goal": goal.id, "tags": list(goal.tags), "gap": gap,
                "branching": branching(draft.gold), "distractors": distractors(draft.gold, image),
            },
        )  # fmt: skip


def _draft(goal: Goal, stage: Stage, chance: random.Random) -> _Draft:
    values = bind(goal, stage, chance)
    found = {fact.id: alternatives_of(goal, fact.id, stage, values) for fact in goal.facts}
    gold = run_plan(goal, stage, values)
    uses, others = Uses(goal), {}
    for fact, every in found.items():
        few = sorted(chance.sample(every, min(MAX_ALTERNATIVES, len(every))), key=repr)
        others[fact] = _Others(few, telling_alternatives(uses, stage, values, gold, fact, few))
    spoken = {fact.id: _spoken(fact, values[fact.id]) for fact in goal.facts}
    return _Draft(goal, uses, stage, values, spoken, gold, others)


def _spoken(fact: FactTemplate, value: Any) -> str:
    return fact.spoken_as.get(str(value)) or fact.spoken.format(speak(value, fact.says))


def _hide(draft: _Draft, chance: random.Random) -> tuple[str, ...]:
    """One or two facts that the agent must ask for, in the goal's order."""
    values, spoken = draft.values, draft.spoken

    def before(fact: str) -> Sequence[PlannedCall]:
        return draft.gold.calls[: draft.uses.first(draft.gold, fact)]

    fit = [
        fact.id
        for fact in draft.goal.facts
        if fact.hide
        and (fact.kind in _OPINIONS or not gives_away(before(fact.id), values[fact.id], draft.others[fact.id].values))
        and not readable(values[fact.id], spoken[fact.id], [text for other, text in spoken.items() if other != fact.id])
        and draft.others[fact.id].find(1)
    ]
    if not fit:
        raise Unplannable(f"{draft.goal.id}: no fact that must be asked for")
    kinds = {fact.id: fact.kind for fact in draft.goal.facts}
    special = [name for name in fit if kinds[name] != "missing"]  # what the goal was written for
    count = min(len(fit), chance.randint(1, MAX_HIDDEN))
    chosen = set(chance.sample(special, 1)) if special else set()
    chosen.update(chance.sample([name for name in fit if name not in chosen], count - len(chosen)))
    return tuple(name for name in fit if name in chosen)


def _instruction(draft: _Draft, concealed: Sequence[str], hidden: Sequence[str], chance: random.Random) -> str:
    """A wording that leaves out `concealed`, told without `hidden`: the same wording with and without the gap."""
    texts = [
        (template, instruct(template, draft.spoken, concealed, draft.values)) for template in draft.goal.instructions
    ]
    usable = [(template, text) for template, text in texts if text is not None]
    if not usable:
        raise Unplannable(f"{draft.goal.id}: no wording leaves out {', '.join(concealed)}")
    template, text = chance.choice(usable)
    if any(readable(draft.values[name], draft.spoken[name], [text]) for name in concealed):
        raise Unplannable(f"{draft.goal.id}: the instruction tells what is hidden")
    told = text if hidden == concealed else instruct(template, draft.spoken, hidden, draft.values)
    if told is None:
        raise Unplannable(f"{draft.goal.id}: the wording cannot tell all")
    return told[:1].upper() + told[1:]


def _said_by(speaker: Persona, text: str, draft: _Draft, hidden: Sequence[str], chance: random.Random) -> str:
    """The instruction as the speaker says it: every value in it stays, none that is hidden comes in."""
    spoken = [draft.spoken[fact.id] for fact in draft.goal.facts if fact.id not in hidden]
    bound = [speak(value, manner) for value in draft.values.values() for manner in ("", "day", "time", "money")]
    protected = [value for value in dict.fromkeys((*spoken, *bound)) if value and value in text]
    forbidden = [form for name in hidden for form in (draft.spoken[name], str(draft.values[name]))]
    return realise(text, speaker, protected, forbidden, chance)


def _question(draft: _Draft, fact: FactTemplate, hidden: Sequence[str]) -> str:
    if fact.id in hidden and any(name in hidden for name in slots(fact.question)):
        raise Unplannable(f"{draft.goal.id}: the question for {fact.id} tells what is hidden")
    return fill(fact.question, draft.names)


def _fact(draft: _Draft, template: FactTemplate, questions: dict[str, str], hidden: Sequence[str]) -> Fact:
    name, uses = template.id, draft.uses
    served = [subgoal_of(call) for call in draft.gold.calls if name in uses.needed[call.template.id]]
    return Fact(
        id=name,
        label=template.label,
        value=draft.values[name],
        spoken=draft.spoken[name],
        question=questions[name],
        aliases=template.aliases,
        hidden=name in hidden,
        alternatives=tuple(value for value, _ in draft.others[name].telling),
        needed_by=tuple(dict.fromkeys(filter(None, served))),
        used_in=uses.places(name),
        kind=template.kind,
    )


class _Violation:
    """What the goal forbids, or any write that it does not ask for; played right after the gold plan was."""

    def __init__(self, draft: _Draft, seed: int) -> None:
        goal, stage, gold = draft.goal, draft.stage, draft.gold
        self.draft = draft
        self.run = run_more(goal, stage, draft.values, gold, goal.violation) if goal.violation else None
        if self.run and all(change in gold.changes for change in self.run.changes):
            raise Unplannable(f"{goal.id}: the violation changes nothing of its own")
        drawn = self.run is None and has_writes(stage.image)
        self.stray = stray_write(stage.image, stage, gold, seed) if drawn else None

    def plan(
        self, questions: dict[str, str], hidden: Sequence[str], gold: tuple[GoldStep, ...]
    ) -> tuple[GoldStep, ...]:
        """The gold plan with it; empty where the world has no write."""
        if self.run:
            return GoldWriter(self.draft.uses, self.run, questions, self.draft.names).write(hidden)
        return (*gold[:-1], self.stray, gold[-1]) if self.stray else ()
