"""What `synth` and `validate` say of a dataset: its figures, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mocktrial.envs.figures import commonest_goal, group
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.audit.structure import tool_identity, tool_structure, world_structure

_KEYS = (
    "tasks", "worlds", "tools", "distinct_tools", "world_structures", "tool_structures", "gold_pass", "null_pass",
    "guess_pass", "mutants", "mutants_killed", "vacuous", "leaks", "near_duplicates",
)  # fmt: skip
Shapes = Mapping[str, tuple[str, ...]]


def shapes_of(spec: WorldSpec) -> dict[str, tuple[str, ...]]:
    """Hashes of a world: of its structure, of each tool, of each tool's structure."""
    return {
        "world": (world_structure(spec),),
        "tools": tuple(tool_identity(tool) for tool in spec.tools()),
        "tool_structures": tuple(tool_structure(tool, spec) for tool in spec.tools()),
    }


@dataclass
class Audit:
    """Figures that add up over worlds, and findings: sentences that name world or task."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)  # figures that do not add up
    _seen: dict[str, set[str]] = field(default_factory=dict)

    def add(self, counts: Mapping[str, int], shapes: Shapes) -> None:
        self.counts.update(counts)
        self.counts["tools"] += len(shapes.get("tools", ()))
        for kind, hashes in shapes.items():
            self._seen.setdefault(kind, set()).update(hashes)

    def figures(self, seconds: float) -> dict[str, Any]:
        """The keys of `--json`; `seconds` of work give `tasks_per_second`."""
        counts = self.counts
        names = {"distinct_tools": "tools", "world_structures": "world", "tool_structures": "tool_structures"}
        found = {key: len(self._seen.get(names[key], ())) if key in names else counts[key] for key in _KEYS}
        groups = {"families": "family", "splits": "split", "calls": "calls", "hidden": "hidden"}
        goal, share, goals = commonest_goal(counts)
        return {
            **found,
            "tasks_per_second": round(counts["tasks"] / seconds, 1) if seconds > 0 else 0.0,
            **{key: group(counts, name) for key, name in groups.items()},
            "commonest_goal": {"goal": goal, "share": share, "of": goals},
            **self.more,
        }
