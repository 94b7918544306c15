"""A rehearsal cuts plays short: each must come to what the same steps come to when they are played whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mocktrial.agents.scripted import truth
from mocktrial.envs.episode import Episode
from mocktrial.envs.task import Task
from mocktrial.mocktools.image import WorldImage
from mocktrial.synth.compose.composer import Composer
from mocktrial.synth.production.units import make_unit
from mocktrial.synth.proof.paraphrase import reordered
from mocktrial.synth.proof.rehearsal import Play, Prover, Rehearsal, drive, failed
from mocktrial.synth.proof.variants import OPERATORS, Scene, Variant
from tests.support.router import router_image, router_task

FAMILIES = {"tool_use", "policy", "impossible", "no_tool", "faulty", "injected", "math", "search"}


def played_whole(task: Task, image: WorldImage, variant: Variant) -> tuple[Episode, Prover]:
    """The steps in a world and with a user of their own, which remember nothing."""
    episode = Episode(task, image)
    player = Prover(task, variant.facts, recovery=variant.recovery)
    drive(episode.reset())
    drive(player.follow(episode, variant.steps))
    episode.finish("finished")
    return episode, player


def variants_of(task: Task, image: WorldImage, gold: Play) -> Iterator[Variant]:
    writers = frozenset(tool.name for tool in image.writers)
    scene = Scene(task, truth(task), gold.results, writers=writers)
    for operator in OPERATORS.values():
        yield from operator(scene)
    order = reordered(scene)
    if order:
        yield Variant("reordered", "another order", order, scene.facts)


def compare(task: Task, image: WorldImage) -> None:
    stage = Rehearsal(task, image)
    gold = stage.play_gold()
    for number, variant in enumerate(variants_of(task, image, gold)):
        play = stage.play(variant, whole=number % 2 == 0)
        episode, player = played_whole(task, image, variant)
        grade, writes = episode.graded()
        if variant.taken is not None and failed(player.results.get(variant.taken)):
            assert not play.success
        else:
            assert play.success == grade.success, variant
            assert play.sent == tuple(player.sent)[: len(play.sent)]
            assert len(play.sent) == len(player.sent) or variant.kind == "guess"
        if play.success or play.unmet:
            assert play.writes == writes
            assert play.unmet == tuple(result.id for result in grade.criteria if not result.passed)
        episode.close()
    stage.close()


@pytest.mark.parametrize(("worlds", "tasks"), [(2, 24), pytest.param(20, 60, marks=pytest.mark.soak)])
def test_a_play_that_is_cut_short_comes_to_the_same(worlds: int, tasks: int) -> None:
    families = set()
    for number in range(worlds):
        unit = make_unit(Composer(7), number, 7, tasks)
        for task, _ in unit.pairs:
            assert unit.image is not None
            compare(task, unit.image)
            families.add(task.family)
    assert families == FAMILIES


@pytest.mark.parametrize("number", [1, 2])
def test_so_does_one_in_which_the_user_acts(number: int) -> None:
    compare(router_task(number), router_image())
