"""How varied a dataset is: `report_datasets([folder, baseline]) -> DatasetReport`, streaming, seeded samples.

Instructions are compared as `dedup` normalises them. A sentence pattern is an instruction with its public
values and all numbers masked. Tools are one cluster where MinHash of name, parameters and types is alike by
`ALIKE` or more, chained. Embeddings are taken of a sample, only where their model is installed.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rensa import RMinHashLSH

from mocktrial.envs.report.dataset import Bars, DatasetReport, Measure
from mocktrial.envs.seeds import derive
from mocktrial.envs.streaming import Folder
from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import MissingExtra
from mocktrial.mocktools.spec import ToolSpec
from mocktrial.synth.audit.dedup import PERMUTATIONS, grams, normalised, sketch, twin_of

ALIKE = 0.7
_BANDS = 32  # of four values: a pair alike by 0.7 meets in one of them in 999 cases of 1,000
SAMPLE = 400  # instructions whose embeddings are compared, all pairs
_EQUAL = 1000  # tasks in the sample on which the 4-grams of two sizes of dataset are compared
_SEED = 20260122
_PATTERNS = 10
_TWINS = 3  # shown
_NUMBER = re.compile(r"\d[\d.,:-]*")

NOTES = {
    "tasks": "",
    "distinct_instructions": "after normalising case, punctuation and courtesies",
    "distinct_4_grams": "runs of four words",
    "distinct_4_grams_per_1000_tasks": f"in a seeded sample of at most {_EQUAL} tasks, scaled",
    "embedding_distance": f"mean cosine distance between all pairs of a seeded sample of at most {SAMPLE} instructions",
    "tool_signatures": "tools that differ in name, parameters or effect",
    "tool_clusters": f"of tool signatures, by MinHash of name, parameters and types at {ALIKE}",
    "patterns": "instructions with values masked",
    "largest_pattern_share": "share of tasks with the commonest pattern",
    "domains": "",
}


@dataclass
class _Seen:
    """What is kept of a dataset: texts and counts, no tasks."""

    texts: list[str] = field(default_factory=list)
    patterns: Counter[str] = field(default_factory=Counter)
    shares: dict[str, Counter[str]] = field(default_factory=dict)
    domains: set[str] = field(default_factory=set)
    tools: dict[str, list[str]] = field(default_factory=dict)  # tokens by signature
    wishes: dict[str, str] = field(default_factory=dict)  # `twin_of` by task


def twins(folder: Folder, other: Folder) -> list[tuple[str, str]]:
    """The tasks of one dataset that have a twin in the other, each with the first such."""
    own, others = ({task.id: twin_of(task) for _, pairs in each for task, _ in pairs} for each in (folder, other))
    return _twins(own, others)


def _twins(own: Mapping[str, str], others: Mapping[str, str]) -> list[tuple[str, str]]:
    first: dict[str, str] = {}
    for name, wish in others.items():
        first.setdefault(wish, name)
    return [(name, first[wish]) for name, wish in own.items() if wish in first]


def report_datasets(folders: Sequence[Folder]) -> DatasetReport:
    """The figures of each folder, in order. Raises `SpecError` for a broken dataset."""
    seen = [_see(folder) for folder in folders]
    figures = [_figures(one) for one in seen]
    measures = tuple(
        Measure(name=name, note=note, values=tuple(one[name] for one in figures)) for name, note in NOTES.items()
    )
    shared = _twins(seen[0].wishes, seen[1].wishes) if len(seen) > 1 else []
    if len(seen) > 1:
        note = "tasks with the same domain, calls, arguments and facts as one of the baseline"
        measures += (Measure(name="twins_in_baseline", note=note, values=(len(shared), *[None] * (len(seen) - 1))),)
    return DatasetReport(
        twins=tuple(shared[:_TWINS]),
        labels=_labels([folder.path for folder in folders]),
        measures=measures,
        bars=tuple(
            _bars(title, [one.shares.get(title, Counter()) for one in seen]) for title in ("families", "gaps", "calls")
        ),
        patterns=tuple(tuple(_commonest(one.patterns)) for one in seen),
    )


def _see(folder: Folder) -> _Seen:
    seen = _Seen()
    for spec, pairs in folder:
        for tool in spec.tools():
            tokens = _tokens(tool)
            seen.tools.setdefault(" ".join(tokens), tokens)
        for task, _ in pairs:
            seen.texts.append(normalised(task.instruction))
            seen.patterns[pattern(task)] += 1
            seen.domains.add(task.domain)
            seen.wishes[task.id] = twin_of(task)
            for title, name in (("families", task.family), ("calls", f"{task.difficulty}")):
                seen.shares.setdefault(title, Counter())[name] += 1
            for kind in sorted({fact.kind for fact in task.hidden()}) or ["none"]:
                seen.shares.setdefault("gaps", Counter())[kind] += 1
    return seen


def _figures(seen: _Seen) -> dict[str, float | None]:
    chance = random.Random(derive(_SEED, "sample"))
    equal = chance.sample(seen.texts, min(_EQUAL, len(seen.texts)))
    return {
        "tasks": len(seen.texts),
        "distinct_instructions": len(set(seen.texts)),
        "distinct_4_grams": _distinct(seen.texts),
        "distinct_4_grams_per_1000_tasks": round(1000 * _distinct(equal) / max(1, len(equal))),
        "embedding_distance": mean_distance(chance.sample(seen.texts, min(SAMPLE, len(seen.texts)))),
        "tool_signatures": len(seen.tools),
        "tool_clusters": clusters(list(seen.tools.values())),
        "patterns": len(seen.patterns),
        "largest_pattern_share": round(max(seen.patterns.values(), default=0) / max(1, len(seen.texts)), 4),
        "domains": len(seen.domains),
    }


def _distinct(texts: Iterable[str]) -> int:
    return len({gram for text in texts for gram in grams(text, 4)})


def pattern(task: Task) -> str:
    """The instruction with public values and numbers masked, case folded."""
    text = task.instruction
    spoken = sorted(
        {fact.spoken for fact in task.facts if not fact.hidden and fact.spoken}, key=lambda form: (-len(form), form)
    )
    for form in spoken:
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "_", text, flags=re.IGNORECASE)
    return normalised(_NUMBER.sub("_", text))


def mean_distance(texts: Sequence[str]) -> float | None:
    """Mean cosine distance over all pairs; None without texts or without the model."""
    if len(texts) < 2:
        return None
    try:
        from mocktrial.agents.local.embed import embed

        vectors = embed(texts)  # (N, D), of length 1
    except (ImportError, MissingExtra):
        return None
    count = len(texts)
    total = vectors.sum(0)  # the sum over all pairs of dot products is |sum|^2 less the N of a vector with itself
    return round(1 - (float(total @ total) - count) / (count * (count - 1)), 4)


def clusters(tools: Sequence[Sequence[str]]) -> int:
    """Clusters of token lists, chained where MinHash finds them alike."""
    index = RMinHashLSH(ALIKE, PERMUTATIONS, _BANDS)
    sketches = [sketch(tokens) for tokens in tools]
    parent = list(range(len(tools)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for place, minhash in enumerate(sketches):
        for twin in sorted(index.query(minhash)):
            if minhash.jaccard(sketches[twin]) >= ALIKE:
                parent[root(twin)] = root(place)
        index.insert(place, minhash)
    return len({root(node) for node in range(len(tools))})


def _tokens(tool: ToolSpec) -> list[str]:
    """Words of the name, parameters with their types and whether they are required."""
    parameters = (
        f"{name}:{schema.get('type', '')}:{name in tool.required}" for name, schema in tool.parameters.items()
    )
    return [*(f"name:{word}" for word in tool.name.split("_")), *sorted(parameters), tool.effect]


def _bars(title: str, counts: Sequence[Counter[str]]) -> Bars:
    names = sorted(
        {name for one in counts for name in one}, key=lambda name: (int(name) if name.isdigit() else 0, name)
    )
    shares = tuple(tuple(one[name] / max(1, one.total()) for name in names) for one in counts)
    return Bars(title=title, names=tuple(names), shares=shares)


def _commonest(patterns: Counter[str]) -> list[tuple[str, int]]:
    return sorted(patterns.items(), key=lambda item: (-item[1], item[0]))[:_PATTERNS]


def _labels(paths: Sequence[Path]) -> tuple[str, ...]:
    """Folder names; whole paths where two are called alike."""
    names = [path.resolve().name for path in paths]
    return tuple(names if len(set(names)) == len(names) else map(str, paths))
