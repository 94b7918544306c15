"""What came of a study so far: each arm's figures on held-out worlds, differences between arms, and what it cost.

An arm's held-out episodes of all seeds stand in one run, so figures, intervals and pairs are those of `envs.report`.
A seed has tasks of its own: an interval over tasks takes in which tasks were drawn, and does not know that those of a
seed share its training. That is what the interval over seeds is for: Student's, of one number a seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mocktrial.envs.dataset import load_dataset
from mocktrial.envs.report import AgentSummary, Group, Report, compare_runs, read_run, report_runs
from mocktrial.envs.report.figures import ratios, scored_by_task, success
from mocktrial.envs.statistics import Estimate, paired_difference
from mocktrial.envs.statistics.estimates import estimate, mean_of
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen
from mocktrial.training.study.config import Study
from mocktrial.training.study.plan import Job, jobs_of
from mocktrial.training.study.run import Mark, read_mark
from mocktrial.training.study.work import Place, Spent

DIFFER = ("stages",)  # keys of the runs' configs that make arms what they are


class Arm(Frozen):
    """success_by_seed: mean over the seed's held-out tasks. known, new: success on those of domains that the arm's
    stages have played, and on the others; None where there is none."""

    name: str
    stages: tuple[str, ...]
    figures: AgentSummary
    success_by_seed: dict[int, float]
    known: Estimate | None = None
    new: Estimate | None = None


class Difference(Frozen):
    """Second - first, paired: each figure over tasks, and success over seeds (None where there are not two)."""

    first: str
    second: str
    over_tasks: dict[str, Estimate]
    success_over_seeds: Estimate | None


class Cost(Frozen):
    """Of all jobs of one kind and name."""

    kind: str
    name: str
    jobs: int
    spent: Spent


class StudyResult(Frozen):
    study: str
    arms: tuple[Arm, ...]  # that have played
    differences: tuple[Difference, ...]
    costs: tuple[Cost, ...]
    machines: tuple[str, ...]
    groups: tuple[Group, ...] = ()  # success by what the held-out tasks differ in


def result_of(study: Study, folder: Path) -> StudyResult:
    """The result of the jobs that are done; every arm whose held-out play is among them."""
    marks = [(job, mark) for job in jobs_of(study) if (mark := read_mark(folder, job))]
    held_out = [job for job, _ in marks if job.kind == "held out"]
    runs = {job.name: folder / job.folder for job in held_out}
    report = report_of(study, folder, list(runs))
    figures = {one.agent: one for one in report.agents} if report else {}
    arms = {name: _arm(Place(study, folder), name, figures[name], held_out) for name in runs}
    return StudyResult(
        study=study.name, arms=tuple(arms.values()),
        differences=tuple(
            _difference(arms[first], arms[second], runs[first], runs[second])
            for first, second in study.compare
            if first in arms and second in arms
        ),
        costs=tuple(_costs(marks)), machines=tuple(sorted({mark.machine for _, mark in marks})),
        groups=report.groups if report else (),
    )  # fmt: skip


def report_of(study: Study, folder: Path, arms: Sequence[str]) -> Report | None:
    """The held-out play of `arms` as `mocktrial report` has it; None where there is none."""
    if not arms:
        return None
    pairs = [pair for pair in study.compare if set(pair) <= set(arms)]
    return report_runs([folder / "held-out" / arm for arm in arms], title=f"Study {study.name}", compare=pairs)


def _arm(place: Place, name: str, figures: AgentSummary, held_out: Sequence[Job]) -> Arm:
    with read_run(place.folder / "held-out" / name) as ledger:
        by_task = ratios(scored_by_task(ledger.episodes()), success)
    seeds = [job.seed for job in held_out if job.name == name]
    own = {seed: _domains(place, seed) for seed in seeds}
    if by_task.keys() - set().union(*own.values()):
        raise UsageError(
            f"arm {name} has played tasks of a seed that the study does not name",
            hint="name that seed too, or give the study another name",
        )
    stages = place.study.arms[name]
    known = {task for seed in seeds for task in _of_known_domains(place, seed, stages, own[seed])}
    return Arm(
        name=name, stages=stages, figures=figures,
        success_by_seed={
            seed: mean_of([value for task, value in by_task.items() if task in own[seed]]) for seed in seeds
        },
        known=_estimate([value for task, value in by_task.items() if task in known]),
        new=_estimate([value for task, value in by_task.items() if task not in known]),
    )  # fmt: skip


def _domains(place: Place, seed: int) -> dict[str, str]:
    """The domain of each held-out task, by its content hash."""
    dataset = load_dataset(place.dataset(seed, place.study.held_out.dataset))
    return {task.content_hash(): task.domain for task in dataset.tasks}


def _of_known_domains(place: Place, seed: int, stages: Sequence[str], held_out: Mapping[str, str]) -> Iterator[str]:
    played = sorted({place.study.dataset_of(stage) for stage in stages} - {""})
    met = {task.domain for dataset in played for task in load_dataset(place.dataset(seed, dataset)).tasks}
    return (task for task, domain in held_out.items() if domain in met)


def _estimate(values: Sequence[float]) -> Estimate | None:
    return estimate(values) if values else None


def _difference(first: Arm, second: Arm, before: Path, after: Path) -> Difference:
    found = compare_runs(before, after, differ=DIFFER)
    sides = [{str(seed): value for seed, value in arm.success_by_seed.items()} for arm in (first, second)]
    seeds = sides[0].keys() & sides[1].keys()
    return Difference(
        first=first.name, second=second.name,
        over_tasks={"success": found.success.difference, **found.differences},
        success_over_seeds=paired_difference(*sides) if len(seeds) > 1 else None,
    )  # fmt: skip


def _costs(marks: Sequence[tuple[Job, Mark]]) -> list[Cost]:
    """In the order in which they were first done."""
    by_name: dict[tuple[str, str], list[Spent]] = {}
    for job, mark in marks:
        by_name.setdefault((job.kind, job.name), []).append(mark.spent)
    return [Cost(kind=kind, name=name, jobs=len(spent), spent=_sum(spent)) for (kind, name), spent in by_name.items()]


def _sum(spent: Sequence[Spent]) -> Spent:
    return Spent(
        cpu_seconds=round(sum(one.cpu_seconds for one in spent), 2), episodes=sum(one.episodes for one in spent),
        steps=sum(one.steps for one in spent), tokens=sum(one.tokens for one in spent),
    )  # fmt: skip
