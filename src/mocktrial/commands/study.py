"""`study`: ways of training compared on held-out worlds, over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mocktrial.commands.shared import AsJson, console, print_result, verbs

app = verbs()


@app.command(epilog="Example: mocktrial study training/recipes/underspecified.toml --dry-run")
def study(
    config: Annotated[Path, typer.Argument(help="TOML file; docs/studies.md has its form.")],
    out: Annotated[Path, typer.Option(help="Folder of studies.")] = Path("studies"),
    workers: Annotated[int, typer.Option(min=1, help="Jobs at a time, each in a process of its own.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Episodes and steps it would take; nothing is done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare ways of training on held-out worlds. Stopped or killed, the same command goes on."""
    from mocktrial.agents.local.weights import require_torch

    require_torch()
    from mocktrial.envs.report import write_html
    from mocktrial.training.study import show
    from mocktrial.training.study.config import load_study
    from mocktrial.training.study.plan import Job
    from mocktrial.training.study.result import report_of, result_of
    from mocktrial.training.study.run import run_study
    from mocktrial.training.study.work import Spent

    found = load_study(config)
    folder = out / found.name
    if dry_run:
        if as_json:
            print_result(show.plan_of(found), as_json)
        else:
            show.print_plan(found, console)
        return

    def tell(job: Job, spent: Spent) -> None:
        if workers > 1:  # another process may be at the run that a table would be of
            typer.echo(f"{job.title}: done in {spent.cpu_seconds / 60:.1f} CPU-minutes", err=True)
        elif job.kind == "held out" and not as_json:
            show.print_arms(result_of(found, folder), console)

    try:
        run_study(found, folder, workers=workers, after=tell)
    except KeyboardInterrupt:
        typer.echo("mocktrial: stopped; what is done is kept, the same command goes on with it", err=True)
        raise typer.Exit(130) from None
    result, report = result_of(found, folder), report_of(found, folder, tuple(found.arms))
    if report:
        write_html(report, folder / "report.html")
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        show.print_result(result, console)
        print_result({"study": str(folder), "report": str(folder / "report.html")}, as_json)
