"""`ReactAgent`: reason and act as a LangGraph graph, on any `ChatModel`.

    START -> model -> environment -> model ... until the episode ends

The nodes call the chat and the episode directly; there is no second stack of clients. It plays exactly as
`loop.ModelAgent` does, and is the place to start from for graphs with more nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from mocktrial.agents.graphs import END, START, CompiledStateGraph, Runtime, StateGraph
from mocktrial.agents.loop import chat_seed, take_turn
from mocktrial.envs.chat import Chat, ChatModel, Completion
from mocktrial.envs.episode import Episode, Observation


class ReactState(TypedDict, total=False):
    observation: Observation
    completion: Completion
    turns: int  # assistant messages so far


@dataclass(frozen=True)
class ReactContext:
    """What one episode's run of the graph works on."""

    episode: Episode
    chat: Chat
    max_turns: int


async def _model(state: ReactState, runtime: Runtime[ReactContext]) -> ReactState:
    return {"completion": await runtime.context.chat.send(state["observation"].messages)}


async def _environment(state: ReactState, runtime: Runtime[ReactContext]) -> ReactState:
    episode, turns = runtime.context.episode, state["turns"] + 1
    observation = await take_turn(episode, state["completion"])
    if turns >= runtime.context.max_turns:
        episode.finish("turn_limit")
    return {"observation": observation, "turns": turns}


def _next(state: ReactState, runtime: Runtime[ReactContext]) -> str:
    return END if runtime.context.episode.done else "model"


def react_graph() -> CompiledStateGraph[ReactState, ReactContext, Any, Any]:
    graph = StateGraph(ReactState, context_schema=ReactContext)
    graph.add_node("model", _model)
    graph.add_node("environment", _environment)
    graph.add_edge(START, "model")
    graph.add_edge("model", "environment")
    graph.add_conditional_edges("environment", _next, ["model", END])
    return graph.compile()


class ReactAgent:
    """Plays an episode by the graph. `max_turns`: assistant messages, at most the episode's own limit."""

    def __init__(self, model: ChatModel, *, max_turns: int | None = None) -> None:
        self.model = model
        self.max_turns = max_turns
        self._graph = react_graph()

    @property
    def name(self) -> str:
        return f"react:{self.model.name}"

    async def play(self, episode: Episode) -> None:
        observation = await episode.reset()
        chat = self.model.start(observation.tools, seed=chat_seed(episode))
        turns = min(self.max_turns or episode.limits.turns, episode.limits.turns)
        await self._graph.ainvoke(
            {"observation": observation, "turns": 0},
            {"recursion_limit": 2 * turns + 1},
            context=ReactContext(episode, chat, turns),
        )
