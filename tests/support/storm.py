"""An endpoint that plays the desk's agent in two calls, through storms of 429 and faults of every kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from mocktrial.agents.current import Recorded, named, nothing_recorded
from mocktrial.agents.loop import ModelAgent
from mocktrial.agents.openai_client import OpenAIModel
from mocktrial.agents.play import player
from mocktrial.agents.retry import Retry
from mocktrial.envs.chat import assistant, tool_call
from mocktrial.envs.episode import Limits
from mocktrial.envs.failures import Failure
from mocktrial.envs.runner import Progress, run, trial_seed
from mocktrial.envs.seeds import derive
from mocktrial.envs.store import Ledger
from mocktrial.envs.tables import EpisodeRecord
from tests.support.desk import desk_image, desk_task
from tests.support.endpoint import Raw, Request, message, refuse, say

CALLS = 2  # that an episode needs
FAULTS: Mapping[str, tuple[Raw, Failure]] = {
    "500": (refuse(500), Failure.SERVER_ERROR),
    "503": (refuse(503, retry_after="0.01"), Failure.SERVER_ERROR),
    "reset": (Raw(fault="reset"), Failure.RESET),
    "closed": (Raw(fault="close"), Failure.RESET),
    "hang": (Raw(fault="hang"), Failure.TIMEOUT),
    "drip": (Raw(b" " * 1000, fault="drip"), Failure.TIMEOUT),
    "cut": (Raw(say("hi").body, fault="cut"), Failure.CUT),
    "error body": (Raw(b'{"error": {"message": "overloaded"}}'), Failure.BAD_BODY),
}


def answer(request: Request) -> Raw:
    """A read, then the end."""
    turn = sum(entry["role"] == "assistant" for entry in request.body["messages"])
    name, arguments = ("find_members", '{"name": "Alan"}') if turn == 0 else ("finish", '{"message": "Done."}')
    return message(assistant(None, tool_call(f"c{turn}", name, arguments)), prompt_tokens=5, completion_tokens=2)


class Storm:
    """Answers as `answer`, but three requests in ten get a 429, each chat in its turn.

    always: the fault that every request with a seed gets, by the seed. `early` lists requests that came before
    their Retry-After was over; `needed` counts the answers.
    """

    def __init__(self, always: Mapping[int, Raw] | None = None, *, wait: float = 0.03) -> None:
        self.early: list[bytes] = []
        self.needed = 0
        self._always, self._wait = always or {}, wait
        self._not_before: dict[bytes, float] = {}
        self._count = 0

    def __call__(self, request: Request) -> Raw:
        fault = self._always.get(request.body["seed"])
        if fault is not None:
            return fault
        if request.at < self._not_before.pop(request.raw, 0.0):
            self.early.append(request.raw)
        self._count += 1
        if self._count * 7 % 10 < 3:
            self._not_before[request.raw] = request.at + self._wait
            return refuse(429, retry_after=str(self._wait))
        self.needed += 1
        return answer(request)


def seed_of(trial: int) -> int:
    """The seed in the requests of an episode."""
    return derive(trial_seed(desk_task(), trial), "agent", 0) % 2**31


async def play(
    folder: Path, url: str, episodes: int, *, retry: Retry, timeout: float = 5.0, breaker: int = 10**6,
    deadline: float | None = None, recorded: Recorded = nothing_recorded,
) -> Progress:  # fmt: skip
    """Trials of the desk's task into the ledger in `folder`, sixteen at a time."""
    model = OpenAIModel("m", url, retry=retry, timeout=timeout)
    play_one = named(player(ModelAgent(model), {"desk": desk_image()}, Limits()), recorded)
    try:
        with Ledger.open(folder / "ledger.sqlite", {}) as ledger:
            return await run(
                [desk_task()], episodes, play_one, ledger,
                agent=model.name, concurrency=16, breaker=breaker, deadline=deadline,
            )  # fmt: skip
    finally:
        await model.aclose()


def slowest(folder: Path) -> float:
    """Seconds that the longest episode took."""
    with sqlite3.connect(folder / "ledger.sqlite") as database:
        return float(database.execute("SELECT max(seconds) FROM episode").fetchone()[0])


def records(folder: Path) -> list[EpisodeRecord]:
    with Ledger.read(folder / "ledger.sqlite") as ledger:
        return ledger.episodes()
