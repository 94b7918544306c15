"""What the doors for agents elsewhere share: their options, the user, and what a run's episodes are played under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mocktrial.commands.shared import ENDPOINT, has_endpoint, refuse_idle

if TYPE_CHECKING:
    from mocktrial.agents.prices import Price
    from mocktrial.envs.places import RunPlace
    from mocktrial.envs.store import Ledger
    from mocktrial.envs.users.grounded import GroundedUser
    from mocktrial.synth.sources import Source

PlayedUser = Annotated[str, typer.Option("--user", help="scripted, scripted+dense, local[:PATH], openai:MODEL")]
UserUrl = Annotated[str | None, typer.Option("--user-url", help="Endpoint of the user's model.")]


def seated(user: str, user_url: str | None, prices: Mapping[str, Price] | None = None) -> GroundedUser:
    """The user that `--user` and `--user-url` name. Raises `UsageError` or `MissingExtra`."""
    from mocktrial.agents.users import make_user

    refuse_idle("--user-url", user_url, has_endpoint(user), ENDPOINT)
    return make_user(user, base_url=user_url, prices=prices or {})


def ledger_of(
    place: RunPlace, chosen: Source, asked: Mapping[str, Any], *, agent: str, user: str, trials: int, upstream: str = ""
) -> Ledger:
    """The ledger of a run of agents elsewhere, made or gone on with. asked: how the source was asked for."""
    from mocktrial.agents.play import played_under
    from mocktrial.envs.episode import Limits
    from mocktrial.envs.store import Ledger

    config = conditions(chosen, asked, agent=agent, user=user, trials=trials, base_url=upstream)
    return Ledger.open(place.ledger, played_under(config, Limits()), run=place.run)


def conditions(
    chosen: Source, asked: Mapping[str, Any], *, agent: str, user: str, trials: int, judge: str = "",
    tool_retrieval: int = 0, base_url: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What the episodes of a run are played under, whoever plays them: runs of unlike conditions are not compared."""
    return {
        "source": {"split": None, "limit": None, "without": [], **asked},
        "tasks": chosen.content_hash(),
        "agent": agent,
        "user": user,
        "judge": judge,
        "trials": trials,
        "tool_retrieval": tool_retrieval,
        "base_url": base_url,
    }
