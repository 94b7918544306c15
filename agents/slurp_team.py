"""`SlurpTeam`: Auto-SLURP's team of workers (arXiv 2504.18373, METHODS section 2) as a LangGraph graph.

    START -> supervisor -> intent | time | location | url | request | response -> supervisor ...

All share one board, the graph's state. The supervisor names the worker that goes next; each answers in a
chat of its own, with a role prompt from `prompts/slurp_team/`. Only `request` and `response` act: their
tool calls go to the episode as they are, so grading is the same as for any agent. An answer that breaks
its role's form changes nothing but the note that the supervisor sees. The episode ends by the response
worker's `finish`, or by `max_turns`. Turns have no token traces, since no single history stands behind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Literal, Protocol, TypeAlias, TypedDict
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from mocktrial.agents.graphs import END, START, CompiledStateGraph, Runtime, StateGraph
from mocktrial.agents.loop import chat_seed, take_turn
from mocktrial.envs.chat import ChatModel, Completion, Message, ToolSchema, Usage
from mocktrial.envs.episode import Episode
from mocktrial.mocktools.values import dumps

_PROMPTS = Path(__file__).parent / "prompts" / "slurp_team"
_FINISH = "finish"

Slots: TypeAlias = dict[str, str | int | float | list[str]]


class TeamState(TypedDict, total=False):
    """The board, and below the line what only the graph needs."""

    query: str  # what the person said
    intent: str
    slots: Slots
    url: str  # "/SERVICE?SLOT=VALUE"
    response: str  # the last answer of a service
    note: str  # what came of the last turn
    # ---
    next: str
    turns: int  # model calls so far
    usage: Usage  # of turns that reached no episode step yet


_BOARD = ("query", "intent", "slots", "url", "response", "note")


class _Answer(BaseModel):
    """What a worker's JSON must hold; more is ignored. Its fields are written to the board."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Order(_Answer):
    next: Literal["intent", "time", "location", "url", "request", "response"]


class _Intent(_Answer):
    intent: str
    slots: Slots


class _Slots(_Answer):
    slots: Slots


class _Url(_Answer):
    url: str


_THINKERS: Mapping[str, type[_Answer]] = {"intent": _Intent, "time": _Slots, "location": _Slots, "url": _Url}


@dataclass(frozen=True)
class TeamContext:
    """What one episode's run of the graph works on."""

    model: ChatModel
    episode: Episode
    tools: Mapping[str, ToolSchema]  # by name
    max_turns: int
    situation: str  # what the episode told the agent

    def prompt(self, role: str) -> str:
        return _template(role).substitute(situation=self.situation, services=self._services())

    def _services(self) -> str:
        return "\n".join(
            f"{name}({', '.join(tool['function']['parameters']['properties'])})"
            for name, tool in self.tools.items()
            if name != _FINISH
        )


class Node(Protocol):
    async def __call__(self, state: TeamState, runtime: Runtime[TeamContext]) -> TeamState: ...


@cache
def _template(role: str) -> Template:
    return Template((_PROMPTS / f"{role}.txt").read_text(encoding="utf-8"))


async def _ask(
    role: str, state: TeamState, context: TeamContext, tools: Sequence[ToolSchema] = ()
) -> tuple[Completion, TeamState]:
    """One model call in `role`: its completion, and the board's counters after it."""
    chat = context.model.start(tools, seed=chat_seed(context.episode, role, state["turns"]))
    board: dict[str, Any] = {key: value for key, value in state.items() if key in _BOARD}
    completion = await chat.send(
        [{"role": "system", "content": context.prompt(role)}, {"role": "user", "content": dumps(board)}]
    )
    return completion, {"turns": state["turns"] + 1, "usage": state["usage"] + completion.usage}


