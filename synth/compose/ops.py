"""Tools of a composed world as the goals see them: what each does, to what, and how its arguments are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mocktrial.mocktools.spec import ToolSpec


@dataclass(frozen=True)
class Op:
    """One tool. `kind` and `about` (a thing's, record's or toolkit's name in the kit) say what it is for.

    detail: the field, link, filter or verb that it is about; empty where it serves all.
    args: name of the parameter by its part in the operation ("id", "value", a link, a field).
    gives: names of result columns by the same ("id", "name", a link, a field, "status").
    """

    kind: str
    about: str
    spec: ToolSpec
    detail: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    gives: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name


class Ops:
    """All tools of a world, found by what they do."""

    def __init__(self, ops: Iterable[Op]) -> None:
        self._ops = tuple(ops)

    def __iter__(self) -> Iterator[Op]:
        return iter(self._ops)

    def get(self, kind: str, about: str, detail: str | None = None) -> Op | None:
        """The first tool of that kind; with `detail`, the one that is about it or about all."""
        for op in self._ops:
            if op.kind == kind and op.about == about and (detail is None or op.detail in (detail, "")):
                return op
        return None
