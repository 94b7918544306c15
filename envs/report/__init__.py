"""Reports on runs: figures with intervals (`build`), a terminal table (`table`), one HTML file (`page`).

`dataset` does the same for a dataset's diversity."""

from __future__ import annotations

from mocktrial.envs.report.build import build_report
from mocktrial.envs.report.compare import RunComparison, compare_runs
from mocktrial.envs.report.compared import print_comparison
from mocktrial.envs.report.dataset import Bars, DatasetReport, Measure, print_dataset, write_dataset_html
from mocktrial.envs.report.model import AgentSummary, Comparison, Group, Page, Report
from mocktrial.envs.report.page import write_html
from mocktrial.envs.report.runs import read_run, report_runs
from mocktrial.envs.report.table import percent, print_groups, print_report

__all__ = [
    "AgentSummary",
    "Bars",
    "Comparison",
    "DatasetReport",
    "Group",
    "Measure",
    "Page",
    "Report",
    "RunComparison",
    "build_report",
    "compare_runs",
    "percent",
    "print_comparison",
    "print_dataset",
    "print_groups",
    "print_report",
    "read_run",
    "report_runs",
    "write_dataset_html",
    "write_html",
]
