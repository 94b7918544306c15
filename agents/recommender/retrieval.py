"""The offline floor: the situation's retrieved tools, asked for in their own words, with chat between them."""

from __future__ import annotations

import random

from mocktrial.agents.recommender.base import Recommendation, Situation, Suggestion
from mocktrial.agents.recommender.grounding import all_chats, chat_bank, ground
from mocktrial.envs.seeds import derive
from mocktrial.mocktools.systoolkit import catalog
from mocktrial.mocktools.world import World


class RetrievalRecommender:
    """Nearest tools that work now, and of chat the questions nearest to what was said.

    chat_share: of the suggestions, in [0, 1], spread evenly; tools fill in for chat and the other way round.
    """

    name = "retrieval"

    def __init__(self, *, chat_share: float = 0.5) -> None:
        self._chat_share = chat_share

    async def recommend(self, situation: Situation, world: World, k: int, *, seed: int) -> Recommendation:
        return self.suggest(situation, world, k, seed=seed)

    def suggest(self, situation: Situation, world: World, k: int, *, seed: int) -> Recommendation:
        """`recommend` for callers without an event loop. Equal seeds, equal suggestions."""
        rng = random.Random(derive(seed, "retrieval", situation.query))
        chats = self._chats(situation, k, rng)
        tools, tried = self._tools(situation, world, k, rng)
        wanted = round(k * self._chat_share)
        chat_count = max(min(wanted, len(chats)), min(k - len(tools), len(chats)))
        chosen = _spread(tools[: k - chat_count], chats[:chat_count])
        return Recommendation(suggestions=tuple(chosen), written=tried + chat_count, executable=len(tools) + chat_count)

    def _tools(self, situation: Situation, world: World, k: int, rng: random.Random) -> tuple[list[Suggestion], int]:
        """At most `k` that work, and how many tools were tried for them."""
        found: list[Suggestion] = []
        tried = 0
        for name in situation.tools:
            if len(found) == k:
                break
            made = ground(catalog().tools[name], world, rng, failing=situation.failing)
            tried += 1
            if made and made.query.casefold() != situation.query.casefold():
                found.append(made)
        return found, tried

    def _chats(self, situation: Situation, k: int, rng: random.Random) -> list[Suggestion]:
        """Questions about what the nearest tools are about, the nearest first, then any."""
        domains = dict.fromkeys(catalog().tools[name].domain for name in situation.tools)
        near = [rng.choice(chat_bank()[domain]) for domain in domains]
        asks = dict.fromkeys([*near, *rng.sample(all_chats(), len(all_chats()))])
        said = {situation.query, *situation.history}
        return [Suggestion(query=ask) for ask in asks if ask not in said][:k]


def _spread(tools: list[Suggestion], chats: list[Suggestion]) -> list[Suggestion]:
    """Both lists in their order, mixed evenly, tools first."""
    placed = [
        ((place + 0.5) / len(group), kind, one)
        for kind, group in enumerate((tools, chats))
        for place, one in enumerate(group)
    ]
    return [one for _, _, one in sorted(placed, key=lambda entry: entry[:2])]
