"""How a unit ends without a blueprint. `str(error)` is the reason, short and the same for all like it."""

from __future__ import annotations

from mocktrial.mocktools.errors import SpecError, UsageError


class GivenUp(SpecError):
    """The model gave no usable answer for this unit; the next unit may do better. Counted like any broken world."""


class Stopped(UsageError):
    """The teacher asks for nothing more. What was paid for is kept: the same command goes on from there."""


class BudgetSpent(Stopped):
    """The tokens that were allowed are used up; a run ends cleanly with what it has proved."""
