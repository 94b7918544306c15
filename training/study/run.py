"""All jobs of a study that are not done: each once, marked when it is done, so that a killed study goes on.

A mark is a small file beside what a job left, with the job's settings and its cost. A job whose settings have changed
since is refused: its result would be taken for one of the new ones.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.fingerprint import differences, shown
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import broken, read_text
from mocktrial.mocktools.spec import Frozen
from mocktrial.training.study.config import Study
from mocktrial.training.study.plan import Job, jobs_of
from mocktrial.training.study.work import Place, Spent


class Mark(Frozen):
    """A job that is done. machine: what it was done on."""

    settings: dict[str, Any]
    machine: str
    spent: Spent


def run_study(study: Study, folder: Path, *, after: Callable[[Job], None] = lambda job: None) -> None:
    """Do what is left of `study` in `folder`. after: is told of each job that was done now."""
    place = Place(study, folder)
    for job in jobs_of(study):
        if read_mark(folder, job) is None:
            spent = place.do(job)
            with whole_file(folder / job.mark) as file:
                mark = Mark(settings=job.settings, machine=machine(), spent=spent)
                file.write(mark.model_dump_json(indent=1).encode() + b"\n")
            after(job)


def read_mark(folder: Path, job: Job) -> Mark | None:
    """What a job left when it was done; None before. UsageError where it was done with other settings."""
    path = folder / job.mark
    if not path.exists():
        return None
    try:
        mark = Mark.model_validate_json(read_text(path))
    except ValidationError as error:
        raise broken(str(path), error) from error
    changed = differences(mark.settings, job.settings)
    if changed:
        raise UsageError(
            f"{job.title} was done with other settings ({shown(changed)})",
            hint="change them back, or give the study another name",
        )
    return mark


def machine() -> str:
    """The class of machine, in a few words: the processor's, its logical cores that torch may use, or the GPU."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {torch.get_num_threads()} thread(s)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
