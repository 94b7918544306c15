"""A task of ours in tau2's form.

The gold plan becomes `actions` with literal arguments, as it went when it was played; what had to be told becomes
`communicate_info`, in the words that the gold plan used; questions for a judge become `nl_assertions`. All that the
form has no place for (release rules, criteria, faults) stands in `EXTENSION`, which its reader passes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2

from mocktrial.agents.scripted import PlanPlayer, truth
from mocktrial.envs.episode import Episode
from mocktrial.envs.rubric import TellCriterion
from mocktrial.envs.task import Ask, Call, Task
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import fold
from mocktrial.synth.proof.rehearsal import drive

EXTENSION = "mocktrial"  # key of a task with all that is ours
SOURCE = "tau2"  # key of a task's provenance with the entry that it was made of
_WORDING = Path(__file__).parent / "wording"
Entry = dict[str, Any]


def entry_of(task: Task, image: WorldImage) -> Entry:
    """The task without the extension; the entry that it was made of, where it was made of one."""
    if SOURCE in task.provenance:
        return dict(task.provenance[SOURCE])
    actions, told = _as_played(task, image)
    questions = [criterion.question for criterion in task.rubric.judged()]
    basis = ["DB", *(["COMMUNICATE"] if told else []), *(["NL_ASSERTION"] if questions else [])]
    user_tools = [tool.name for tool in image.spec.tools_of("user")]
    return {
        "id": task.id,
        "description": {"purpose": task.goal, "relevant_policies": None, "notes": None},
        "user_scenario": {
            "persona": _worded("persona", task),
            "instructions": {
                "domain": task.domain,
                "reason_for_call": task.instruction,
                "known_info": _worded("known_info", task),
                "unknown_info": None,
                "task_instructions": _worded("task_instructions", task),
            },
        },
        "ticket": None,
        "initial_state": None,
        "evaluation_criteria": {
            "actions": actions,
            "env_assertions": None,
            "communicate_info": told,
            "nl_assertions": questions,
            "reward_basis": basis,
        },
        "user_tools": user_tools,
    }


def _worded(name: str, task: Task) -> str:
    return _page(name).render(task=task).strip()


@lru_cache
def _page(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_WORDING), undefined=jinja2.StrictUndefined, autoescape=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(f"{name}.txt.j2")


def _as_played(task: Task, image: WorldImage) -> tuple[list[Entry], list[str]]:
    """The calls of the gold plan, and what the agent said of that which had to be told."""
    player = PlanPlayer(task, truth(task))
    episode = Episode(task, image)
    try:
        drive(player.play(episode, task.gold))
        said = fold(" ".join(event.text for event in episode.events if event.kind == "say"))
        told = [_said(criterion, episode, said) for criterion in _tells(task)]
    finally:
        episode.close()
    calls = enumerate(_calls(task, player))
    return [{"action_id": f"{task.id}_{number}", **call, "info": None} for number, call in calls], told


def _calls(task: Task, player: PlanPlayer) -> Iterator[Entry]:
    deeds = {deed.id: deed for deed in task.deeds}
    for step in task.gold:
        if isinstance(step, Call):
            arguments = {name: player.value(argument) for name, argument in step.arguments.items()}
            yield {"requestor": "assistant", "name": step.call, "arguments": arguments}
        elif isinstance(step, Ask):
            for name in step.does:
                yield {"requestor": "user", "name": deeds[name].tool, "arguments": dict(deeds[name].arguments)}


def _tells(task: Task) -> Iterator[TellCriterion]:
    rubric = task.rubric
    return (item for item in (*rubric.subgoals, *rubric.interactions) if isinstance(item, TellCriterion))


def _said(criterion: TellCriterion, episode: Episode, said: str) -> str:
    """The accepted wording that was said: the form takes one text and looks for it as it stands."""
    accepted = list(criterion.any_of)
    if criterion.sql:
        accepted += [str(row[0]) for row in episode.world.query(criterion.sql, criterion.values)]
    return next((wording for wording in accepted if fold(wording) in said), accepted[0] if accepted else "")
