"""The command line: parses, calls the folder that does the work, prints. No work is done here.

Exit codes: 0 ok, 1 a gate failed, 2 wrong usage, 130 interrupted. Every `MocktrialError` becomes one line
that says what and where, and the next command; a traceback is a bug. What a verb needs is imported inside
it, so that `mocktrial --help` loads neither torch nor the ledger.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mocktrial.envs.console import progress
from mocktrial.mocktools.errors import MocktrialError, UsageError

if TYPE_CHECKING:
    from mocktrial.synth.production.produce import Job
    from mocktrial.synth.production.units import Style

app = typer.Typer(
    name="mocktrial",
    help="Mock worlds that turn small models into agents. Start with: mocktrial demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
train_app = typer.Typer(no_args_is_help=True, help="Train a local model on graded trajectories.")
serve_app = typer.Typer(no_args_is_help=True, help="Serve tools over HTTP.")
app.add_typer(train_app, name="train")
app.add_typer(serve_app, name="serve")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
console = Console()


@app.command(epilog="Example: mocktrial demo --out runs/second")
def demo(
    quick: Annotated[bool, typer.Option(help="All of it in about a minute, too small to learn much.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for dataset, runs and checkpoints.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> None:
    """The whole loop, offline: generate, prove, run, train, run again, report."""
    from mocktrial.agents.local.weights import require_torch

    require_torch()
    from mocktrial.training.demo import run_demo

    raise typer.Exit(0 if run_demo(out, quick=quick, seed=seed) else 1)


@app.command(epilog="Example: mocktrial synth clinics --tasks 300 --seed 1 --workers 2")
def synth(
    name: Annotated[str | None, typer.Argument(help="Name of the dataset: written to OUT/NAME.")] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks to ship.")] = 200,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of datasets; without NAME the dataset's own.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the bytes do not depend on it.")] = 1,
    domains: Annotated[str, typer.Option(help="Only these, separated by commas; see --list-domains.")] = "",
    list_domains: Annotated[bool, typer.Option("--list-domains", help="Print all domains by sector.")] = False,
    gap: Annotated[bool, typer.Option("--gap/--no-gap", help="Hide facts; --no-gap makes the control set.")] = True,
    plain: Annotated[bool, typer.Option("--plain", help="The goals' own words, no personas' voices.")] = False,
    personas: Annotated[Path | None, typer.Option(help="JSONL of personas that speak, in turn.")] = None,
    per_world: Annotated[int | None, typer.Option(min=1, help="Tasks of a world at most; else by --tasks.")] = None,
    max_calls: Annotated[int | None, typer.Option(min=1, help="Easier tasks: so many gold calls at most.")] = None,
    distractors: Annotated[int, typer.Option(min=0, help="So many tools of other worlds in each.")] = 0,
    scramble: Annotated[bool, typer.Option("--scramble", help="Opaque names for tools and arguments.")] = False,
    reword: Annotated[bool, typer.Option("--reword", help="Tools described in other words.")] = False,
    teacher: Annotated[str, typer.Option(help="Who invents worlds: procedural or openai:MODEL.")] = "procedural",
    rewrite: Annotated[str, typer.Option(help="openai:MODEL rewords the instructions.")] = "",
    base_url: Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Budget of teacher and of rewriter, each.")] = None,
    teacher_retries: Annotated[int, typer.Option(min=0, help="Times an answer is sent back.")] = 3,
    teacher_concurrency: Annotated[int, typer.Option(min=1, help="Requests to a model at a time.")] = 8,
    ray: Annotated[str, typer.Option(help="Make units on this Ray cluster; 'local' starts one.")] = "",
    preview: Annotated[int, typer.Option(min=0, help="Print so many tasks of each family; nothing is written.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Generate a dataset of proved tasks. Stopped or killed, the same command goes on."""
    from mocktrial.envs.dataset import dataset_folder
    from mocktrial.synth.production.models import Chosen, open_models
    from mocktrial.synth.production.preview import preview_tasks
    from mocktrial.synth.production.produce import Job, world_share
    from mocktrial.synth.sources import domains_of, sectors

    if list_domains:
        _print({sector: names if as_json else ", ".join(names) for sector, names in sectors().items()}, as_json)
        return
    named = domains_of([part.strip() for part in domains.split(",") if part.strip()])
    chosen = Chosen(teacher, named, rewrite, base_url, max_tokens, teacher_retries, teacher_concurrency)
    folder = dataset_folder(out or Path("datasets"), name) if name else out
    style = _style(plain, personas, seed, distractors=distractors, scramble=scramble, reword=reword)
    if not preview and folder is None:
        raise UsageError("no name for the dataset", hint="mocktrial synth NAME, or --out FOLDER")
    with open_models(chosen, seed, folder) as models:
        job = Job(models.source, seed, per_world or world_share(tasks), gap, max_calls, style, models.reworder)
        if preview:
            for text in preview_tasks(job, preview):
                typer.echo(text)
        elif folder:
            if chosen.model and (workers > 1 or ray):
                typer.echo("mocktrial: with a model, units are made in one process", err=True)
                workers, ray = 1, ""
            _produce(
                job, tasks, folder, as_json, domains=named, workers=workers, ray=ray, paid=models.paid
            )  # fmt: skip


