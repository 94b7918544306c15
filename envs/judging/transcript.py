"""An episode as a judge reads it: numbered parts of one line each, inside a fence that no part can forge.

The fence is a hash of the parts themselves, so what stands in a part cannot know it. Each line begins with it; in
a part there are no line ends, no control or direction characters, no angle brackets and no long rules, so that
nothing inside looks like an end of the transcript or like another part. Nothing here decides or raises.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mocktrial.envs.chat import Message
from mocktrial.envs.rubric import Source
from mocktrial.mocktools.values import stable

_WHOLE = 60_000  # characters of a transcript that are shown
_PART = 4_000  # of one part, at most
_KEPT = 16_000  # of one part as it was written; what comes later is neither shown nor evidence
_RULE = re.compile(r"([=\-_*#~`|])\1{2,}")  # what people draw fences with
_LABEL = re.compile(r"\[(\d+)\]")
_BRACKETS = str.maketrans({"<": "‹", ">": "›"})


@dataclass(frozen=True)
class Part:
    """One thing that was said, called or given."""

    number: int  # from 1
    source: Source
    text: str
    name: str = ""  # of the tool, for a call and its result
    ok: bool = True  # a call that succeeded, or what it gave; true for words


def parts_of(messages: Sequence[Message]) -> tuple[Part, ...]:
    """What the judge may know, as it was written: all but the system message. `finish` is words, not an act."""
    found = [part for number in range(len(messages)) for part in _parts(messages, number)]
    return tuple(
        Part(number, source, text[:_KEPT], name, ok) for number, (source, text, name, ok) in enumerate(found, 1)
    )


_Told = tuple[Source, str, str, bool]  # the fields of a part behind its number


def _parts(messages: Sequence[Message], number: int) -> Iterator[_Told]:
    """Of a user's or an assistant's message; the results of its calls go with the calls."""
    message = messages[number]
    content = message.get("content")
    if message["role"] in ("user", "assistant") and isinstance(content, str) and content.strip():
        yield ("user" if message["role"] == "user" else "say"), content, "", True
    for call, at in calls_of(messages, number):
        result = messages[at] if at is not None else None
        ok = result is not None and not is_error(result)
        name, arguments = spelled(call)
        if name == "finish":
            yield "say", _finish_text(arguments), "", True
            continue
        yield "call", f"{name}({arguments})", name, ok
        if result is not None:
            yield "result", str(result["content"]), name, ok


def calls_of(messages: Sequence[Message], number: int) -> Iterator[tuple[object, int | None]]:
    """Each call of a message with the place of its result; None where it has none. Results follow their message."""
    calls = messages[number].get("tool_calls")
    place = number + 1
    for call in calls if isinstance(calls, list) else [calls] if calls else ():
        answered = place < len(messages) and messages[place]["role"] == "tool"
        yield call, place if answered else None
        place += answered


def spelled(call: object) -> tuple[str, str]:
    """Name and arguments of a call, also of a malformed one."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return "", str(call)
    return str(function.get("name")), str(function.get("arguments"))


def _finish_text(arguments: str) -> str:
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    return str(given["message"]) if isinstance(given, dict) and "message" in given else arguments


def is_error(message: Message) -> bool:
    """Whether a tool's message says that its call failed."""
    try:
        value = json.loads(message["content"])
    except ValueError:
        return False
    return isinstance(value, dict) and isinstance(value.get("error"), dict) and "code" in value["error"]


def neutral(text: str) -> str:
    """One line of NFKC text without what could steer a reader of the transcript."""
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(" " if unicodedata.category(c) in _BLANK else c for c in plain if _is_shown(c))
    plain = _RULE.sub(r"\1\1", plain.translate(_BRACKETS))
    return " ".join(_LABEL.sub(r"(\1)", plain).split())


_BLANK = ("Zl", "Zp", "Zs")


def _is_shown(character: str) -> bool:
    """Not so: controls, direction and zero-width marks, tags, surrogates, private and unassigned ones."""
    return character in "\n\r\t" or unicodedata.category(character)[0] != "C"


def fence_of(parts: Sequence[Part]) -> str:
    """Eight hex digits that depend on every character of the transcript."""
    body = stable([[part.source, part.text, part.ok] for part in parts])
    return hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def fenced(parts: Sequence[Part]) -> str:
    """The transcript between `‹FENCE›` lines; parts that are too long are cut."""
    fence = fence_of(parts)
    most = min(_PART, max(200, _WHOLE // max(1, len(parts))))
    lines = [f"{fence}-{part.number} {_heading(part)}: {_cut(neutral(part.text), most)}" for part in parts]
    return "\n".join([f"{fence} transcript begins", *(line.rstrip() for line in lines), f"{fence} transcript ends"])


def bare(parts: Sequence[Part]) -> str:
    """The transcript as a careless harness shows it. Only for measuring what `fenced` is worth."""
    lines = [f"[{part.number}] {_heading(part)}: {part.text}" for part in parts]
    return "\n".join(["<transcript>", *lines, "</transcript>"])


def _heading(part: Part) -> str:
    return part.source if part.ok else f"{part.source}, failed"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} (cut, {len(text) - most} more characters)"
