"""How hard a task is, counted and never declared."""

from __future__ import annotations

from mocktrial.envs.task import Call, Task
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.plan.planning import PlanRun


def difficulty_of(task: Task) -> dict[str, float]:
    """steps: calls of the gold plan; facts; hidden: facts to be asked for; branching: mean number of rows among
    which a call had to choose (1: none had to); distractors: tools of the world that the plan does not use.

    The last two need the world; `make_task` left them in the task's provenance. Without it they are absent.
    """
    counted = {
        "steps": float(sum(isinstance(step, Call) for step in task.gold)),
        "facts": float(len(task.facts)),
        "hidden": float(len(task.hidden())),
    }
    return counted | {
        key: float(task.provenance[key]) for key in ("branching", "distractors") if key in task.provenance
    }


def branching(run: PlanRun) -> float:
    """Mean number of rows that a choice of the plan was among; 1 where it had none to make."""
    choices = [count for call in run.calls for count in call.choices]
    return round(sum(choices) / len(choices), 2) if choices else 1.0


def distractors(run: PlanRun, image: WorldImage) -> int:
    """Tools that the plan does not use."""
    return len(set(image.tools) - {call.template.call for call in run.calls})