def _style(plain: bool, personas: Path | None, seed: int, **knobs: Any) -> Style:
    from mocktrial.synth.production.units import Style
    from mocktrial.synth.sources import MAX_PERSONAS, listed_personas

    if plain and personas:
        raise UsageError("--plain has no personas", hint="leave out --plain or --personas")
    listed = listed_personas(personas, seed) if personas else ()
    if len(listed) == MAX_PERSONAS:
        typer.echo(f"mocktrial: {personas}: the first {MAX_PERSONAS} personas are used, no more", err=True)
    return Style(voices=not plain, personas=listed, **knobs)


def _produce(job: Job, tasks: int, folder: Path, as_json: bool, **options: Any) -> None:
    from mocktrial.envs.dataset import digest
    from mocktrial.synth.production.produce import produce

    start = time.monotonic()
    try:
        with progress("generating and proving", tasks) as advance:
            made = produce(job, tasks, folder, progress=lambda taken: advance(taken, ""), **options)
    except KeyboardInterrupt:
        typer.echo("mocktrial: stopped; what is made is kept, the same command goes on with it", err=True)
        raise typer.Exit(130) from None
    figures = made.figures(time.monotonic() - start)
    _print({"dataset": str(folder), "digest": digest(folder), **figures}, as_json)
    if figures["tasks"] < tasks:
        typer.echo(f"mocktrial: {figures['tasks']} of {tasks} tasks: the budget of tokens is spent", err=True)


