"""Metrics of a training run as polylines: one drawing a metric, in the coordinates of its SVG."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 520, 150  # of a drawing, in SVG units
_MOST = 400  # points of a line; more are thinned
_NOT_DRAWN = ("step",)


@dataclass(frozen=True)
class Drawing:
    metric: str
    points: str  # "x,y x,y ..."
    low: float
    high: float
    last: float
    steps: int


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Whole lines of the journal; one that is being written is passed over."""
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append({key: float(value) for key, value in row.items() if isinstance(value, int | float)})
    return rows


def drawings(rows: list[dict[str, float]]) -> list[Drawing]:
    """A drawing of every metric that any row has, by name."""
    names = sorted({name for row in rows for name in row if name not in _NOT_DRAWN})
    return [drawing for name in names if (drawing := _drawing(name, rows))]


def _drawing(name: str, rows: list[dict[str, float]]) -> Drawing | None:
    points = [
        (row.get("step", float(at)), row[name]) for at, row in enumerate(rows) if math.isfinite(row.get(name, math.nan))
    ]
    if not points:
        return None
    kept = points[:: max(1, len(points) // _MOST)]
    kept += [points[-1]] * (kept[-1] is not points[-1])
    low, high = min(value for _, value in points), max(value for _, value in points)
    first, last = points[0][0], points[-1][0]
    across, up = (last - first) or 1.0, (high - low) or 1.0
    placed = (f"{WIDTH * (x - first) / across:.1f},{HEIGHT - HEIGHT * (y - low) / up:.1f}" for x, y in kept)
    return Drawing(name, " ".join(placed), low, high, points[-1][1], int(last))
