"""Right and wrong episodes of proved tasks, for measuring judges: what scripted agents and the proof's mutants do."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from mocktrial.agents.base import Agent
from mocktrial.agents.scripted import AGENTS, PlanPlayer, truth
from mocktrial.envs.episode import Episode
from mocktrial.envs.judging.twins import Case, cases_of, twins_of
from mocktrial.envs.rubric import JudgeCriterion
from mocktrial.envs.seeds import derive
from mocktrial.envs.task import Task
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.proof.rehearsal import drive
from mocktrial.synth.proof.variants import OPERATORS, Scene, Variant

MUTANTS = 4  # of a task, drawn among those that the operators make


def judged_cases(task: Task, image: WorldImage, played: Iterable[Trajectory] = (), *, seed: int = 0) -> list[Case]:
    """Cases of the episodes that scripted players make of a task, right and wrong, and of those `played` before."""
    twins, gold, results = _gold(task, image)
    adversaries = [_by_agent(task, image, agent) for agent in AGENTS.values() if agent.name != "expert"]
    mutants = [_by_plan(task, image, variant) for variant in _mutants(task, image, results, seed)]
    return [case for episode in (gold, *adversaries, *mutants, *played) for case in cases_of(twins, episode)]


def played_by_agents(task: Task, image: WorldImage) -> list[Trajectory]:
    """One episode of each scripted agent, the expert first."""
    return [_by_agent(task, image, agent) for agent in AGENTS.values()]


def _gold(task: Task, image: WorldImage) -> tuple[dict[str, JudgeCriterion], Trajectory, Mapping[int, Any]]:
    """The task's twins, its gold episode, and the results of its gold calls."""
    player = PlanPlayer(task, truth(task))
    episode = Episode(task, image, agent="expert")
    try:
        drive(player.play(episode, task.gold))
        episode.finish("finished")
        return twins_of(task, episode.world), episode.trajectory(), player.results
    finally:
        episode.close()


def _mutants(task: Task, image: WorldImage, results: Mapping[int, Any], seed: int) -> list[Variant]:
    writers = frozenset(tool.name for tool in image.spec.tools() if tool.effect == "write")
    scene = Scene(task, truth(task), results, writers=writers)
    made = [variant for operator in OPERATORS.values() for variant in operator(scene)]
    return random.Random(derive(seed, "mutants", task.id)).sample(made, min(MUTANTS, len(made)))


def _by_agent(task: Task, image: WorldImage, agent: Agent) -> Trajectory:
    episode = Episode(task, image, agent=agent.name)
    try:
        drive(agent.play(episode))
        episode.finish("finished")
        return episode.trajectory()
    finally:
        episode.close()


def _by_plan(task: Task, image: WorldImage, variant: Variant) -> Trajectory:
    player = PlanPlayer(task, variant.facts, recovery=variant.recovery)
    episode = Episode(task, image, agent=f"mutant:{variant.kind}")
    try:
        drive(episode.reset())
        drive(player.follow(episode, variant.steps))
        episode.finish("finished")
        return episode.trajectory()
    finally:
        episode.close()
