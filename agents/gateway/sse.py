"""Putting a streamed reply together while its bytes pass by: the same body as a reply that was not streamed.

Reads server-sent events (WHATWG HTML, section 9.2) as chat completions use them: `data:` lines, a JSON chunk
each, then `[DONE]`. Chunks that cannot be read are left out: whether anything came of it, `replies` decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TEXTS = ("content", "refusal")
_WHOLE = ("prompt_token_ids", "usage", "model", "error")  # of the body: taken from the chunk that has it


class Stream:
    """Fed with bytes as they come; `body` holds what they said so far. Only the first choice is kept."""

    def __init__(self) -> None:
        self.done = False  # the server said so
        self.body: dict[str, Any] = {}
        self._rest = b""
        self._message: dict[str, Any] = {}
        self._calls: dict[int, dict[str, Any]] = {}
        self._choice: dict[str, Any] = {}

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line.removeprefix(b"data:").strip())

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(chunk, dict):
            return
        self.body |= {key: chunk[key] for key in _WHOLE if chunk.get(key) is not None}
        choices = chunk.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(first, dict) and first.get("index", 0) == 0:
            self._take(first)

    def _take(self, choice: Mapping[str, Any]) -> None:
        if "choices" not in self.body:
            self.body["choices"] = [self._choice]
            self._choice["message"] = self._message
        delta = choice.get("delta")
        if isinstance(delta, Mapping):
            for key in _TEXTS:
                if isinstance(delta.get(key), str):
                    self._message[key] = self._message.get(key, "") + delta[key]
            parts = delta.get("tool_calls")
            for part in parts if isinstance(parts, list) else ():
                self._take_call(part)
        if choice.get("finish_reason"):
            self._choice["finish_reason"] = choice["finish_reason"]
        if isinstance(choice.get("token_ids"), list):
            self._choice.setdefault("token_ids", []).extend(choice["token_ids"])
        given = choice.get("logprobs")
        if isinstance(given, Mapping) and isinstance(given.get("content"), list):
            self._choice.setdefault("logprobs", {"content": []})["content"].extend(given["content"])

    def _take_call(self, part: Any) -> None:
        """One piece of a tool call: id and name come once, the arguments' text in pieces."""
        if not isinstance(part, Mapping) or not isinstance(part.get("index"), int):
            return
        call = self._calls.get(part["index"])
        if call is None:
            call = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            self._calls[part["index"]] = call
            self._message["tool_calls"] = list(self._calls.values())
        if isinstance(part.get("id"), str):
            call["id"] = part["id"]
        function = part.get("function")
        for key in ("name", "arguments"):
            if isinstance(function, Mapping) and isinstance(function.get(key), str):
                call["function"][key] += function[key]
