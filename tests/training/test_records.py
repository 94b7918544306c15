"""From a run's ledger to training records: which episodes, with which label."""

from __future__ import annotations

from pathlib import Path

from tests.support.desk import desk_image, desk_task

from mocktrial.agents.play import run_agent
from mocktrial.agents.scripted import Expert, Null
from mocktrial.envs.chat import TokenTrace
from mocktrial.envs.episode import Episode
from mocktrial.envs.trajectory import Trajectory
from mocktrial.training.records import read_records, records_of

TRACE = TokenTrace(context=(1, 2), sampled=(3,), logprobs=(-0.5,))


async def played(agent: Expert | Null) -> Trajectory:
    async with Episode(desk_task(), desk_image(), agent=agent.name) as episode:
        await agent.play(episode)
        return episode.trajectory()


async def test_each_objective_takes_what_it_can_use() -> None:
    won, lost = await played(Expert()), await played(Null())
    broken = lost.model_copy(update={"outcome": "no_result", "grade": None})
    masked = won.model_copy(update={"outcome": "masked"})
    both = [won, lost, broken, masked]
    assert [record.messages for record in records_of(both, "sft")] == [won.messages]
    assert [record.label for record in records_of(both, "kto")] == [True, False]
    assert [(record.reward, record.group) for record in records_of(both, "rl")] == [
        (1.0, won.task_hash),
        (0.0, won.task_hash),
    ]


async def test_sampled_tokens_come_before_rendered_words() -> None:
    won = await played(Expert())
    traced = won.model_copy(update={"traces": (TRACE,) * len(won.traces)})
    (record,) = records_of([traced], "sft")
    assert record.tokens == traced.traces
    assert record.messages == ()
    partly = won.model_copy(update={"traces": (TRACE, *won.traces[1:])})
    assert records_of([partly], "sft")[0].messages == won.messages


async def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    task = desk_task()
    await run_agent(Expert(), [task], {task.world: desk_image()}, tmp_path, config={"x": 1}, trials=2)
    assert len(read_records(tmp_path, "kto")) == 2
