"""Arguments as a model gives them: read, bounded and held against the tool's schema before anything runs.

What is wrong with them is a `ToolFailure` that says what; nothing is mended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mocktrial.mocktools.errors import ToolFailure
from mocktrial.mocktools.image import CompiledTool
from mocktrial.mocktools.values import encoder

MAX_ARGUMENT_BYTES = 65_536
_SHORT = 1000  # characters of arguments that are remembered
MAX_ARGUMENT_DEPTH = 100  # what Python and the validator hold depends on the stack, an answer must not
_ODD = ("\\u", "NaN", "Infinity")  # escapes that may be half a pair, numbers that are no JSON
_HUGE = re.compile(r"\d(?:[eE]|\d{299})")  # a number that may be read as infinite
_TOO_DEEP = f"Arguments are nested more than {MAX_ARGUMENT_DEPTH} deep."
_strict = encoder(allow_nan=False)


def parse_arguments(arguments: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments object, not to be written to. Broken JSON is reported, never mended."""
    if isinstance(arguments, str) and len(arguments) <= _SHORT:
        return _parse_short(arguments)
    return _parse(arguments)


def _parse(arguments: str | Mapping[str, Any]) -> Mapping[str, Any]:
    plain = False
    if isinstance(arguments, str):
        if len(arguments.encode("utf-8", "replace")) > MAX_ARGUMENT_BYTES:
            raise ToolFailure("too_large", f"Arguments are longer than {MAX_ARGUMENT_BYTES} bytes.")
        plain = _is_plain(arguments)
        try:
            arguments = json.loads(arguments)
        except RecursionError as error:
            raise ToolFailure("bad_arguments", _TOO_DEEP) from error
        except ValueError as error:
            raise ToolFailure(
                "bad_json", f"Arguments are not JSON: {str(error)[:120]}.", hint="Send one JSON object."
            ) from error
    if not isinstance(arguments, Mapping):
        raise ToolFailure("bad_arguments", "Arguments must be a JSON object.", hint="Send one JSON object.")
    if plain:
        return arguments
    if _is_deeper(arguments, MAX_ARGUMENT_DEPTH):
        raise ToolFailure("bad_arguments", _TOO_DEEP)
    try:
        _strict(arguments).encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair: no database and no file can hold it
        raise ToolFailure("bad_arguments", "Arguments hold a character that is no text.") from error
    except ValueError as error:  # Python reads NaN, and 1e400 as infinity
        raise ToolFailure("bad_arguments", "Arguments hold a number that is no JSON.") from error
    return arguments


_parse_short = lru_cache(maxsize=1024)(_parse)


def _is_plain(text: str) -> bool:
    """Whether nothing in this JSON text can be too deep, no number or no text. Quick; may say no in vain."""
    if not text.isascii() or any(part in text for part in _ODD) or _HUGE.search(text):
        return False
    return text.count("[") + text.count("{") <= MAX_ARGUMENT_DEPTH


def _is_deeper(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    return inner is not None and (depth == 0 or any(_is_deeper(item, depth - 1) for item in inner))


def check_arguments(tool: CompiledTool, given: Mapping[str, Any]) -> None:
    try:
        valid = tool.validator.is_valid(given)
    except (ValueError, OverflowError) as error:  # numbers beyond what the validator holds
        raise ToolFailure("bad_arguments", f"Arguments cannot be read: {str(error)[:120]}.") from error
    if not valid:
        first = next(tool.validator.iter_errors(given))
        where = ".".join(str(part) for part in first.instance_path)
        message = f"{where}: {first.message}" if where else first.message
        need = ", ".join(name + ("" if name in tool.spec.required else "?") for name in tool.spec.parameters)
        raise ToolFailure("bad_arguments", message[:300], hint=f"{tool.spec.name} takes ({need}).")
