"""Who plays a run: agent, user and judge as a person names them, and how a process makes them from that.

A `Cast` is plain data, so it can be sent to where the run is played (`agents.cluster`); clients, models and whatever
else lives in one process are made there, by `staged`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from mocktrial.agents.current import Recorded, nothing_recorded
from mocktrial.agents.judges import make_judge
from mocktrial.agents.play import playing
from mocktrial.agents.prices import Price
from mocktrial.agents.registry import make_agent
from mocktrial.agents.tracing import tracing_from_environment
from mocktrial.agents.users import make_user
from mocktrial.envs.episode import Limits
from mocktrial.envs.runner import PlayOne
from mocktrial.mocktools.image import WorldImage


@dataclass(frozen=True, kw_only=True)
class Cast:
    """agent, user, judge: as `make_agent`, `make_user` and `make_judge` read them. No address: the client's own."""

    agent: str
    base_url: str | None = None  # of the agent's model
    temperature: float = 0.0
    max_new_tokens: int = 96  # of a turn, from a local model
    device: str = "auto"  # of the agent's local model
    tool_retrieval: int = 0  # tools that a message brings into the agent's sight; 0: all are in sight
    gateway: bool = False  # record each call to the agent's endpoint
    concurrency: int = 16  # of the gateway
    user: str = "scripted"
    user_url: str | None = None  # else that of the agent
    user_seed: int = 0
    judge: str = ""  # empty: there is none
    judge_url: str | None = None  # else that of the agent
    limits: Limits = field(default_factory=Limits)  # of an episode
    prices: Mapping[str, Price] = field(default_factory=dict)  # of an endpoint's tokens, by model


@dataclass(frozen=True)
class Stage:
    """A cast that is ready to play."""

    agent: str  # its name in the ledger
    judge: str  # its pin; empty: there is none
    play_one: PlayOne


@contextmanager
def staged(cast: Cast, images: Mapping[str, WorldImage]) -> Iterator[Stage]:
    """The cast in this process, in the worlds of these names. Raises `UsageError` or `MissingExtra`."""
    with ExitStack() as opened:
        address, timeout = cast.base_url, 120.0
        recorded: Recorded = nothing_recorded
        if cast.gateway:
            from mocktrial.agents.gateway.between import TIMEOUT, between

            timeout = TIMEOUT
            address, recorded = opened.enter_context(
                between(cast.base_url, prices=cast.prices, concurrency=cast.concurrency)
            )
        tracing = opened.enter_context(tracing_from_environment())
        agent = make_agent(
            cast.agent, base_url=address, temperature=cast.temperature, prices=cast.prices, timeout=timeout,
            tool_retrieval=cast.tool_retrieval, tracing=tracing, max_new_tokens=cast.max_new_tokens, device=cast.device,
        )  # fmt: skip
        user = make_user(cast.user, base_url=cast.user_url or cast.base_url, prices=cast.prices)
        judge = (
            make_judge(cast.judge, base_url=cast.judge_url or cast.base_url, prices=cast.prices) if cast.judge else None
        )
        play_one = playing(
            agent, images, cast.limits,
            judge=judge, user=user, user_seed=cast.user_seed, recorded=recorded, tracing=tracing,
        )  # fmt: skip
        yield Stage(agent.name, judge.pin if judge else "", play_one)
