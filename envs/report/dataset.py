"""A page on a dataset's diversity, perhaps beside a baseline's: plain figures and shares in, table and HTML out.

What is measured, and how, is the business of who fills `DatasetReport` (`synth.diversity`).
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.report.page import csp_hash, encoded, page_environment, page_file
from mocktrial.mocktools.spec import Frozen


class Measure(Frozen):
    """One figure of each dataset; None where it could not be taken."""

    name: str
    note: str  # how it is taken
    values: tuple[float | None, ...]


class Bars(Frozen):
    """Shares of each dataset by name: `shares[i]` are those of dataset i."""

    title: str
    names: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]


class DatasetReport(Frozen):
    labels: tuple[str, ...]  # of the datasets, the baseline last
    measures: tuple[Measure, ...]
    bars: tuple[Bars, ...]
    patterns: tuple[tuple[tuple[str, int], ...], ...]  # most frequent sentence patterns of each dataset
    twins: tuple[tuple[str, str], ...] = ()  # some tasks of the first with those of the baseline that they repeat

    def table(self) -> list[dict[str, object]]:
        """One row a dataset: what `--json` prints."""
        return [
            {
                "dataset": label,
                **{measure.name: measure.values[place] for measure in self.measures},
                **{bars.title: dict(zip(bars.names, bars.shares[place], strict=True)) for bars in self.bars},
                "patterns": dict(self.patterns[place]),
            }
            for place, label in enumerate(self.labels)
        ]


def print_dataset(report: DatasetReport, console: Console) -> None:
    """Figures, shares and the commonest patterns on the terminal."""
    table = Table("", box=None)
    for label in report.labels:
        table.add_column(Text(label), justify="right")
    for measure in report.measures:
        table.add_row(measure.name.replace("_", " "), *(number(value) for value in measure.values))
    for bars in report.bars:
        table.add_section()
        for place, name in enumerate(bars.names):
            table.add_row(Text(f"{bars.title}: {name}"), *(f"{100 * shares[place]:.1f}%" for shares in bars.shares))
    console.print(table)
    for label, patterns in zip(report.labels, report.patterns, strict=True):
        console.print(Text(f"commonest patterns of {label}", style="dim"))
        for pattern, count in patterns[:5]:
            console.print(Text(f"  {count:>6}  {pattern}"))
    for one, other in report.twins:
        console.print(Text(f"{report.labels[0]} {one} is a twin of {report.labels[1]} {other}"))


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3f}"


def write_dataset_html(report: DatasetReport, path: Path) -> None:
    """One offline file. Raises `UsageError` when the disk refuses."""
    environment = page_environment()
    environment.filters.update(number=number)
    style = page_file("report.css")
    html = environment.get_template("dataset.html.j2").render(
        report=report, style=Markup(style), style_hash=csp_hash(style)
    )
    with whole_file(path) as file:
        file.write(encoded(html))
