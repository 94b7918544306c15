"""Which episodes of a run a page shows: filtered, in order, so many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from mocktrial.envs.report.build import verdict
from mocktrial.envs.report.figures import Records
from mocktrial.envs.report.model import Verdict
from mocktrial.envs.tables import EpisodeRecord

PER_PAGE = 100
Order = Literal["played", "reward", "turns", "tokens"]


class Paged(NamedTuple):
    """Which of many things a page shows. page: from 1, one that there is."""

    page: int
    pages: int
    shown: slice


def paged(count: int, page: int) -> Paged:
    pages = max(1, -(-count // PER_PAGE))
    page = min(max(page, 1), pages)
    return Paged(page, pages, slice((page - 1) * PER_PAGE, page * PER_PAGE))


@dataclass(frozen=True)
class Filter:
    """What was asked for; empty: everything."""

    agent: str = ""
    verdict: str = ""
    text: str = ""  # part of the task's id, domain, family or the reason
    order: Order = "played"
    page: int = 1

    def query(self, **changes: str | int) -> str:
        """As a URL says it, changed in part; what is at its default is left out."""
        asked = {**vars(self), **changes}
        return urlencode({key: value for key, value in asked.items() if value != getattr(Filter(), key, "")})


@dataclass(frozen=True)
class Listing:
    shown: tuple[tuple[EpisodeRecord, Verdict], ...]
    count: int  # of all that the filter lets through
    at: Paged
    before: int | None  # episode of the filter's order, around one that is looked at
    after: int | None


def listing(rows: Records, asked: Filter, around: int | None = None) -> Listing:
    """One page of the rows that `asked` lets through, and the neighbours of the episode `around`."""
    kept = [row for row in rows if _fits(row, asked)]
    if asked.order != "played":
        kept.sort(key=lambda row: (getattr(row, asked.order) or 0, row.id))
    at = paged(len(kept), asked.page)
    before, after = _neighbours([row.id for row in kept], around)
    shown = tuple((row, verdict(row)) for row in kept[at.shown])
    return Listing(shown, len(kept), at, before, after)


def _fits(row: EpisodeRecord, asked: Filter) -> bool:
    if asked.agent and row.agent != asked.agent:
        return False
    if asked.verdict and verdict(row) != asked.verdict:
        return False
    text = asked.text.casefold()
    return not text or any(text in part.casefold() for part in (row.task_id, row.domain, row.family, row.reason))


def _neighbours(ids: list[int], around: int | None) -> tuple[int | None, int | None]:
    if around is None or around not in ids:
        return None, None
    at = ids.index(around)
    return (ids[at - 1] if at else None), (ids[at + 1] if at + 1 < len(ids) else None)


@dataclass(frozen=True)
class Pairing:
    """One task in two runs: the share of its scored trials that succeeded, and an episode of each to look at."""

    task_id: str
    first: float | None
    second: float | None
    episodes: tuple[int | None, int | None]


def side_by_side(first: Records, second: Records) -> list[Pairing]:
    """Tasks of either run, those that came out unlike first."""
    sides = [_by_task(first), _by_task(second)]
    pairings = []
    for task in sorted({*sides[0], *sides[1]}):
        own = [side.get(task, []) for side in sides]
        rates = [_rate(rows) for rows in own]
        ids = [rows[0].id if rows else None for rows in own]
        name = next(row.task_id for rows in own for row in rows)
        pairings.append(Pairing(name, rates[0], rates[1], (ids[0], ids[1])))
    return sorted(pairings, key=lambda one: (-abs((one.first or 0.0) - (one.second or 0.0)), one.task_id))


def _by_task(rows: Iterable[EpisodeRecord]) -> dict[str, Records]:
    tasks: dict[str, Records] = {}
    for row in rows:
        tasks.setdefault(row.task_hash, []).append(row)
    return tasks


def _rate(rows: Records) -> float | None:
    scored = [row for row in rows if row.outcome != "no_result"]
    return sum(bool(row.success) for row in scored) / len(scored) if scored else None
