"""When a run gives up: after so many failures in a row that are the same but for their digits (FAULTS 3)."""

from __future__ import annotations

import re


class Breaker:
    """Counts outcomes in their order. `stopped` says why the run is over, or is empty."""

    def __init__(self, most: int) -> None:
        self.stopped = ""
        self._most = most
        self._failure, self._in_a_row = "", 0

    def failed(self, reason: str) -> None:
        """An episode has no result, for `reason`."""
        same = _without_digits(reason) == _without_digits(self._failure)
        self._failure, self._in_a_row = reason, self._in_a_row + 1 if same else 1
        if self._in_a_row == self._most:
            self.stopped = f"{self._most} failures in a row: {reason}"

    def succeeded(self) -> None:
        self._failure, self._in_a_row = "", 0


def _without_digits(reason: str) -> str:
    """Ports, durations and ids differ between failures that are the same."""
    return re.sub(r"\d+", "#", reason)