@app.command(epilog="Example: mocktrial validate datasets/clinics --workers 2")
def validate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Prove a dataset again, every task and every world, and audit it: leaks, duplicates, splits."""
    from mocktrial.envs.streaming import open_folder
    from mocktrial.synth.audit.validate import validate as audit

    opened = open_folder(dataset)
    start = time.monotonic()
    with progress("proving", opened.tasks) as advance:
        found = audit(opened, workers=workers, progress=lambda done: advance(done, ""))
    _print(found.figures(time.monotonic() - start) | {"findings": list(found.findings)}, as_json)
    raise typer.Exit(1 if found.findings else 0)


@app.command(epilog="Example: mocktrial run datasets/clinics --agent local --split test")
def run(
    source: Annotated[str, typer.Argument(help="Folder of a dataset, or autoslurp:FILE.csv")],
    agent: Annotated[str, typer.Option(help="expert, null, guesser, ..., local[:PATH], openai:MODEL, react:...")],
    name: Annotated[str | None, typer.Option(help="Name of the run; an existing one is gone on with.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train or test.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many tasks.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Episodes of each task.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="Episodes at a time.")] = 16,
    without: Annotated[list[str] | None, typer.Option(help="Auto-SLURP leniency to switch off.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Of a model's sampling; 0 is greedy.")] = 0.0,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Run an agent on a dataset or on Auto-SLURP; resumable."""
    from mocktrial.agents.play import run_agent
    from mocktrial.agents.registry import make_agent
    from mocktrial.envs.report import report_runs, write_html
    from mocktrial.mocktools.spec import check_file_name
    from mocktrial.synth.sources import open_source, run_name

    chosen = open_source(source, split=split, limit=limit, without=tuple(without or ()))
    player = make_agent(agent, base_url=base_url, temperature=temperature)
    folder = out / check_file_name(name or run_name(chosen, player.name))
    config = {
        "tasks": chosen.content_hash(),
        "agent": player.name,
        "trials": trials,
        "temperature": temperature,
        "base_url": base_url or "",
    }
    with progress(f"{player.name} on {source}", len(chosen.tasks) * trials) as advance:
        ended = asyncio.run(
            run_agent(
                player,
                chosen.tasks,
                chosen.images,
                folder,
                config=config,
                trials=trials,
                concurrency=concurrency,
                on_progress=lambda state: advance(state.done, f"{state.succeeded} succeeded"),
            )
        )
    built = report_runs([folder], title=folder.name)
    write_html(built, folder / "report.html")
    agent_row = built.agents[0]
    result = {
        "episodes": agent_row.episodes,
        "success": agent_row.success.value if agent_row.success else None,
        "no_result": agent_row.no_result,
        "rows_unmapped": chosen.rows_unmapped,
        "run": str(folder),
        "report": str(folder / "report.html"),
    }
    _print(result, as_json)
    if ended.stopped:
        typer.echo(f"mocktrial: the run stopped: {ended.stopped}; mend that, then run the same command", err=True)
        raise typer.Exit(1)


@app.command(epilog="Example: mocktrial report runs/a runs/b --html compare.html")
def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders of runs.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Instead: how varied this dataset is.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="A dataset to set beside it.")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one offline HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Success with intervals, asking, comparisons; or a dataset's diversity. A table and one offline HTML file."""
    if bool(runs) == bool(dataset) or (baseline and not dataset):
        raise UsageError("name folders of runs, or one dataset", hint="mocktrial report --dataset DIR [--baseline DIR]")
    if dataset:
        _report_dataset([dataset, *([baseline] if baseline else [])], html, as_json)
        return
    from mocktrial.envs.report import print_report, report_runs, write_html

    built = report_runs(runs or [])
    if as_json:
        typer.echo(built.model_dump_json())
    else:
        print_report(built, console)
    if html:
        write_html(built, html)
        typer.echo(f"wrote {html}", err=True)


def _report_dataset(folders: list[Path], html: Path | None, as_json: bool) -> None:
    from mocktrial.envs.report import print_dataset, write_dataset_html
    from mocktrial.envs.streaming import open_folder
    from mocktrial.synth.audit.diversity import report_datasets

    built = report_datasets([open_folder(folder) for folder in folders])
    if as_json:
        typer.echo(json.dumps(built.table()))
    else:
        print_dataset(built, console)
    if html:
        write_dataset_html(built, html)
        typer.echo(f"wrote {html}", err=True)


