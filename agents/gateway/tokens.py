"""Token ids and log-probabilities in a reply of chat completions, in the forms that servers use.

llama.cpp   choices[0].logprobs.content[i].id and .logprob                (asked for with logprobs)
vLLM        prompt_token_ids, choices[0].token_ids                        (return_token_ids)
            choices[0].logprobs.content[i].logprob                        (logprobs)
            choices[0].logprobs.content[i].token, "token_id:N"            (return_tokens_as_token_ids)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ASK: Mapping[str, Any] = {"logprobs": True, "top_logprobs": 1, "return_token_ids": True}
_NUMBERED = "token_id:"


@dataclass(frozen=True)
class Tokens:
    """Of one reply. `prompt` is empty where the server does not tell it."""

    prompt: tuple[int, ...]
    sampled: tuple[int, ...]
    logprobs: tuple[float, ...]


def read_tokens(body: Mapping[str, Any]) -> Tokens | None:
    """The tokens of the first choice; None where ids or log-probabilities are missing or do not fit each other."""
    choice = body["choices"][0]
    given = choice.get("logprobs")
    entries = given.get("content") if isinstance(given, Mapping) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        return None
    sampled = _ids(choice.get("token_ids")) or _ids([_id_of(entry) for entry in entries])
    logprobs = tuple(entry.get("logprob") for entry in entries)
    if len(sampled) != len(logprobs) or not all(_is_finite(value) for value in logprobs):
        return None
    return Tokens(_ids(body.get("prompt_token_ids")), sampled, tuple(float(value) for value in logprobs))


def _ids(given: Any) -> tuple[int, ...]:
    """Ids, or none where one of them is no id."""
    if not isinstance(given, list) or not all(isinstance(one, int) and 0 <= one < 2**31 for one in given):
        return ()
    return tuple(given)


def _id_of(entry: Mapping[str, Any]) -> Any:
    if "id" in entry:
        return entry["id"]
    token = entry.get("token")
    number = token.removeprefix(_NUMBERED) if isinstance(token, str) and token.startswith(_NUMBERED) else ""
    return int(number) if number.isdecimal() else None


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
