"""Reading a reply of chat completions: the message as the model wrote it, what it cost, and its tokens.

Read from the reply's JSON and not from a client library's classes, so that nothing is added or dropped on the
way; nothing is mended. What holds no message raises `BadReply` with a line that says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mocktrial.envs.chat import Message, Usage

_KEPT = ("refusal", "tool_calls")  # beside the content, what a request may carry back as history


class BadReply(ValueError):
    """Bytes of status 200 that hold no completion."""


@dataclass(frozen=True)
class Reply:
    content: bytes  # as it came
    body: Mapping[str, Any]
    message: Message
    usage: Usage


def read_reply(content: bytes) -> Reply:
    """The completion in the bytes of a reply. Raises `BadReply`."""
    try:
        body = json.loads(content)
        message = body["choices"][0]["message"]
        kept = {"role": "assistant", "content": message.get("content")}
        kept |= {key: message[key] for key in _KEPT if message.get(key)}
        json.dumps(kept, ensure_ascii=False).encode()  # a lone surrogate could be neither kept nor sent
    except (ValueError, RecursionError):
        raise BadReply(f"the reply is not JSON text: {content[:1000]!r}") from None
    except (LookupError, TypeError, AttributeError):
        raise BadReply(f"the reply holds no message: {said_by(body) or repr(content[:1000])}") from None
    return Reply(content, body, kept, read_usage(body))


def said_by(body: object) -> str:
    """What an error body says for itself, in the forms that servers use."""
    if isinstance(body, Mapping):
        return said_by(body.get("error") or body.get("message") or body.get("detail"))
    return body if isinstance(body, str) else ""


def read_usage(body: Mapping[str, Any]) -> Usage:
    given = body.get("usage")
    counts = given if isinstance(given, Mapping) else {}
    named = {name: counts.get(name) for name in ("prompt_tokens", "completion_tokens")}
    return Usage(**{name: count for name, count in named.items() if isinstance(count, int) and count >= 0})
