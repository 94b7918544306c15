"""The one retry layer of model calls: what is tried again, when, and for how long.

An attempt says by raising `TryAgain` that its failure may pass; whatever else it raises goes straight
through. Waits grow exponentially with jitter and are capped; a server's Retry-After replaces them and is
never undercut. The call ends at its deadline, whatever happens in it, with the last failure. Waiting
needs the wall clock and real randomness; neither reaches a prompt, a tool or a grade.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from mocktrial.envs.failures import Failure
from mocktrial.envs.retrying import retry_context
from mocktrial.mocktools.errors import NoResult

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """How long a call is kept up. Times in seconds."""

    attempts: int = 12  # at most; twelve keep 2,500 calls alive through 30% of 429
    deadline: float = 300.0  # for the whole call, waits included
    wait_initial: float = 0.25  # before the second attempt; doubles from there
    wait_max: float = 5.0  # longest wait of our own choice
    jitter: float = 0.5  # at most this much is added to a wait


class TryAgain(NoResult):
    """An attempt failed in a way that may pass. `after`: seconds that the server told us to wait."""

    def __init__(self, message: str, kind: Failure, *, after: float | None = None) -> None:
        super().__init__(message, blame="endpoint", kind=kind)
        self.after = after


async def _at_once() -> None:
    """No place to wait for."""


async def call_with_retries(
    attempt: Callable[[], Awaitable[T]], retry: Retry, where: str, place: Callable[[], Awaitable[None]] = _at_once
) -> T:
    """The result of `attempt`, tried as `retry` says. `where` names the endpoint in the message.

    place: waited for before each attempt; that time is not the call's. Raises the last `TryAgain` when all is used
    up, and `NoResult` when no attempt ended in time.
    """
    clock = asyncio.get_running_loop().time
    bound = asyncio.timeout(retry.deadline)
    last: TryAgain | None = None

    def wait(error: Exception) -> bool | float:
        """False: give up; True: wait as long as we choose; a number: wait that long."""
        nonlocal last
        if not isinstance(error, TryAgain):
            return False
        last = error
        if error.after is None:
            return True
        ends = clock() + error.after
        return error.after + random.uniform(0, retry.jitter) if ends < (bound.when() or math.inf) else False

    attempts = retry_context(
        on=wait, attempts=retry.attempts, timeout=None, wait_initial=retry.wait_initial,
        wait_max=retry.wait_max, wait_jitter=retry.jitter,
    )  # fmt: skip
    try:
        async with bound:
            async for one in attempts:
                with one:
                    left = (bound.when() or math.inf) - clock()
                    bound.reschedule(None)
                    await place()
                    bound.reschedule(clock() + left)
                    return await attempt()
    except TimeoutError:
        if last is not None:
            raise last from None
    raise NoResult(f"{where}: no answer within {retry.deadline:g} s", blame="endpoint", kind=Failure.TIMEOUT)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `retry-after-ms` or `Retry-After` (a number or an HTTP date) asks for, else None."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number) if not math.isnan(number) else None
