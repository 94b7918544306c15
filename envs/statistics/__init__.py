"""Estimates over tasks. The task is the unit: trials of one task are not independent of each other.

`estimates` has rates, pass@k and pass^k with their intervals, `pairs` compares two runs task by task,
`variance` splits what varies. Pure Python, seeded; nothing here reads a ledger. Empty input raises `ValueError`.
"""

from __future__ import annotations

from mocktrial.envs.statistics.estimates import (
    BOOTSTRAP,
    EXACT,
    PAIRED,
    SCORE,
    Estimate,
    bootstrap,
    estimate,
    pass_at_k,
    pass_hat_k,
)
from mocktrial.envs.statistics.pairs import (
    McNemar,
    mcnemar,
    paired_difference,
    run_spread,
    runs_needed,
)
from mocktrial.envs.statistics.variance import VarianceSplit, variance_split

__all__ = [
    "BOOTSTRAP",
    "EXACT",
    "PAIRED",
    "SCORE",
    "Estimate",
    "McNemar",
    "VarianceSplit",
    "bootstrap",
    "estimate",
    "mcnemar",
    "paired_difference",
    "pass_at_k",
    "pass_hat_k",
    "run_spread",
    "runs_needed",
    "variance_split",
]
