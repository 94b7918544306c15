"""Tasks as a reader sees them: `mocktrial synth --preview`. Is this what a person would say?"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from mocktrial.envs.task import Argument, Ask, Call, Confirm, Finish, FromFact, FromStep, GoldStep, Persona, Task
from mocktrial.mocktools.values import stable
from mocktrial.synth.production.produce import Job

_UNITS = 40  # worlds that are looked through for tasks of every family
_LEAST = 6  # worlds after which the families seen are taken to be all
_TASKS = 24  # of a world at most: every kind of goal gets a turn


def preview_text(shown: Mapping[str, Sequence[Task]]) -> Iterator[str]:
    """Tasks by family, in plain text."""
    for family, tasks in shown.items():
        yield f"# {family}\n"
        yield from map(_text, tasks)


def preview_tasks(job: Job, each: int) -> dict[str, list[Task]]:
    """`each` tasks of every family from the first worlds of the source; few of a world."""
    job = replace(job, per_world=_TASKS)
    shown: dict[str, list[Task]] = {}
    for number in itertools.islice(itertools.count(), _UNITS):
        here: Counter[str] = Counter()
        for task, _ in job.unit(number).pairs:
            own = shown.setdefault(task.family, [])
            if len(own) < each and here[task.family] < max(1, -(-each // 3)):
                here[task.family] += 1
                own.append(task)
        if number >= _LEAST - 1 and all(len(own) == each for own in shown.values()):
            break
    return dict(sorted(shown.items()))


def _text(task: Task) -> str:
    lines = [f"{task.id} ({task.domain}, {task.difficulty} calls)", f"  who:    {_who(task.persona)}"]
    lines.append(f"  user:   {task.instruction}")
    for fact in task.hidden():
        lines.append(f"  hidden: {fact.label}: {fact.question} -> {fact.spoken} (else: {_others(fact.alternatives)})")
    lines.append(f"  wish:   {task.goal}")
    lines += [f"  fault:  call {', '.join(map(str, f.calls))} of {f.tool}: {f.kind}" for f in task.faults]
    lines += [f"  {number:>2}. {_step(step)}" for number, step in enumerate(task.gold)]
    for name in ("subgoals", "interactions", "forbidden"):
        criteria = getattr(task.rubric, name)
        if criteria:
            lines.append(f"  {name}: " + "; ".join(item.description or f"{item.kind} {item.id}" for item in criteria))
    return "\n".join(lines) + "\n"


def _who(persona: Persona) -> str:
    habits = [persona.manner, persona.locale, *([] if persona.typing == "clean" else [f"types {persona.typing}"])]
    return ", ".join(filter(None, [persona.name, persona.occupation, *habits]))


def _others(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values)) or "none"


def _step(step: GoldStep) -> str:
    match step:
        case Ask(text=text):
            return f'ask "{text}"'
        case Confirm(confirm=text):
            return f'confirm "{text}"'
        case Finish(finish=text):
            return f'say "{text}"'
        case Call(call=name, arguments=arguments):
            given = ", ".join(f"{key} = {_argument(value)}" for key, value in arguments.items())
            return f"{name}({given})"


def _argument(argument: Argument) -> str:
    match argument:
        case FromFact(fact=name):
            return f"<{name}>"
        case FromStep(step=step, path=path):
            return f"step {step}: {path}"
        case _:
            return stable(argument.value)
