"""Rubrics weakened on purpose: the share that the proof sees through says how strong it is (benchmarks/proofs.py).

A value that is left open need not weaken anything: where no other row can be changed so, or the only other value is
the one before, the world has no end that tells the two rubrics apart. Such a rubric is none that a proof could see
through; what a world has is looked up here, by other means than the proof's own alterations (`cells`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mocktrial.envs.rubric import Criterion, Rubric, WritePattern, WritesCriterion
from mocktrial.mocktools.image import WorldImage
from mocktrial.mocktools.spec import Column
from mocktrial.mocktools.values import same
from mocktrial.mocktools.world import World


def weaker(rubric: Rubric, image: WorldImage) -> Iterator[tuple[str, Rubric]]:
    """Those of the `weakened` that let some end pass which the rubric does not, in worlds of this image."""
    with World.open(image, seed=1) as world:
        for name, weak in weakened(rubric):
            opened = [(old, new) for old, new in zip(_patterns(rubric), _patterns(weak), strict=True) if old != new]
            if not all(_tells_nothing(world, old, new) for old, new in opened):
                yield name, weak


def _tells_nothing(world: World, old: WritePattern, new: WritePattern) -> bool:
    """Whether the same updates of rows that were there at the start fit both patterns."""
    if old.op != "update":
        return False
    table = next(table for table in world.image.tables if table.name == old.table)
    rows = world.query(f'SELECT * FROM "{table.name}"')
    names = [column.name for column in table.columns]
    before = [dict(zip(names, row, strict=True)) for row in rows]
    if new.key != old.key:  # a net change to a value is one from another value
        fit = [row for row in before if _has(row, new.key) and not any(same(row[c], v) for c, v in new.new.items())]
        return bool(new.new) and all(_has(row, old.key) for row in fit)
    (column,) = (column for column in table.columns if column.name in old.new and column.name not in new.new)
    alone = set(old.new) | set(old.columns or ()) == {column.name}
    return alone and _values(column) == 2  # one is that before


def _has(row: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(same(row[name], value) for name, value in values.items())


def _values(column: Column) -> int | None:
    """How many values the column may have, where they are few."""
    kinds = 2 if column.type == "boolean" else len(column.choices)
    return kinds + column.null if kinds else None


def weakened(rubric: Rubric) -> Iterator[tuple[str, Rubric]]:
    """For each written value that the rubric fixes, by name: the rubric with that value left open everywhere."""
    seen: list[tuple[Any, ...]] = []
    for pattern in _patterns(rubric):
        for column, value in _fixed(pattern).items():
            cell = (pattern.table, pattern.op, pattern.key, column, value)
            if cell not in seen:
                seen.append(cell)
                yield f"{pattern.table}.{column}", _changed(rubric, lambda other, cell=cell: _opened(other, cell))  # type: ignore[misc]


def _patterns(rubric: Rubric) -> Iterator[WritePattern]:
    for criterion in rubric.criteria():
        if isinstance(criterion, WritesCriterion):
            yield from (*criterion.required, *(criterion.allowed or ()))


def _fixed(pattern: WritePattern) -> dict[str, Any]:
    return {**pattern.key, **pattern.new}


def _opened(pattern: WritePattern, cell: tuple[Any, ...]) -> WritePattern:
    *place, column, value = cell
    if [pattern.table, pattern.op, pattern.key] != place or _fixed(pattern).get(column) != value:
        return pattern
    key, new = ({name: one for name, one in part.items() if name != column} for part in (pattern.key, pattern.new))
    return pattern.model_copy(update={"key": key, "new": new})


def _changed(rubric: Rubric, change: Callable[[WritePattern], WritePattern]) -> Rubric:
    def part(criterion: Criterion) -> Criterion:
        if not isinstance(criterion, WritesCriterion):
            return criterion
        allowed = criterion.allowed and tuple(map(change, criterion.allowed))
        return criterion.model_copy(update={"required": tuple(map(change, criterion.required)), "allowed": allowed})

    return Rubric(
        subgoals=tuple(map(part, rubric.subgoals)),
        interactions=rubric.interactions,
        forbidden=tuple(map(part, rubric.forbidden)),
    )
