"""Learning which next queries to show, from click logs whose truth is known: a small policy, and its ablation.

`rows` turns a log into weighted samples, `features` says what the policy sees, `policy` is the policy, `fit` trains
it with the objectives of `training.objectives`, `ablation` compares the methods of ToolRec, `records` writes rows
for a language model (`mocktrial train kto`).
"""

from __future__ import annotations
