"""Who failed, where an episode did: the user, the tools or the agent, in this order.

Read from the record alone: the events and the task's own questions. The first that applies is taken, so that an
agent is never charged with what it could not have mended; what remains is the agent's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from mocktrial.envs.report.model import Blame, Culprit
from mocktrial.envs.task import Call, Task
from mocktrial.envs.trajectory import Event, Trajectory
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import fold

EXAMPLES = 3  # of each culprit that a report shows
_NO_ANSWER = frozenset({"unavailable", "timeout", "too_much_work"})  # codes of a tool that is not there
_ENDS = {"user_left": "the user lost patience", "context_limit": "the context was full"}
_ORDER: tuple[Culprit, ...] = ("user", "tools", "agent")


class Finding(Frozen):
    """Who is to blame for one episode; `kind` counts alike ones together, `detail` says what happened."""

    who: Culprit
    kind: str
    detail: str


def blame(task: Task, trajectory: Trajectory) -> Finding:
    """The culprit of one episode that was scored and did not succeed."""
    found = _of_user(task, trajectory) or _of_tools(task, trajectory.events)
    return found or _of_agent(trajectory)


def blames(findings: Iterable[tuple[str, Finding]]) -> Iterator[Blame]:
    """Counts and the first examples, by culprit; `findings` come with a name of their episode."""
    rows = list(findings)
    for who in _ORDER:
        own = [(name, found) for name, found in rows if found.who == who]
        if own:
            kinds = Counter(found.kind for _, found in own)
            yield Blame(
                who=who,
                count=len(own),
                kinds=tuple(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
                examples=tuple(f"{name}: {found.detail}" for name, found in own[:EXAMPLES]),
            )


def _of_user(task: Task, trajectory: Trajectory) -> Finding | None:
    """A fault that was found while it spoke, or a fact's own question, asked as the task words it, not answered."""
    for event in trajectory.events:
        if event.kind == "fault":
            kind = event.name.replace("_", " ")
            return Finding(who="user", kind=kind, detail=f"{kind} in turn {event.turn}")
    told = {event.name for event in trajectory.events if event.kind == "release"}
    for event in trajectory.events:
        for fact in task.hidden():
            asked = event.kind == "say" and fact.question and fold(fact.question) in fold(event.text)
            if asked and fact.id not in told and _heard(trajectory, event.turn):
                detail = f"turn {event.turn} asked {fact.question!r}, which was never answered"
                return Finding(who="user", kind="unanswered", detail=detail)
    return None


def _heard(trajectory: Trajectory, turn: int) -> bool:
    """Whether a message of the user follows the agent's message of that turn: a call's text gets no reply."""
    seen = -1
    for message, after in zip(trajectory.messages, trajectory.messages[1:], strict=False):
        seen += message.get("role") == "assistant"
        if seen == turn and message.get("role") == "assistant":
            return after.get("role") == "user"
    return False


def _of_tools(task: Task, events: Iterable[Event]) -> Finding | None:
    """A tool that the gold plan needs gave no answer, and went on so after all faults that the task has for it."""
    needed = {step.call for step in task.gold if isinstance(step, Call)}
    calls = [event for event in events if event.kind == "call" and event.by == "agent" and event.name in needed]
    for name in dict.fromkeys(event.name for event in calls):
        own = [event for event in calls if event.name == name]
        silent = [event for event in own if event.code in _NO_ANSWER and not event.ok]
        expected = max((max(fault.calls) for fault in task.faults if fault.tool == name), default=0)
        if len(silent) > expected and not any(event.ok for event in own):
            detail = f"{name} did not answer in {len(silent)} calls, the last in turn {silent[-1].turn}"
            return Finding(who="tools", kind="no answer", detail=detail)
    return None


def _of_agent(trajectory: Trajectory) -> Finding:
    """What went wrong first, in the order in which it weighs."""
    grade = trajectory.grade
    missed = [one for one in grade.criteria if not one.passed] if grade else []
    detail = "; ".join(f"{one.id}: {one.evidence}" for one in missed[:2]) or trajectory.end.replace("_", " ")
    if any(one.group == "forbidden" for one in missed):
        kind = "forbidden act"
    elif grade and grade.asking.guess:
        kind = "guessed"
    elif grade and grade.asking.under_ask:
        kind = "did not ask"
    elif trajectory.end in _ENDS:
        kind = _ENDS[trajectory.end]
    elif trajectory.end != "finished":
        kind = f"{trajectory.end.replace('_', ' ')} reached"
    else:
        kind = "did not do it, or did it wrong"
    return Finding(who="agent", kind=kind, detail=detail)


def met_a_fault(task: Task, trajectory: Trajectory) -> bool:
    """Whether a tool with an injected fault was called, so that the agent had something to recover from."""
    faulty = {fault.tool for fault in task.faults}
    return any(
        event.kind == "call" and event.name in faulty and (event.ok or event.code in _NO_ANSWER)
        for event in trajectory.events
    )
