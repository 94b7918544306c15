"""The forms themselves: a pure function from samples to rows, and one from a row back to its conversation.

Going there and back loses nothing of messages and tools (FAULTS 24), but that the forms of successes, which are
imitated, end with the agent's last message. What a form has no place for stands in keys
of ours beside its own, which its readers pass over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from mocktrial.envs.chat import Message, ToolSchema
from mocktrial.mocktools.values import dumps
from mocktrial.synth.exchange.sample import Sample, pairs, spoken

Row: TypeAlias = dict[str, Any]
Conversation: TypeAlias = tuple[list[Message], list[ToolSchema]]
Column: TypeAlias = Literal["json", "text", "number", "truth"]


@dataclass(frozen=True)
class Format:
    """columns: name and kind of each key of a row; kept: which samples enter; parquet: the file that its readers
    expect; files: a file a row instead, with the lines under the key "lines"."""

    about: str
    columns: Mapping[str, Column]
    rows: Callable[[Iterable[Sample]], Iterator[Row]]
    back: Callable[[Row], Conversation]
    kept: Literal["all", "successes"] = "all"
    parquet: bool = True
    files: bool = False


def _provenance(sample: Sample) -> Row:
    return {"id": sample.id, "task": sample.task, "reward": sample.reward, "weight": sample.weight}


_OURS: dict[str, Column] = {"id": "text", "task": "text", "reward": "number", "weight": "number"}


def _language_row(one: Sample) -> Row:
    """`trainable`: one entry a message of the completion."""
    masked = {"trainable": list(one.trainable[one.start :]), **_provenance(one)}
    return {"prompt": list(one.prompt), "completion": list(one.completion), "tools": list(one.tools), **masked}


def _language_rows(samples: Iterable[Sample]) -> Iterator[Row]:
    return (_language_row(spoken(one)) for one in samples)


def _labelled_rows(samples: Iterable[Sample]) -> Iterator[Row]:
    return ({**_language_row(one), "label": one.success} for one in samples)


def _of_completion(row: Row) -> Conversation:
    return [*row["prompt"], *row["completion"]], list(row["tools"])


def _paired_rows(samples: Iterable[Sample]) -> Iterator[Row]:
    for chosen, rejected in pairs(samples):
        answers = {"chosen": list(chosen.completion), "rejected": list(rejected.completion)}
        margin = chosen.reward - rejected.reward
        ours = {"id": f"{chosen.id}>{rejected.id}", "task": chosen.task, "margin": margin}
        yield {"prompt": list(chosen.prompt), **answers, "tools": list(chosen.tools), **ours}


def _of_chosen(row: Row) -> Conversation:
    return [*row["prompt"], *row["chosen"]], list(row["tools"])


def _openai_rows(samples: Iterable[Sample]) -> Iterator[Row]:
    """An assistant message with `weight` 0 is not trained on; the others need no mark."""
    for one in map(spoken, samples):
        marked = [
            {**message, "weight": int(trained)} if message["role"] == "assistant" else message
            for message, trained in zip(one.messages, one.trainable, strict=True)
        ]
        yield {"messages": marked, "tools": list(one.tools), "parallel_tool_calls": False}


def _of_openai(row: Row) -> Conversation:
    messages = [{key: value for key, value in message.items() if key != "weight"} for message in row["messages"]]
    return messages, list(row["tools"])


_SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation", "system": "system"}
_ROLES = {speaker: role for role, speaker in _SPEAKERS.items()} | {"function_call": "assistant"}


def _sharegpt_rows(samples: Iterable[Sample]) -> Iterator[Row]:
    for one in map(spoken, samples):
        system = one.messages[0]["content"] if one.messages[0]["role"] == "system" else ""
        said = [_said(message) for message in one.messages[bool(system) :]]
        yield {"conversations": said, "system": system, "tools": dumps(list(one.tools)), **_provenance(one)}


def _said(message: Message) -> Row:
    rest = {key: value for key, value in message.items() if key not in ("role", "content", "tool_calls")}
    if not message.get("tool_calls"):
        none = {"tool_calls": message["tool_calls"]} if "tool_calls" in message else {}
        return {"from": _SPEAKERS[message["role"]], "value": message["content"], **none, **rest}
    calls = [_spelled_out(call["function"]) for call in message["tool_calls"]]
    ids = [{key: value for key, value in call.items() if key != "function"} for call in message["tool_calls"]]
    value = dumps(calls[0] if len(calls) == 1 else calls)
    return {"from": "function_call", "value": value, "content": message.get("content"), "calls": ids, **rest}


def _spelled_out(function: Row) -> Row:
    """Arguments as an object, as the form has them; as the text they are where another text means the same object."""
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return function
    same = isinstance(arguments, dict) and dumps(arguments) == function["arguments"]
    return {**function, "arguments": arguments} if same else function


def _in_text(call: Row) -> Row:
    arguments = call["arguments"]
    return call if isinstance(arguments, str) else {**call, "arguments": dumps(arguments)}


def _of_sharegpt(row: Row) -> Conversation:
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return [*system, *map(_message, row["conversations"])], json.loads(row["tools"])


def _message(said: Row) -> Message:
    rest = {key: value for key, value in said.items() if key not in ("from", "value", "content", "calls")}
    if said["from"] != "function_call":
        return {"role": _ROLES[said["from"]], "content": said["value"], **rest}
    value = json.loads(said["value"])
    calls = value if isinstance(value, list) else [value]
    full = [{**rest_of, "function": _in_text(call)} for rest_of, call in zip(said["calls"], calls, strict=True)]
    return {"role": "assistant", "content": said["content"], "tool_calls": full, **rest}


def _trace_rows(samples: Iterable[Sample]) -> Iterator[Row]:
    """The hub's Session Trace Simple Format: a header, then a message a line; keys in its camel case."""
    for one in samples:
        header = {"type": "session", "harness": "mocktrial", "name": f"{one.agent} on {one.id}", **_provenance(one)}
        lines = [{"type": "message", "message": _camel(message)} for message in one.messages]
        yield {"id": one.id, "lines": [{**header, "tools": list(one.tools)}, *lines]}


