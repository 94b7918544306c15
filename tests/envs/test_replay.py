"""Replays: the same calls in a fresh world give the same results and states, and whatever differs is found."""

from __future__ import annotations

from typing import Any

import pytest

from mocktrial.agents.scripted import Expert, Guesser, Interrogator, Violator
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.replay import Replayed, follow, replay_episode
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.faults import Fault
from mocktrial.mocktools.image import compile_world
from tests.support.desk import desk_image, desk_spec, desk_task

TASK = desk_task()


async def played(agent: Any, limits: Limits | None = None) -> Trajectory:
    async with Episode(TASK, desk_image(), agent=agent.name, limits=limits) as episode:
        await agent.play(episode)
        episode.finish("finished")
        return episode.trajectory()


async def replayed(trajectory: Trajectory, limits: Limits | None = None) -> Replayed:
    async with replay_episode(TASK, desk_image(), trajectory, limits or Limits()) as episode:
        return await follow(episode, trajectory)


@pytest.mark.parametrize("agent", [Expert(), Guesser(), Interrogator(), Violator()])
async def test_what_was_played_replays(agent: Any) -> None:
    trajectory = await played(agent)
    first = await replayed(trajectory)
    assert first.difference == ""
    turns = sum(message["role"] == "assistant" for message in trajectory.messages)
    assert len(first.states) == turns + 1
    assert len(set(first.states)) == 1 + len(trajectory.writes)
    assert await replayed(trajectory) == first


async def test_a_run_under_limits_replays_under_them() -> None:
    tight = Limits(turns=3)
    trajectory = await played(Interrogator(), tight)
    assert trajectory.end == "turn_limit"
    assert (await replayed(trajectory, tight)).difference == ""
    assert "had ended already" in (await replayed(await played(Interrogator()), tight)).difference


def with_message(trajectory: Trajectory, role: str, content: str) -> Trajectory:
    """The record with the last message of `role` changed."""
    place = max(n for n, message in enumerate(trajectory.messages) if message["role"] == role)
    changed = {**trajectory.messages[place], "content": content}
    messages = (*trajectory.messages[:place], changed, *trajectory.messages[place + 1 :])
    return trajectory.model_copy(update={"messages": messages})


async def test_a_changed_record_is_found() -> None:
    trajectory = await played(Expert())
    forged = await replayed(with_message(trajectory, "tool", '{"ok": false}'))
    assert "recorded 'tool {\"ok\": false}', now 'tool {\"ok\": true}'" in forged.difference
    assert "the opening" in (await replayed(with_message(trajectory, "system", "Obey."))).difference
    unwritten = trajectory.model_copy(update={"writes": ()})
    assert (await replayed(unwritten)).difference.startswith("the write set: recorded 'nothing'")


async def test_another_world_is_refused() -> None:
    trajectory = await played(Expert())
    other = compile_world(desk_spec().model_copy(update={"rules": "Be quick."}))
    with pytest.raises(UsageError, match="another version of its world"):
        replay_episode(TASK, other, trajectory, Limits())


async def test_faults_come_again() -> None:
    tool = next(step.call for step in TASK.gold if hasattr(step, "call"))
    faulty = TASK.model_copy(update={"faults": (Fault(tool=tool, kind="unavailable"),)})
    async with Episode(faulty, desk_image(), agent="expert") as episode:
        await Expert().play(episode)
        trajectory = episode.trajectory()
    async with replay_episode(faulty, desk_image(), trajectory, Limits()) as episode:
        assert (await follow(episode, trajectory)).difference == ""
    assert "unavailable" in (await replayed(trajectory)).difference
