"""Hundreds of episodes through the gateway, its endpoint throttling and failing in every way (issue: "Show it" 4)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.support.endpoint import Endpoint, Raw, Request, refuse
from tests.support.storm import CALLS, FAULTS, Storm, answer, play, records, seed_of

from mocktrial.agents.gateway.between import between
from mocktrial.agents.retry import Retry
from mocktrial.envs.failures import Failure, read_reason
from mocktrial.envs.store import Ledger

PATIENT = Retry(attempts=10, deadline=6.0, wait_initial=0.01, wait_max=0.2, jitter=0.01)
COUNTS = [50, pytest.param(500, marks=pytest.mark.soak)]
AGENTS = Retry(deadline=120.0)  # the gateway's own deadline comes first
EVERY = 5  # each fifth episode's requests all meet one fault, each kind in its turn


@pytest.mark.parametrize("count", COUNTS)
async def test_each_episode_is_scored_or_has_its_class(tmp_path: Path, count: int) -> None:
    kinds = {trial: list(FAULTS.values())[trial // EVERY % len(FAULTS)] for trial in range(0, count, EVERY)}
    storm = Storm({seed_of(trial): raw for trial, (raw, _) in kinds.items()})
    async with Endpoint(storm) as endpoint:
        with between(endpoint.url, retry=PATIENT, timeout=2.0) as (url, recorded):
            done = await play(tmp_path, url, count, retry=AGENTS, timeout=120.0, recorded=recorded)
    found = {record.trial: record for record in records(tmp_path)}
    assert (done.done, done.no_result, len(found)) == (count, len(kinds), count)
    for trial, record in found.items():
        expected = ("no_result", kinds[trial][1]) if trial in kinds else ("scored", "")
        assert (record.outcome, read_reason(record.reason).kind) == expected
        assert record.outcome == "scored" or record.reward is None
    assert storm.early == []
    with Ledger.read(tmp_path / "ledger.sqlite") as ledger:
        calls = Counter(len(played.calls) for played in ledger.trajectories())
    assert calls == {CALLS: count - len(kinds), 0: len(kinds)}


@pytest.mark.parametrize("count", COUNTS)
async def test_a_dead_endpoint_stops_the_run_and_resume_finishes(tmp_path: Path, count: int) -> None:
    dead = True

    def dying(request: Request) -> Raw:
        return refuse(502) if dead else answer(request)

    async with Endpoint(dying) as endpoint:
        with between(endpoint.url, retry=Retry(attempts=2, wait_initial=0.01, wait_max=0.01)) as (url, recorded):
            stopped = await play(tmp_path, url, count, retry=PATIENT, breaker=20, recorded=recorded)
        assert stopped.stopped.startswith("20 failures in a row: endpoint: SERVER_ERROR: ")
        assert stopped.no_result == 20
        dead = False
        with between(endpoint.url, retry=PATIENT) as (url, recorded):  # as the same command would, later
            resumed = await play(tmp_path, url, count, retry=PATIENT, breaker=20, recorded=recorded)
    assert (resumed.scored, resumed.stopped) == (count, "")


def test_the_kinds_of_faults_cover_the_classes() -> None:
    rest = {Failure.RATE_LIMIT, Failure.CONNECT, Failure.REFUSED, Failure.DEADLINE}
    assert {kind for _, kind in FAULTS.values()} | rest == set(Failure)
