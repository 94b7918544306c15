"""Messages to token ids and back, in ChatML: `<|im_start|>role`, the content, `<|im_end|>`.

Small models are trained here within minutes, so tools are shown as one-line signatures and a call is one
line, `<tool_call>name {arguments}`. A conversation is the concatenation of its segments, each tokenised
alone; what stands in a message can never become a special token. Only a tokenizer is needed, not torch.

Nothing is repaired: a call that is not well formed keeps its text as it was written, and the environment
answers it with an error. Fails with `UsageError` when the tokenizer does not know ChatML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocktrial.envs.chat import Message, ToolSchema, assistant, tool_call
from mocktrial.mocktools.errors import UsageError

CALL = "<tool_call>"
MALFORMED = "malformed_call"  # the name given to a call that names no tool

_CALLING = Path(__file__).with_name("calling.txt").read_text(encoding="utf-8").strip()
_NAMED = re.compile(r"([A-Za-z0-9_.-]+)(?: (.*))?", re.DOTALL)
_SHORT_TYPES = {"integer": "int", "number": "number", "boolean": "bool", "array": "list", "object": "object"}


@dataclass(frozen=True)
class Row:
    """Token ids and, for each, 1 where it is trained on (drawn or written by the assistant), else 0."""

    ids: tuple[int, ...]
    mask: tuple[int, ...]


class Renderer:
    """Renders for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._start, self.end = (self._special(token) for token in ("<|im_start|>", "<|im_end|>"))
        self.stop = frozenset(tokenizer.all_special_ids) | {self.end}  # any of them ends a turn
        self._newline = self._encode("\n")
        self.header = [self._start, *self._encode("assistant\n")]  # asks for the assistant's turn

    def system(self, content: str, tools: Sequence[ToolSchema]) -> list[int]:
        """The opening segment: the system message's text, then the tools. Empty when there is neither."""
        listed = "\n".join([_CALLING, *(signature(tool) for tool in tools)]) if tools else ""
        text = "\n".join(part for part in (content, listed) if part)
        return self._closed("system", text) if text else []

    def segment(self, message: Message) -> list[int]:
        """One message, closed."""
        if message["role"] == "assistant":
            return [*self.header, *self._encode(self.assistant_text(message)), self.end, *self._newline]
        content = message.get("content") or ""
        return self._closed(message["role"], compact(content) if message["role"] == "tool" else content)

    def closing(self, sampled: Sequence[int]) -> list[int]:
        """What closes a turn after the ids `sampled`: the end token too, where it was not drawn."""
        return self._newline if sampled and sampled[-1] == self.end else [self.end, *self._newline]

    def opening(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> tuple[list[int], list[Message]]:
        """The first segment's ids, and the messages that are left."""
        leads = bool(messages) and messages[0]["role"] == "system"
        content = (messages[0].get("content") or "") if leads else ""
        return self.system(content, tools), list(messages[leads:])

    def render(self, messages: Sequence[Message], tools: Sequence[ToolSchema]) -> Row:
        """A whole conversation; mask 1 on the assistant's tokens and the end token after them."""
        ids, rest = self.opening(messages, tools)
        mask = [0] * len(ids)
        for message in rest:
            segment = self.segment(message)
            own = message["role"] == "assistant"
            ids = ids + segment
            mask += [
                int(own and len(self.header) <= place < len(segment) - len(self._newline))
                for place in range(len(segment))
            ]
        return Row(tuple(ids), tuple(mask))

    def assistant_text(self, message: Message) -> str:
        """An assistant message as the model writes it: its text, then a line for each call."""
        lines = [message["content"]] if message.get("content") else []
        for call in message.get("tool_calls") or ():
            name, arguments = call["function"]["name"], _one_line(call["function"]["arguments"])
            lines.append(CALL + (arguments if name == MALFORMED else f"{name} {arguments}"))
        return "\n".join(lines)

    def text(self, sampled: Sequence[int]) -> str:
        """The text of ids as sampled, without the token that ended the turn."""
        kept = sampled[:-1] if sampled and sampled[-1] in self.stop else sampled
        text: str = self._tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def parse(self, text: str, call_prefix: str) -> Message:
        """The message that `text` writes; its calls get the ids call_prefix + "0", "1", ...

        From `<tool_call>` to the end of its line is a call, the rest is text. The arguments are kept as
        written, valid JSON or not; a call without a tool's name is named `malformed_call`.
        """
        written: list[str] = []
        calls: list[Message] = []
        for line in text.split("\n"):
            before, marker, call = line.partition(CALL)
            if before or not marker:
                written.append(before)
            if marker:
                named = _NAMED.fullmatch(call)
                name, arguments = (named[1], named[2] or "") if named else (MALFORMED, call)
                calls.append(tool_call(f"{call_prefix}{len(calls)}", name, arguments))
        content = "\n".join(written)
        return assistant(content if content or not calls else None, *calls)

    def _closed(self, role: str, text: str) -> list[int]:
        return [self._start, *self._encode(f"{role}\n{text}"), self.end, *self._newline]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def _special(self, token: str) -> int:
        found = self._tokenizer.get_vocab().get(token)
        if found is None:
            raise UsageError(
                f"the tokenizer has no {token} token", hint="use a model that speaks ChatML, such as smollm2"
            )
        return int(found)


def signature(tool: ToolSchema) -> str:
    """A tool on one line: `find_slots(doctor, date?: date) - Free slots of a doctor`.

    `?` marks what may be left out. Types are shown where they are not plain text, and choices in full;
    of the description, the first sentence.
    """
    function = tool["function"]
    schema = function.get("parameters") or {}
    required = set(schema.get("required") or ())
    shown = ", ".join(
        name + ("" if name in required else "?") + _type(given)
        for name, given in (schema.get("properties") or {}).items()
    )
    about = (function.get("description") or "").strip().split("\n")[0].split(". ")[0].rstrip(".")
    return f"{function['name']}({shown})" + (f" - {about}" if about else "")


def compact(content: str) -> str:
    """JSON objects and lists without the spaces between their parts; any other text as it is."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if not isinstance(value, dict | list):
        return content
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _type(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("enum"):
        return ": " + "|".join(str(choice) for choice in choices)
    kinds = schema.get("format") or schema.get("type") or "string"
    listed = kinds if isinstance(kinds, list) else [kinds]
    shown = "|".join(_SHORT_TYPES.get(str(kind), str(kind)) for kind in listed if kind != "null")
    return "" if shown == "string" else f": {shown}"


def _one_line(arguments: str) -> str:
    """A call is one line: JSON over several lines is written again, broken text has its breaks blanked."""
    if "\n" not in arguments:
        return arguments
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except ValueError:
        return arguments.replace("\n", " ")
