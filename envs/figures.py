"""What a dataset is counted by: flat counters that add up over tasks, units and workers.

`figures(task, proof)` gives one task's. Keys are plain words; a slash opens a group: "family/policy",
"cell/tool_use/2/test", "played/guess", "mutant/left-out". Nothing here plays an episode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mocktrial.envs.proof import Proof
from mocktrial.envs.task import Task

RIGHT = ("gold", "extra-reads", "reordered")  # kinds of play that must succeed; all others are mutants


def figures(task: Task, proof: Proof) -> Counter[str]:
    """Counts of one proved task. `null_pass`, `guess_pass` and `vacuous` are failures and should be 0."""
    failed = Counter(failure.partition(":")[0] for failure in proof.failures)
    made, killed = mutants_of(proof)
    found = Counter(
        {
            "tasks": 1,
            "gold_pass": int(bool(proof.counts.get("gold")) and not failed["gold"]),
            "null_pass": failed["nothing"],
            "guess_pass": failed["guess"],
            "vacuous": failed["at-start"],
            "mutants": made,
            "mutants_killed": killed,
            f"family/{task.family}": 1,
            f"split/{task.split}": 1,
            f"calls/{task.difficulty}": 1,
            f"domain/{task.domain}": 1,
            f"hidden/{len(task.hidden())}": 1,
            f"cell/{task.family}/{task.difficulty}/{task.split}": 1,
        }
    )
    if "goal" in task.provenance:  # a task that was made otherwise has none
        found[f"goal/{task.domain}/{task.provenance['goal']}"] = 1
    found.update({f"played/{kind}": count for kind, count in proof.counts.items()})
    return found


def mutants_of(proof: Proof) -> tuple[int, int]:
    """Wrong ways to play that were built, and those that failed as they must."""
    if proof.mutants:
        return sum(made for made, _ in proof.mutants.values()), sum(killed for _, killed in proof.mutants.values())
    wrong = {kind: count for kind, count in proof.counts.items() if kind not in (*RIGHT, "at-start")}
    passed = sum(failure.partition(":")[0] in wrong and failure.endswith(" passes") for failure in proof.failures)
    return sum(wrong.values()), sum(wrong.values()) - passed


def commonest_goal(counts: Mapping[str, int]) -> tuple[str, float, int]:
    """The goal that most tasks were made of, as DOMAIN/GOAL, its share of the tasks, and how many goals there are."""
    goals = group(counts, "goal")
    if not goals:
        return "", 0.0, 0
    name = min(goals, key=lambda goal: (-goals[goal], goal))
    return name, round(goals[name] / counts["tasks"], 4), len(goals)


def group(counts: Mapping[str, int], name: str) -> dict[str, int]:
    """The counts of one group by the rest of their keys, numbers sorted as numbers."""
    found = {key.removeprefix(f"{name}/"): count for key, count in counts.items() if key.startswith(f"{name}/")}
    return dict(sorted(found.items(), key=lambda item: (item[0].isdigit(), item[0].zfill(8), item[0])))
