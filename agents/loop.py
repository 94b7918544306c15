"""`ModelAgent`: the plain loop that runs any `ChatModel` in an episode. No graph library needed.

The model gets what the episode says, the episode gets what the model says, until the episode ends.
`react` does the same as a LangGraph graph. A model's `NoResult` goes through to the runner.
"""

from __future__ import annotations

from mocktrial.envs.chat import CONTEXT_LIMIT, ChatModel, Completion
from mocktrial.envs.episode import Episode, Observation
from mocktrial.envs.seeds import derive


def chat_seed(episode: Episode, role: str = "agent", turn: int = 0) -> int:
    """The sampling seed of a role's chat: the same trial, the same seed."""
    return derive(episode.seed, role, turn)


async def take_turn(episode: Episode, completion: Completion) -> Observation:
    """Hand the model's message to the episode; end it where the model's context is full."""
    if completion.message.get("refusal") == CONTEXT_LIMIT:
        episode.finish("context_limit", completion.usage)
        return Observation(messages=(), tools=episode.tools, done=True)
    return await episode.step(completion.message, completion)


class ModelAgent:
    """Plays by asking `model` for every message. Goes by the model's own name."""

    def __init__(self, model: ChatModel, *, max_turns: int | None = None) -> None:
        self.model = model
        self.max_turns = max_turns  # assistant messages; None: as many as the episode allows

    @property
    def name(self) -> str:
        return self.model.name

    async def play(self, episode: Episode) -> None:
        observation = await episode.reset()
        chat = self.model.start(observation.tools, seed=chat_seed(episode))
        turns = 0
        while not observation.done:
            if turns == self.max_turns:
                episode.finish("turn_limit")
                return
            completion = await chat.send(observation.messages)
            observation = await take_turn(episode, completion)
            turns += 1
