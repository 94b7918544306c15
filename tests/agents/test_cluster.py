"""A run on Ray is the run of one process, to the byte, whatever is lost on the way; and what is wrong is said plainly."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.command import with_small_dataset
from tests.support.desk import desk_image, desk_spec, desk_task
from tests.support.endpoint import Endpoint, Raw, Request, refuse
from tests.support.nodes import Nodes, kill_one
from tests.support.storm import answer, seed_of

from mocktrial.agents.cast import Cast, Stage, staged
from mocktrial.agents.cluster import Player, staged_on_ray
from mocktrial.agents.play import record
from mocktrial.envs.dataset import digest
from mocktrial.envs.fingerprint import grader_hash
from mocktrial.envs.runner import Progress
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError
from mocktrial.synth.blueprint import Domains
from mocktrial.synth.production.produce import Job, produce

IMAGES = {"desk": desk_image()}


async def play(
    stage: Stage, folder: Path, trials: int, *, deadline: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> bytes:  # fmt: skip
    """Trials of the desk's task, as the ledger in `folder` then has them."""
    await record(
        stage.play_one, stage.agent, [desk_task()], folder,
        config={}, trials=trials, concurrency=8, deadline=deadline, on_progress=on_progress,
    )  # fmt: skip
    with Ledger.read(folder / "ledger.sqlite") as ledger:
        ledger.export_jsonl(folder / "export.jsonl")
    return (folder / "export.jsonl").read_bytes()


@pytest.mark.parametrize("words", [("run", "datasets/small", "--agent", "expert"), ("synth", "other", "--tasks", "6")])
def test_ray_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    cli = with_small_dataset(monkeypatch, capsys, tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = cli(*words, "--ray", "local")
    assert (code, err.splitlines()[-1]) == (2, "mocktrial: ray is not installed; pip install 'mocktrial[cluster]'")
    assert not (tmp_path / "runs").exists()


async def test_a_worker_fetches_and_compiles_a_world_once() -> None:
    player, fetched = Player(Cast(agent="expert"), grader_hash()), asyncio.Future[object]()
    fetched.set_result(desk_spec())
    assert await player.names() == ("expert", "")
    first = await player.play(desk_task(), 0, (fetched,))
    again = await player.play(desk_task(), 0, ())
    assert first == again
    assert first.grade is not None
    assert first.grade.success


async def test_a_worker_of_another_version_does_not_play() -> None:
    with pytest.raises(UsageError, match="another version"):
        await Player(Cast(agent="expert"), "another grader").names()


@pytest.mark.ray
async def test_a_run_on_ray_is_that_of_one_process_and_is_resumed_by_either(tmp_path: Path) -> None:
    refused = {seed_of(trial): refuse(400) for trial in (1, 2)}
    async with Endpoint(lambda request: refused.get(request.body["seed"]) or answer(request)) as endpoint:
        cast = Cast(agent="openai:m", base_url=endpoint.url)
        with staged(cast, IMAGES) as here, staged_on_ray("local", cast, IMAGES, most=2) as there:
            alone, shared = await play(here, tmp_path / "alone", 6), await play(there, tmp_path / "shared", 6)
            assert shared == alone
            assert alone.count(b'"no_result"') == 4  # outcome and end
            refused.clear()
            alone, shared = await play(there, tmp_path / "alone", 8), await play(here, tmp_path / "shared", 8)
            assert shared == alone
            assert alone.count(b'"scored"') == 8


@pytest.mark.ray
@pytest.mark.soak
async def test_a_node_that_is_lost_while_workers_start_is_done_without(nodes: Nodes, tmp_path: Path) -> None:
    with staged(Cast(agent="expert"), IMAGES) as here:
        alone = await play(here, tmp_path / "alone", 8)
    losing = threading.Timer(1.0, nodes.lose)  # a worker takes longer to start
    losing.start()
    with staged_on_ray(nodes.address, Cast(agent="expert"), IMAGES, most=2) as there:
        assert nodes.second is None
        assert await play(there, tmp_path / "shared", 8) == alone


@pytest.mark.ray
@pytest.mark.soak
async def test_a_run_loses_a_worker_and_a_node_and_nothing_else(nodes: Nodes, tmp_path: Path) -> None:
    def lose(progress: Progress) -> None:
        if progress.done == 16:
            kill_one("Player")
        elif progress.done == 32:
            nodes.lose()

    def slow(request: Request) -> Raw:
        return replace(answer(request), delay=0.2)

    async with Endpoint(slow) as endpoint:
        cast = Cast(agent="openai:m", base_url=endpoint.url)
        with staged(cast, IMAGES) as here:
            alone = await play(here, tmp_path / "alone", 64)
        endpoint.requests.clear()
        with (
            pytest.raises(UsageError, match="unknown agent 'exprt'"),
            staged_on_ray(nodes.address, Cast(agent="exprt"), IMAGES, most=2),
        ):
            pass
        with staged_on_ray(nodes.address, cast, IMAGES, most=2) as there:
            shared = await play(there, tmp_path / "shared", 64, on_progress=lose)
        begun = Counter(request.body["seed"] for request in endpoint.requests if first(request))
    assert shared == alone
    assert alone.count(b"\n") == alone.count(b'"scored"') == len(begun) == 64
    assert 64 < begun.total() <= 64 + 2 * 8  # what was under way, and nothing else, was begun again


def first(request: Request) -> bool:
    """Whether an episode begins with it."""
    return all(message["role"] != "assistant" for message in request.body["messages"])


@pytest.mark.ray
@pytest.mark.soak
async def test_an_episode_that_is_out_of_time_is_given_up_by_its_worker_too(nodes: Nodes, tmp_path: Path) -> None:
    async with Endpoint(lambda request: replace(answer(request), delay=4)) as endpoint:
        cast = Cast(agent="openai:m", base_url=endpoint.url)
        with staged_on_ray(nodes.address, cast, IMAGES, most=2) as there:
            late = await play(there, tmp_path, 4, deadline=2)
            await asyncio.sleep(6)  # those who went on would ask again
    assert late.count(b"endpoint: DEADLINE: the episode was not over after 2 s") == 4
    assert all(first(request) for request in endpoint.requests)


@pytest.mark.ray
@pytest.mark.soak
def test_synthesis_loses_a_node_and_nothing_else(nodes: Nodes, tmp_path: Path) -> None:
    job, told = Job(Domains(("depot", "clinic")), seed=3, per_world=4), []

    def lose(taken: int) -> None:
        told.append(taken)
        if taken >= 80:
            nodes.lose()

    produce(job, 240, tmp_path / "alone")
    produce(job, 240, tmp_path / "shared", ray=nodes.address, progress=lose)
    assert digest(tmp_path / "shared") == digest(tmp_path / "alone")
    assert nodes.second is None
    assert told[-1] == 240
