"""Runs where NeMo Gym is: its simple agent plays rows against a resources server, with a model server of its kind whose
turns are given. Knows nothing of mocktrial.

Reads {"port", "rows", "calls"}: calls, a list a row. Prints what `/run` answered of each row: reward and output items.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from typing import Any

import httpx
import uvicorn
from nemo_gym.base_responses_api_model import BaseResponsesAPIModelConfig, SimpleResponsesAPIModel
from nemo_gym.config_types import BaseServerConfig
from nemo_gym.global_config import NEMO_GYM_CONFIG_DICT_ENV_VAR_NAME
from nemo_gym.openai_utils import (
    NeMoGymChatCompletion,
    NeMoGymChatCompletionCreateParamsNonStreaming,
    NeMoGymResponse,
    NeMoGymResponseCreateParamsNonStreaming,
)
from nemo_gym.server_utils import ServerClient
from omegaconf import OmegaConf
from responses_api_agents.simple_agent.app import SimpleAgent, SimpleAgentConfig

HOST, SIDE_BY_SIDE = "127.0.0.1", 8
Calls = list[tuple[str, dict[str, Any]]]


class Scripted(SimpleResponsesAPIModel):
    """Makes the calls that belong to a prompt, one a response, and then says that it is done."""

    lines: dict[str, Calls]

    async def chat_completions(self, body: NeMoGymChatCompletionCreateParamsNonStreaming) -> NeMoGymChatCompletion:
        raise AssertionError("the simple agent asks for responses")

    async def responses(self, body: NeMoGymResponseCreateParamsNonStreaming) -> NeMoGymResponse:
        items = [item.model_dump() if hasattr(item, "model_dump") else item for item in body.input]
        calls = self.lines[key(items)]
        turn = sum(item.get("type") == "function_call" for item in items)
        if turn < len(calls):
            name, arguments = calls[turn]
            said: dict[str, Any] = {"type": "function_call", "call_id": f"c{turn}", "name": name}
            said["arguments"] = json.dumps(arguments)
        else:
            text = {"type": "output_text", "text": "Done.", "annotations": []}
            said = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
        return NeMoGymResponse.model_validate(
            {"id": "r", "created_at": 0, "model": "scripted", "object": "response", "output": [said]}
            | {"parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
        )


def key(items: list[dict[str, Any]]) -> str:
    """What tells prompts apart: the first thing the user says."""
    return str(next(item["content"] for item in items if item.get("role") == "user"))


async def main() -> None:
    given = json.load(sys.stdin)
    sockets = {name: socket.create_server((HOST, 0)) for name in ("agent", "model")}
    ports = {name: one.getsockname()[1] for name, one in sockets.items()} | {"world": given["port"]}
    kinds = {"agent": "responses_api_agents", "model": "responses_api_models", "world": "resources_servers"}
    config = {name: {kinds[name]: {name: {"host": HOST, "port": port}}} for name, port in ports.items()}
    os.environ[NEMO_GYM_CONFIG_DICT_ENV_VAR_NAME] = json.dumps(config)
    client = ServerClient(
        head_server_config=BaseServerConfig(host=HOST, port=1), global_config_dict=OmegaConf.create(config)
    )
    own = {"host": HOST, "entrypoint": "app.py"}
    agent = SimpleAgent(
        config=SimpleAgentConfig(
            **own, name="agent", port=ports["agent"],
            resources_server={"type": kinds["world"], "name": "world"},
            model_server={"type": kinds["model"], "name": "model"},
        ),
        server_client=client,
    )  # fmt: skip
    lines = {
        key(row["responses_create_params"]["input"]): calls
        for row, calls in zip(given["rows"], given["calls"], strict=True)
    }
    model = Scripted(
        config=BaseResponsesAPIModelConfig(**own, name="model", port=ports["model"]), server_client=client, lines=lines
    )
    async with contextlib.AsyncExitStack() as open_:
        for name, one in (("agent", agent), ("model", model)):
            server = uvicorn.Server(uvicorn.Config(one.setup_webserver(), log_level="warning"))
            task = asyncio.create_task(server.serve([sockets[name]]))
            open_.push_async_callback(stop, server, task)
        http = await open_.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{HOST}:{ports['agent']}", timeout=120)
        )
        gate = asyncio.Semaphore(SIDE_BY_SIDE)

        async def run(row: dict[str, Any]) -> dict[str, Any]:
            async with gate:
                return (await http.post("/run", json=row)).raise_for_status().json()

        answers = await asyncio.gather(*map(run, given["rows"]))
    print(
        json.dumps(
            [
                {"reward": one["reward"], "kinds": [item["type"] for item in one["response"]["output"]]}
                for one in answers
            ]
        )
    )


async def stop(server: uvicorn.Server, task: asyncio.Task[None]) -> None:
    server.should_exit = True
    await task


asyncio.run(main())