_CAMEL = {"tool_calls": "toolCalls", "tool_call_id": "toolCallId", "reasoning_content": "reasoningContent"}
_SNAKE = {camel: snake for snake, camel in _CAMEL.items()}


def _camel(message: Message) -> Message:
    """The form wants a text in every message; where ours has none, `noText` says so."""
    renamed = {_CAMEL.get(key, key): value for key, value in message.items()}
    return {**renamed, "content": "", "noText": True} if message["content"] is None else renamed


def _of_trace(row: Row) -> Conversation:
    header, *lines = row["lines"]
    return [_snake(line["message"]) for line in lines], list(header["tools"])


def _snake(message: Message) -> Message:
    renamed = {_SNAKE.get(key, key): value for key, value in message.items() if key != "noText"}
    return {**renamed, "content": None} if "noText" in message else renamed


_TALK: dict[str, Column] = {"prompt": "json", "completion": "json", "tools": "json", "trainable": "json"}
_PAIR: dict[str, Column] = {"prompt": "json", "chosen": "json", "rejected": "json", "tools": "json"}
FORMATS: dict[str, Format] = {
    "trl-sft": Format(
        "Prompt and completion as TRL trains SFT on them",
        columns=_TALK | _OURS,
        rows=_language_rows,
        back=_of_completion,
        kept="successes",
    ),
    "trl-kto": Format(
        "Unpaired preference as TRL trains KTO on it; label: the rubric held",
        columns={**_TALK, **_OURS, "label": "truth"},
        rows=_labelled_rows,
        back=_of_completion,
    ),
    "trl-dpo": Format(
        "Preference as TRL trains DPO on it: a success beside a failure of its task",
        columns={**_PAIR, "id": "text", "task": "text", "margin": "number"},
        rows=_paired_rows,
        back=_of_chosen,
    ),
    "openai": Format(
        "Lines for OpenAI fine-tuning",
        columns={"messages": "json", "tools": "json", "parallel_tool_calls": "truth"},
        rows=_openai_rows,
        back=_of_openai,
        kept="successes",
        parquet=False,
    ),
    "sharegpt": Format(
        "ShareGPT with function_call and observation",
        columns={"conversations": "json", "system": "text", "tools": "text", **_OURS},
        rows=_sharegpt_rows,
        back=_of_sharegpt,
        kept="successes",
        parquet=False,
    ),
    "trace": Format(
        "Session traces, a file an episode, as the trace viewer of the Hugging Face hub reads them",
        columns={"id": "text", "lines": "json"},
        rows=_trace_rows,
        back=_of_trace,
        parquet=False,
        files=True,
    ),
}
