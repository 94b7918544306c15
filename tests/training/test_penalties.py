"""Search-R1++'s penalties from a played episode to a reward: who never asked, who never finished."""

from __future__ import annotations

import pytest
from tests.support.desk import desk_image, desk_task

from mocktrial.agents.base import Agent
from mocktrial.agents.scripted import Expert, Interrogator, Null
from mocktrial.envs.chat import TokenTrace
from mocktrial.envs.episode import Episode
from mocktrial.training.losses.rl import rewards_of
from mocktrial.training.objectives.presets import PRESETS, PolicyLoss
from mocktrial.training.records import Record, records_of
from mocktrial.training.run import examples_of
from mocktrial.training.trainer import digest_of


async def record_of(agent: Agent, end: str = "") -> Record:
    async with Episode(desk_task(), desk_image(), agent=agent.name) as episode:
        await agent.play(episode)
        played = episode.trajectory()
    (record,) = records_of([played.model_copy(update={"end": end or played.end})], "rl")
    return record


@pytest.mark.parametrize(
    ("agent", "never"),
    [(Expert(), False), (Interrogator(), False), (Null(), True)],
    ids=["expert", "interrogator", "null"],
)
async def test_who_asked_nobody_is_known(agent: Agent, never: bool) -> None:
    assert (await record_of(agent)).never_asked == never


@pytest.mark.parametrize(
    ("end", "never"),
    [("finished", False), ("user_left", False), ("turn_limit", True), ("context_limit", True), ("call_limit", True)],
)
async def test_a_limit_is_no_finish(end: str, never: bool) -> None:
    assert (await record_of(Expert(), end)).never_finished == never


def test_both_come_off_the_reward_that_advantages_see() -> None:
    trace = (TokenTrace(context=(1,), sampled=(2,), logprobs=(-1.0,)),)
    marks = [{}, {"never_asked": True}, {"never_finished": True}, {"never_asked": True, "never_finished": True}]
    rows = examples_of([Record(tokens=trace, reward=1.0, group="g", **mark) for mark in marks])
    loss = PolicyLoss(ask_penalty=0.1, finish_penalty=0.2)
    assert rewards_of(rows, loss).tolist() == pytest.approx([1.0, 0.9, 0.8, 0.7])
    assert PRESETS["search_r1"].ask_penalty == PRESETS["search_r1"].finish_penalty == 0.1


def test_by_success_a_rubric_that_holds_in_part_earns_nothing() -> None:
    trace = (TokenTrace(context=(1,), sampled=(2,), logprobs=(-1.0,)),)
    rows = examples_of([Record(tokens=trace, reward=reward, group="g") for reward in (1.0, 0.75, 0.5, 0.0)])
    assert rewards_of(rows, PolicyLoss()).tolist() == [1.0, 0.75, 0.5, 0.0]
    assert rewards_of(rows, PolicyLoss(reward="success")).tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("agent", "needless"), [(Expert(), False), (Interrogator(), True)], ids=["expert", "all"])
async def test_needless_questions_are_counted(agent: Agent, needless: bool) -> None:
    assert ((await record_of(agent)).needless > 0) == needless


def test_each_needless_question_comes_off_and_tells_equal_successes_apart() -> None:
    trace = (TokenTrace(context=(1,), sampled=(2,), logprobs=(-1.0,)),)
    rows = examples_of([Record(tokens=trace, reward=1.0, group="g", needless=count) for count in (0, 1, 3)])
    assert rewards_of(rows, PolicyLoss()).tolist() == [1.0, 1.0, 1.0]
    assert rewards_of(rows, PolicyLoss(needless_penalty=0.1)).tolist() == pytest.approx([1.0, 0.9, 0.7])


def test_a_checkpoint_from_before_needless_questions_were_counted_is_of_the_same_data() -> None:
    trace = (TokenTrace(context=(1,), sampled=(2,), logprobs=(-1.0,)),)
    counted, uncounted = examples_of([Record(tokens=trace, group="g", needless=count) for count in (2, 0)])
    assert digest_of([counted]) == digest_of([uncounted])
