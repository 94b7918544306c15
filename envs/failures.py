"""Why an episode has no result: the classes of an endpoint's failures, and how a stored reason is read.

A reason is one line, "BLAME: message" or "BLAME: KIND: message" (`NoResult.reason`). `agents` raises what is
classified here, `runner` stores it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Failure(StrEnum):
    """What an endpoint did, at the last try."""

    RATE_LIMIT = "RATE_LIMIT"  # 429 until tries or time were used up
    SERVER_ERROR = "SERVER_ERROR"  # 5xx
    CONNECT = "CONNECT"  # nobody listens
    RESET = "RESET"  # the connection broke before an answer
    CUT = "CUT"  # the answer broke off
    TIMEOUT = "TIMEOUT"  # no whole answer in time: it hangs or drips
    BAD_BODY = "BAD_BODY"  # status 200, and no completion in it
    REFUSED = "REFUSED"  # a 4xx other than 429: asking again is no use
    DEADLINE = "DEADLINE"  # the episode's own time was used up


class Reason(NamedTuple):
    blame: str
    kind: str  # of `Failure`; empty where the failure has no class
    message: str


def read_reason(reason: str) -> Reason:
    """The parts of a stored reason."""
    blame, _, rest = reason.partition(": ")
    kind, found, message = rest.partition(": ")
    return Reason(blame, kind, message) if found and kind in Failure.__members__ else Reason(blame, "", rest)
