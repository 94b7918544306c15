"""inspect-ai: a `Task` in which the agent has its chat: tool calls are run, plain words go to the user.

    inspect_ai.eval(episode_task(tasks, images), model="openai/...")

The score is the rubric's reward, with the criteria that did not hold as its explanation. An episode without a result is
an error of the sample, never a score. Written for inspect-ai 0.3.285; without it this module raises `MissingExtra`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mocktrial.envs.adapters.opening import opening, told
from mocktrial.envs.chat import Message, ToolSchema, assistant, tool_call
from mocktrial.envs.episode import Episode, Limits
from mocktrial.envs.serving.seat import Seat
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import MissingExtra, NoResult
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.values import dumps

try:
    import inspect_ai
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageTool, ChatMessageUser
    from inspect_ai.scorer import Score, mean, scorer, stderr
    from inspect_ai.solver import solver
    from inspect_ai.tool import ToolDef, ToolParams
except ModuleNotFoundError as error:
    raise MissingExtra("inspect-ai is not installed", hint="pip install inspect-ai") from error

_REWARD, _UNMET = "mocktrial_reward", "mocktrial_unmet"


def episode_task(
    tasks: Sequence[Task], images: Mapping[str, WorldImage], *, limits: Limits | None = None, trial: int = 0
) -> Any:
    """The `Task` whose samples are these tasks, by their ids."""
    samples = [Sample(id=task.id, input=_chat(opening(task, images[task.world]))) for task in tasks]
    known = {task.id: task for task in tasks}

    @solver  # type: ignore[untyped-decorator]
    def play() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            task = known[state.sample_id]
            async with Episode(task, images[task.world], trial=trial, limits=limits) as episode:
                return await _played(Seat(episode), state, generate)

        return solve

    return inspect_ai.Task(dataset=samples, solver=play(), scorer=rubric_reward())


async def _played(seat: Seat, state: Any, generate: Any) -> Any:
    await seat.reset()
    state.tools = [_tool(schema) for schema in seat.episode.tools]
    while not seat.episode.done:
        state = await generate(state, tool_calls="none")
        seen = await seat.step(_ours(state.messages[-1]))
        state.messages.extend(_chat(seen.messages))
    record = seat.verdict()
    if record.grade is None:
        raise NoResult(record.reason, blame="bug")
    unmet = [result.id for result in record.grade.criteria if not result.passed]
    state.metadata |= {_REWARD: record.grade.reward, _UNMET: unmet}
    return state


@scorer(metrics=[mean(), stderr()])  # type: ignore[untyped-decorator]
def rubric_reward() -> Any:
    """R of the task's rubric, in [0, 1]."""

    async def score(state: Any, target: Any) -> Any:
        return Score(
            value=state.metadata[_REWARD], explanation=", ".join(state.metadata[_UNMET]) or "all criteria hold"
        )

    return score


def _tool(shown: ToolSchema) -> Any:
    """What the model is shown of a tool. The solver runs the calls itself, whole messages at a time."""
    function = shown["function"]

    async def run(**given: Any) -> str:
        raise AssertionError("the solver runs the calls itself")

    schema = function["parameters"]
    properties = {key: {**part, "description": told(key, part)} for key, part in schema["properties"].items()}
    parameters = ToolParams.model_validate({**schema, "properties": properties})
    return ToolDef(run, name=function["name"], description=function["description"], parameters=parameters).as_tool()


def _ours(message: Any) -> Message:
    """An assistant message of inspect as an episode takes it. Arguments that it could not parse are none."""
    calls = [
        tool_call(call.id, call.function, call.parse_error or dumps(call.arguments))
        for call in message.tool_calls or ()
    ]
    return assistant(message.text or None, *calls)


def _chat(messages: Sequence[Message]) -> list[Any]:
    kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    return [
        ChatMessageTool(content=message["content"], tool_call_id=message["tool_call_id"])
        if message["role"] == "tool"
        else kinds[message["role"]](content=message["content"])
        for message in messages
    ]
