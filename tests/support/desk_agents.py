"""Agents of nobody's: they know a gateway's address and nothing of mocktrial. And the model behind the gateway."""

from __future__ import annotations

import json
from typing import Any, TypedDict

import httpx
import openai
from langgraph.graph import END, START, StateGraph

from mocktrial.envs.chat import assistant, tool_call
from tests.support.endpoint import Raw, Request, message

STEPS = (
    assistant(None, tool_call("c0", "find_members", '{"name": "Alan"}')),
    assistant("For how many days is the loan?"),
    assistant("Shall I lend the tripod to Alan Mathison for 7 days?"),
    assistant(None, tool_call("c3", "lend", '{"member_id": "m2", "item": "tripod", "days": 7}')),
    assistant(None, tool_call("c4", "finish", '{"message": "Done: the tripod is due on 2026-05-18."}')),
)


def expert(request: Request) -> Raw:
    """The desk's gold plan, a step a turn."""
    turn = sum(entry["role"] == "assistant" for entry in request.body["messages"])
    return message(STEPS[min(turn, len(STEPS) - 1)], prompt_tokens=9, completion_tokens=4)


class Desk:
    """The doors of one episode, as any program would use them: a chat, tools, a user."""

    def __init__(self, opened: dict[str, Any], door: httpx.AsyncClient, model: openai.AsyncOpenAI) -> None:
        self.messages, self.done = list(opened["messages"]), False
        self._tools, self._path, self._door = opened["tools"], f"/e/{opened['episode']}", door
        self._model = model.with_options(base_url=f"{str(door.base_url).rstrip('/')}{opened['base_url']}")

    async def think(self) -> None:
        """One message of the model."""
        reply = await self._model.chat.completions.create(model="m", messages=self.messages, tools=self._tools)
        self.messages.append(reply.choices[0].message.model_dump(exclude_none=True))

    async def act(self) -> None:
        """What the model's last message asks for: its tools, or the user."""
        said = self.messages[-1]
        for call in said.get("tool_calls", ()):
            path = f"{self._path}/tools/{call['function']['name']}"
            answer = (await self._door.post(path, content=call["function"]["arguments"])).raise_for_status().json()
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(answer["result"])})
            self.done = self.done or answer["done"]
        if not said.get("tool_calls"):
            answer = (await self._door.post(f"{self._path}/user", json={"message": said["content"]})).json()
            self.messages.append({"role": "user", "content": answer["message"]})
            self.done = answer["done"]


async def plain_loop(desk: Desk) -> None:
    while not desk.done:
        await desk.think()
        await desk.act()


class _State(TypedDict):
    steps: int


async def langgraph_react(desk: Desk) -> None:
    """Reason and act as a LangGraph graph."""

    async def model(state: _State) -> _State:
        await desk.think()
        return {"steps": state["steps"] + 1}

    async def environment(state: _State) -> _State:
        await desk.act()
        return state

    graph = StateGraph(_State)
    graph.add_node("model", model)
    graph.add_node("environment", environment)
    graph.add_edge(START, "model")
    graph.add_edge("model", "environment")
    graph.add_conditional_edges("environment", lambda _: END if desk.done else "model", ["model", END])
    await graph.compile().ainvoke({"steps": 0}, {"recursion_limit": 100})
