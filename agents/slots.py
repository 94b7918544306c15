"""How many requests are under way at an endpoint: as many as it takes, found out by asking.

Additive increase, multiplicative decrease, as TCP shares a line (Chiu and Jain, 1989): a window of requests
that all went well makes room for one more, a 429 halves the room. Requests that were sent before the room was
last halved halve it no further: they say nothing about the new one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class Slots:
    """Room for `limit` requests at once, between 1 and `ceiling`. Belongs to one event loop."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = self.limit = ceiling
        self._free = asyncio.Semaphore(ceiling)
        self._owed = 0  # slots that go when they are given back, since the limit fell under them
        self._good = 0  # answers since the limit last moved
        self._halvings = 0

    def raise_ceiling(self, ceiling: int) -> None:
        """Another user of the endpoint allows more at once."""
        while self.ceiling < ceiling:
            self.ceiling += 1
            if self._halvings == 0:
                self._grow()

    def answered(self) -> None:
        """A request went well."""
        self._good += 1
        if self._good >= self.limit and self.limit < self.ceiling:
            self._grow()

    def throttled(self, turn: Turn) -> None:
        """The request of `turn` got a 429."""
        if turn.mark == self._halvings:
            self._halvings += 1
            self._owed += self.limit - max(1, self.limit // 2)
            self.limit, self._good = max(1, self.limit // 2), 0

    def _grow(self) -> None:
        self.limit, self._good = self.limit + 1, 0
        self._give()

    def _give(self) -> None:
        if self._owed:
            self._owed -= 1
        else:
            self._free.release()


class Turn:
    """One call's place: taken for each try, given back at the end of the block at the latest."""

    def __init__(self, slots: Slots) -> None:
        self._slots, self._held = slots, False
        self.mark = 0  # how often the room had been halved when the place was taken

    async def take(self) -> None:
        if not self._held:
            await self._slots._free.acquire()
            self._held, self.mark = True, self._slots._halvings

    def give(self) -> None:
        if self._held:
            self._held = False
            self._slots._give()

    async def __aenter__(self) -> Turn:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give()
