"""Blame: the user before the tools, the tools before the agent, and never without a cause in the record."""

from __future__ import annotations

from typing import Any

import pytest

from mocktrial.agents.scripted import Guesser, Interrogator, Null, Violator
from mocktrial.envs.chat import assistant
from mocktrial.envs.episode import Episode
from mocktrial.envs.report.blame import Finding, blame, blames, met_a_fault
from mocktrial.envs.trajectory import Event, Trajectory
from mocktrial.mocktools.faults import Fault
from tests.support.desk import desk_image, desk_task
from tests.support.ledger import make_trajectory

TASK = desk_task()
QUESTION = TASK.fact("days").question


async def played(agent: Any) -> Trajectory:
    async with Episode(TASK, desk_image(), agent=agent.name) as episode:
        await agent.play(episode)
        episode.finish("finished")
        return episode.trajectory()


def failed(*events: Event, **changes: Any) -> Trajectory:
    return make_trajectory(TASK, success=False, events=events, **changes)


def silent(turn: int, code: str = "timeout") -> Event:
    return Event(turn=turn, kind="call", name="lend", ok=False, code=code)


@pytest.mark.parametrize(
    ("agent", "kind"),
    [(Null(), "did not ask"), (Guesser(lucky=True), "guessed"), (Violator(), "forbidden act")],
)
async def test_wrong_agents_are_blamed_themselves(agent: Any, kind: str) -> None:
    found = blame(TASK, await played(agent))
    assert (found.who, found.kind) == ("agent", kind)
    assert found.detail


async def test_a_user_that_was_bothered_until_it_left_is_not_to_blame() -> None:
    trajectory = await played(Interrogator())
    assert trajectory.end == "user_left"
    assert blame(TASK, trajectory).who == "agent"


def test_a_users_fault_comes_first() -> None:
    trajectory = failed(silent(0), silent(1), Event(turn=2, kind="fault", name="role_swap"))
    assert blame(TASK, trajectory) == Finding(who="user", kind="role swap", detail="role swap in turn 2")


def test_a_facts_own_question_left_unanswered_is_the_users() -> None:
    asked = Event(turn=0, kind="say", text=f"Of course. {QUESTION}")
    spoken = ({"role": "user", "content": "Lend it."}, assistant(asked.text), {"role": "user", "content": "Hm?"})
    found = blame(TASK, failed(asked, messages=spoken))
    assert (found.who, found.kind) == ("user", "unanswered")
    told = Event(turn=1, kind="release", name="days")
    assert blame(TASK, failed(asked, told, messages=spoken)).who == "agent"


def test_a_question_beside_a_tool_call_was_not_put_to_the_user() -> None:
    asked = Event(turn=0, kind="say", text=QUESTION)
    beside = ({"role": "user", "content": "Lend it."}, assistant(QUESTION), {"role": "tool", "content": "{}"})
    assert blame(TASK, failed(asked, messages=beside)).who == "agent"


def test_a_needed_tool_that_never_answers_is_the_tools() -> None:
    found = blame(TASK, failed(silent(0), silent(1)))
    assert (found.who, found.detail) == ("tools", "lend did not answer in 2 calls, the last in turn 1")
    answered = Event(turn=2, kind="call", name="lend")
    assert blame(TASK, failed(silent(0), silent(1), answered)).who == "agent"
    refused = Event(turn=0, kind="call", name="lend", ok=False, code="bad_arguments")
    assert blame(TASK, failed(refused)).who == "agent"
    spare = Event(turn=0, kind="call", name="end_loan", ok=False, code="timeout")
    assert blame(TASK, failed(spare)).who == "agent"


def test_giving_up_on_a_fault_that_passes_is_the_agents() -> None:
    faulty = TASK.model_copy(update={"faults": (Fault(tool="lend", kind="timeout", calls=(1, 2)),)})
    assert blame(faulty, failed(silent(0), silent(1))).who == "agent"
    assert blame(faulty, failed(silent(0), silent(1), silent(2))).who == "tools"
    assert met_a_fault(faulty, failed(silent(0)))
    assert not met_a_fault(faulty, failed(Event(turn=0, kind="call", name="find_members")))
    assert not met_a_fault(TASK, failed(silent(0)))


def test_counts_come_in_the_order_of_blame_with_examples() -> None:
    rows = [(f"t{n}", Finding(who="agent", kind=("guessed", "lost")[n > 2], detail=str(n))) for n in range(5)]
    rows.append(("u", Finding(who="user", kind="unanswered", detail="why")))
    user, agent = blames(rows)
    assert (user.who, user.count, user.examples) == ("user", 1, ("u: why",))
    assert (agent.count, agent.kinds, agent.examples) == (5, (("guessed", 3), ("lost", 2)), ("t0: 0", "t1: 1", "t2: 2"))
