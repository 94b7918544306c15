"""A batch as a forest: every run of tokens that several rows begin with is computed once.

Rows of one world share the system prompt and the tools, rollouts of one task also the user's words.
A pack lays the batch out as a radix forest of segments in one line of tokens without padding: position
ids go on from the parent segment, and a segment attends to its ancestors and causally to itself
(`training.forward`). Hidden states, losses and gradients are those of the rows one by one.
Pure bookkeeping on token ids; no model here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from mocktrial.training.data import Example

MIN_SHARED = 16  # tokens; a shorter shared run costs more in attention calls than it saves in products


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens, places [start, stop) of the pack, that continues its ancestors (outermost first)."""

    start: int
    stop: int
    ancestors: tuple[tuple[int, int], ...]  # places [start, stop) of each


@dataclass(slots=True)
class Pack:
    """L tokens, N trained tokens, B rows. Trained token n stands at [row[n], column[n]] of a (B, T) table."""

    rows: list[int]  # B: places in the batch
    ids: list[int] = field(default_factory=list)  # L
    positions: list[int] = field(default_factory=list)  # L: place in the row
    segments: list[Segment] = field(default_factory=list)
    source: list[int] = field(default_factory=list)  # N: place whose hidden state predicts the token
    target: list[int] = field(default_factory=list)  # N: the token's id
    row: list[int] = field(default_factory=list)  # N: place in `rows`
    column: list[int] = field(default_factory=list)  # N


def pack(batch: Sequence[Example], rows: Sequence[int]) -> Pack:
    """The rows `rows` of `batch` as one pack. A row's last token is only predicted, so it is not computed."""
    result = Pack(rows=sorted(rows, key=lambda row: batch[row].ids[:-1]))
    inputs = [batch[row].ids[:-1] for row in result.rows]
    paths: list[list[int]] = [[] for _ in inputs]
    _grow(result, inputs, paths, list(range(len(inputs))), 0, ())
    for place, (row, path) in enumerate(zip(result.rows, paths, strict=True)):
        trained = [token for token, written in enumerate(batch[row].mask) if written]
        result.source += [path[token - 1] for token in trained]
        result.target += [batch[row].ids[token] for token in trained]
        result.row += [place] * len(trained)
        result.column += range(len(trained))
    return result


def _grow(
    result: Pack,
    inputs: Sequence[tuple[int, ...]],
    paths: list[list[int]],
    members: list[int],
    start: int,
    ancestors: tuple[tuple[int, int], ...],
) -> None:
    """Add the segments of `members` (sorted, equal up to token `start`); `paths` gets each token's place."""
    for key, run_of in groupby(members, key=lambda member: inputs[member][start : start + MIN_SHARED]):
        if not key:
            continue  # these rows ended with the parent segment
        run = list(run_of)
        stop = shared_length(inputs[run[0]], inputs[run[-1]])
        first = len(result.ids)
        result.ids += inputs[run[0]][start:stop]
        result.positions += range(start, stop)
        here = (first, len(result.ids))
        result.segments.append(Segment(*here, ancestors))
        for member in run:
            paths[member] += range(*here)
        if len(run) > 1:
            _grow(result, inputs, paths, run, stop, (*ancestors, here))


def shared_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Number of leading tokens that both have in common."""
    length = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        length += 1
    return length


def micro_batches(batch: Sequence[Example], budget: int) -> list[Pack]:
    """The batch as packs of at most `budget` computed tokens each (a single longer row stands alone).

    Rows are taken in the order of their tokens, so rows that share a prefix stay together.
    """
    order = sorted(range(len(batch)), key=lambda row: batch[row].ids[:-1])
    groups: list[list[int]] = []
    used = 0
    for row in order:
        ids = batch[row].ids[:-1]
        added = len(ids) - (shared_length(batch[groups[-1][-1]].ids[:-1], ids) if groups else 0)
        if groups and used + added <= budget:
            groups[-1].append(row)
            used += added
        else:
            groups.append([row])
            used = len(ids)
    return [pack(batch, rows) for rows in groups]