async def _answer(role: str, form: type[_Answer], state: TeamState, context: TeamContext) -> TeamState:
    """A turn of a role that answers in JSON: what it changes on the board."""
    completion, counters = await _ask(role, state, context)
    text = completion.message.get("content")
    text = text if isinstance(text, str) else ""
    try:
        # Models like to put a fence or a word around their JSON.
        answer = form.model_validate_json(text[text.find("{") : text.rfind("}") + 1])
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        return {**counters, "note": f"{role}: not usable, {where or 'JSON'}: {problem['msg']}"}
    return {**counters, "note": f"{role}: done", **answer.model_dump()}  # type: ignore[typeddict-item]


async def _act(role: str, tool: str, state: TeamState, context: TeamContext) -> TeamState:
    """A turn of a role that calls `tool`: the call goes to the episode exactly as written."""
    completion, counters = await _ask(role, state, context, [context.tools[tool]])
    if set(_called(completion.message)) != {tool}:
        return {**counters, "note": f"{role}: not usable, it must call {tool}"}
    spent = Completion(message=completion.message, usage=counters["usage"])
    observation = await take_turn(context.episode, spent)
    replies = "\n".join(str(message["content"]) for message in observation.messages)
    return {**counters, "usage": Usage(), "response": replies, "note": f"{role}: {tool} was called"}


def _called(message: Message) -> list[object]:
    """The names that a message calls; None for an entry without one."""
    calls = message.get("tool_calls")
    return [
        call["function"].get("name")
        if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)
        else None
        for call in (calls if isinstance(calls, list) else ())
    ]


async def _supervisor(state: TeamState, runtime: Runtime[TeamContext]) -> TeamState:
    if state["turns"] >= runtime.context.max_turns:
        runtime.context.episode.finish("turn_limit", state["usage"])
        return {}
    return {"next": "supervisor", **await _answer("supervisor", _Order, state, runtime.context)}


async def _request(state: TeamState, runtime: Runtime[TeamContext]) -> TeamState:
    service = urlsplit(state.get("url", "")).path.strip("/")
    if service not in runtime.context.tools or service == _FINISH:
        return {"note": f"request: the url names no service: {service[:64]!r}"}
    return await _act("request", service, state, runtime.context)


async def _response(state: TeamState, runtime: Runtime[TeamContext]) -> TeamState:
    return await _act("response", _FINISH, state, runtime.context)


def _thinker(role: str, form: type[_Answer]) -> Node:
    async def node(state: TeamState, runtime: Runtime[TeamContext]) -> TeamState:
        return await _answer(role, form, state, runtime.context)

    return node


def _after_supervisor(state: TeamState, runtime: Runtime[TeamContext]) -> str:
    return END if runtime.context.episode.done else state["next"]


def _after_action(state: TeamState, runtime: Runtime[TeamContext]) -> str:
    return END if runtime.context.episode.done else "supervisor"


def team_graph() -> CompiledStateGraph[TeamState, TeamContext, Any, Any]:
    graph = StateGraph(TeamState, context_schema=TeamContext)
    workers = (*_THINKERS, "request", "response")
    graph.add_node("supervisor", _supervisor)
    for role, form in _THINKERS.items():
        graph.add_node(role, _thinker(role, form))
        graph.add_edge(role, "supervisor")
    for role, node in (("request", _request), ("response", _response)):
        graph.add_node(role, node)
        graph.add_conditional_edges(role, _after_action, ["supervisor", END])
    graph.add_edge(START, "supervisor")
    graph.add_conditional_edges("supervisor", _after_supervisor, ["supervisor", *workers, END])
    return graph.compile()


class SlurpTeam:
    """The team on one model. `max_turns`: model calls in all roles together, or one more."""

    def __init__(self, model: ChatModel, *, max_turns: int = 30) -> None:
        self.model = model
        self.max_turns = max_turns
        self._graph = team_graph()

    @property
    def name(self) -> str:
        return f"team:{self.model.name}"

    async def play(self, episode: Episode) -> None:
        observation = await episode.reset()
        system, user = observation.messages
        tools = {tool["function"]["name"]: tool for tool in observation.tools}
        await self._graph.ainvoke(
            {"query": user["content"], "turns": 0, "usage": Usage()},
            {"recursion_limit": 2 * self.max_turns + 2},
            context=TeamContext(self.model, episode, tools, self.max_turns, system["content"]),
        )