def _train(objective: Any, config: Path, resume: bool, as_json: bool) -> None:
    from mocktrial.agents.local.weights import require_torch

    require_torch()
    from mocktrial.training.config import load_config
    from mocktrial.training.run import train

    settings = load_config(config, objective)
    with progress(f"training {settings.name}", 100) as advance:
        result = train(
            settings, resume=resume,
            progress=lambda step, total, loss: advance(step * 100 // total, f"loss {loss:.3f}"),
        )  # fmt: skip
    _print({"checkpoint": str(result.folder), "steps": len(result.losses), "loss": result.losses[-1]}, as_json)


Config = Annotated[Path, typer.Argument(help="TOML file; docs/training.md lists the keys.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")]


@train_app.command(epilog="Example: mocktrial train sft sft.toml")
def sft(config: Config, resume: Resume = False, as_json: AsJson = False) -> None:
    """Supervised fine-tuning on trajectories; assistant tokens only."""
    _train("sft", config, resume, as_json)


@train_app.command(epilog="Example: mocktrial train kto kto.toml")
def kto(config: Config, resume: Resume = False, as_json: AsJson = False) -> None:
    """Sample-weighted KTO on labelled trajectories."""
    _train("kto", config, resume, as_json)


@train_app.command(epilog="Example: mocktrial train rl rl.toml")
def rl(config: Config, resume: Resume = False, as_json: AsJson = False) -> None:
    """GRPO on groups of graded trajectories."""
    _train("rl", config, resume, as_json)


@serve_app.command(epilog="Example: mocktrial serve autoslurp --port 8080")
def autoslurp(
    port: Annotated[int | None, typer.Option(help="All paths on this port instead of the original ports.")] = None,
    host: Annotated[str, typer.Option(help="Elsewhere than on loopback a token is needed.")] = "127.0.0.1",
    token: Annotated[str | None, typer.Option(envvar="MOCKTRIAL_TOKEN", help="Asked of every request.")] = None,
    control_token: Annotated[
        str | None, typer.Option(envvar="MOCKTRIAL_CONTROL_TOKEN", help="Opens /control: reset and state.")
    ] = None,
) -> None:
    """The 18 Auto-SLURP services and the 5 external ones, with state, from one process."""
    from mocktrial.mocktools.autoslurp.server import serve

    serve(host=host, port=port, token=token, control_token=control_token)


@serve_app.command(epilog="Example: mocktrial serve world clinic.json --control-token SECRET")
def world(
    file: Annotated[Path, typer.Argument(help="A world: WorldSpec as JSON; docs/worlds.md has the form.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
    host: Annotated[str, typer.Option(help="Elsewhere than on loopback a token is needed.")] = "127.0.0.1",
    token: Annotated[str | None, typer.Option(envvar="MOCKTRIAL_TOKEN", help="Asked of every agent.")] = None,
    control_token: Annotated[
        str | None, typer.Option(envvar="MOCKTRIAL_CONTROL_TOKEN", help="Opens /episodes; without one nothing starts.")
    ] = None,
) -> None:
    """Any world's tools, an episode at a time, for agents in other processes."""
    from mocktrial.mocktools.files import read_world
    from mocktrial.mocktools.http import serve
    from mocktrial.mocktools.image import compile_world

    serve(compile_world(read_world(file)), host=host, port=port, token=token, control_token=control_token)


@app.command(epilog="Example: mocktrial doctor --base-url http://127.0.0.1:8000/v1")
def doctor(
    base_url: Annotated[str | None, typer.Option(help="An endpoint to try.")] = None, as_json: AsJson = False
) -> None:
    """What is installed, reachable, and what is missing for what."""
    from mocktrial.envs.doctor import examine

    findings = examine(base_url)
    if as_json:
        typer.echo(json.dumps([finding.model_dump() for finding in findings]))
        return
    table = Table("", "found", "for", "to get it", box=None)
    for finding in findings:
        table.add_row(finding.name, finding.found or "[red]missing[/]", finding.use, finding.fix)
    console.print(table)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    for key, value in result.items():
        if isinstance(value, list):
            value = "none" if not value else "\n  " + "\n  ".join(str(item) for item in value)
        console.print(f"[bold]{key}[/]: {value}", highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point: turns every foreseen error into one line and an exit code."""
    try:
        app()
    except MocktrialError as error:
        line = f"mocktrial: {error}" + (f"; {error.hint}" if error.hint else "")
        print(line, file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
