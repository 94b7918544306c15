"""All jobs of a study that are not done: each once, marked when it is done, so that a killed study goes on.

A mark is a small file beside what a job left, with the job's settings and its cost. A job whose settings have changed
since is refused: its result would be taken for one of the new ones.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from mocktrial.envs.atomic import whole_file
from mocktrial.envs.fingerprint import differences, shown
from mocktrial.envs.processes import Processes
from mocktrial.mocktools.errors import NoResult, UsageError
from mocktrial.mocktools.files import broken, read_text
from mocktrial.mocktools.spec import Frozen
from mocktrial.training.study.config import Study
from mocktrial.training.study.plan import Job, jobs_of, needs, settled
from mocktrial.training.study.work import Place, Spent


class Mark(Frozen):
    """A job that is done. machine: what it was done on."""

    settings: dict[str, Any]
    machine: str
    spent: Spent


def run_study(
    study: Study, folder: Path, *, workers: int = 1, after: Callable[[Job, Spent], None] = lambda job, spent: None
) -> None:
    """Do what is left of `study` in `folder`. workers: jobs at a time, each in a process of its own where there are
    several. after: is told of each job that was done now. Raises what `Place.do` raises, and `NoResult` where a
    process was killed.
    """
    left = [job for job in jobs_of(study) if read_mark(folder, job) is None]
    if workers > 1:
        _side_by_side(study, folder, left, workers, after)
        return
    for job in left:
        after(job, _done(study, folder, job))


def _done(study: Study, folder: Path, job: Job) -> Spent:
    spent = Place(study, folder).do(job)
    with whole_file(folder / job.mark) as file:
        mark = Mark(settings=job.settings, machine=machine(), spent=spent)
        file.write(mark.model_dump_json(indent=1).encode() + b"\n")
    return spent


def _side_by_side(
    study: Study, folder: Path, left: list[Job], workers: int, after: Callable[[Job, Spent], None]
) -> None:
    """Each job as soon as those that it needs are done; of those that share a folder, one at a time."""
    others = active_children()
    pool = Processes(workers, get_context("spawn"), _share, max(1, torch.get_num_threads() // workers))
    running: dict[Future[Spent], Job] = {}
    try:
        while left or running:
            for job in list(left):
                undone = {other.mark for other in (*left, *running.values())}
                taken = {other.folder for other in running.values()}
                if len(running) < workers and job.folder not in taken and not undone & needs(study, job):
                    left.remove(job)
                    running[pool.submit(_done, study, folder, job)] = job
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in sorted(ended, key=lambda one: running[one].mark):
                spent = future.result()
                after(running.pop(future), spent)
    except BrokenProcessPool as error:
        killed = "a process of the study was killed"
        raise NoResult(killed, blame="memory or the system", hint="run it again; fewer --workers") from error
    finally:
        for process in active_children():
            if process not in others:
                process.terminate()  # a killed job is gone on with
        pool.shutdown(cancel_futures=True)


def _share(threads: int) -> None:
    """In a process: its share of the processors, and plain lines, since several tables cannot share a terminal."""
    os.environ["TTY_COMPATIBLE"] = "0"
    torch.set_num_threads(threads)


def read_mark(folder: Path, job: Job) -> Mark | None:
    """What a job left when it was done; None before. UsageError where it was done with other settings."""
    path = folder / job.mark
    if not path.exists():
        return None
    try:
        mark = Mark.model_validate_json(read_text(path))
    except ValidationError as error:
        raise broken(str(path), error) from error
    changed = differences(settled(job.kind, mark.settings), job.settings)
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
