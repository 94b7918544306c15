"""Secrets are taken out of what is logged twice: by value, wherever one stands that the environment or the command line
names, then by the name of the field that holds one (FAULTS 22).
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

REDACTED = "[redacted]"
_NAMES = re.compile(
    r"(^|[_-])(token|secret|password|passwd|authorization|api[_-]?key|cookie)$|^PGPASSWORD$", re.IGNORECASE
)
_IN_ADDRESS = re.compile(r"://[^/@:]*:([^/@]+)@|[?&](?:ssl)?password=([^&#]+)")
_SHORTEST = 6  # characters: a shorter value would stand in any text


def known_secrets() -> list[str]:
    """Values that the environment's variables and the command line's options have under names that say so."""
    return [*(value for name, value in os.environ.items() if _NAMES.search(name)), *_of_arguments(sys.argv[1:])]


def _of_arguments(arguments: list[str]) -> Iterator[str]:
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        name, equals, value = argument.partition("=")
        if name.startswith("--") and _NAMES.search(name):
            yield value if equals else following
        for found in _IN_ADDRESS.findall(argument):
            yield from filter(None, found)


class Redaction:
    """secrets: values besides the known ones."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        kept = sorted({one for one in (*known_secrets(), *secrets) if len(one) >= _SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, kept))) if kept else None

    def text(self, text: str) -> str:
        return self._values.sub(REDACTED, text) if self._values else text

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._clean(name, value) for name, value in fields.items()}

    def _clean(self, name: str, value: Any) -> Any:
        if value and _NAMES.search(name):
            return REDACTED
        if isinstance(value, dict):
            return self.fields({str(key): inner for key, inner in value.items()})
        if isinstance(value, (list, tuple)):
            return [self._clean("", inner) for inner in value]
        return value if value is None or isinstance(value, (bool, int, float)) else self.text(str(value))


class RedactingFormatter(logging.Formatter):
    """Plain lines, traceback included, without the secrets that are known when it is made."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self._redaction = Redaction()

    def format(self, record: logging.LogRecord) -> str:
        return self._redaction.text(super().format(record))
