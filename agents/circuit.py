"""A circuit breaker: an endpoint that is dead is not asked by everybody, but tried by one at a time.

Closed, every request goes out. After `THRESHOLD` failures of one kind in a row, with no answer for `SILENCE`, it
opens: requests fail at once, with what the last one failed with, so that the retry layer waits and the runner sees
equal failures. Half open, one request goes out as a probe, at growing intervals; when it is answered the circuit
closes. An outage longer than `PATIENCE` is no longer waited for. A refusal, 429 included, is an answer: the endpoint
lives. An outage that goes on is logged, each time after twice as long, so that who waits knows what for.
"""

from __future__ import annotations

import logging

from mocktrial.agents.retry import TryAgain
from mocktrial.envs.failures import Failure
from mocktrial.mocktools.errors import NoResult

THRESHOLD = 20  # failures in a row
SILENCE = 3.0  # seconds from the first of them: a burst of failing requests is no dead endpoint
PATIENCE = 30.0  # seconds from the first of them
_SAID_FIRST = 5.0  # seconds from the first of them until the log has it
_log = logging.getLogger(__name__)
_PROBE_FIRST, _PROBE_MOST = 0.5, 30.0  # seconds between probes: the first, doubling, the longest


class Circuit:
    """The state of one endpoint. `now` is the event loop's clock, in seconds."""

    def __init__(self) -> None:
        self._failures, self._open = 0, False
        self._last: TryAgain | None = None
        self._since = self._probe_at = 0.0
        self._wait = _PROBE_FIRST
        self._say_after = _SAID_FIRST

    def check(self, now: float) -> None:
        """Returns when a request may go out. Raises `TryAgain`, or `NoResult` when the outage is too long."""
        if self._last is None or not self._open:
            return
        if now >= self._probe_at:
            self._probe_at = now + self._wait
            self._wait = min(2 * self._wait, _PROBE_MOST)
        elif now - self._since > PATIENCE:
            raise NoResult(str(self._last), blame=self._last.blame, kind=self._last.kind)
        else:
            raise TryAgain(str(self._last), Failure(self._last.kind))

    def answered(self) -> None:
        self._failures, self._open, self._say_after = 0, False, _SAID_FIRST

    def failed(self, error: TryAgain, now: float) -> None:
        if self._last is None or error.kind != self._last.kind:
            self.answered()
        if self._failures == 0:
            self._since = now
        self._failures += 1
        self._last = error
        silent = now - self._since
        if silent >= self._say_after:
            self._say_after = 2 * silent
            _log.warning("%s; no answer for %.0f s, still trying", error, silent)
        if not self._open and self._failures >= THRESHOLD and silent >= SILENCE:
            self._open, self._wait, self._probe_at = True, _PROBE_FIRST, now + _PROBE_FIRST
