"""`synth`, `validate` and `curriculum`: making datasets, proving them again, choosing from them by success."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mocktrial.commands.shared import AsJson, print_result, refuse_idle, verbs
from mocktrial.envs.console import progress
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from mocktrial.synth.production.produce import Job
    from mocktrial.synth.production.units import Style

app = verbs()

_MOST_OF_ONE_GOAL = 0.5  # of a dataset's tasks, before it is said


@app.command(epilog="Example: mocktrial synth clinics --tasks 300 --seed 1 --workers 2")
def synth(
    name: Annotated[str | None, typer.Argument(help="Name of the dataset: written to OUT/NAME.")] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Tasks to ship.")] = 200,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of datasets; without NAME the dataset's own.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the bytes do not depend on it.")] = 1,
    domains: Annotated[str | None, typer.Option(help="Only these, with commas: names or folders.")] = None,
    list_domains: Annotated[bool, typer.Option("--list-domains", help="Print all domains by sector.")] = False,
    gap: Annotated[bool, typer.Option("--gap/--no-gap", help="Hide facts; --no-gap makes the control set.")] = True,
    plain: Annotated[bool, typer.Option("--plain", help="The goals' own words, no personas' voices.")] = False,
    personas: Annotated[Path | None, typer.Option(help="JSONL of personas that speak, in turn.")] = None,
    per_world: Annotated[int | None, typer.Option(min=1, help="Tasks of a world at most; else by --tasks.")] = None,
    max_calls: Annotated[int | None, typer.Option(min=1, help="Easier tasks: so many gold calls at most.")] = None,
    max_tools: Annotated[int | None, typer.Option(min=1, help="Smaller worlds: so many own tools at most.")] = None,
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
    from mocktrial.synth.production.preview import preview_tasks, preview_text
    from mocktrial.synth.production.produce import Job, world_share
    from mocktrial.synth.sources import domains_of, recorded, sectors

    if list_domains:
        print_result({sector: names if as_json else ", ".join(names) for sector, names in sectors().items()}, as_json)
        return
    listed = [part.strip() for part in (domains or "").split(",") if part.strip()]
    if domains is not None and not listed:
        raise UsageError(f"--domains {domains!r} names none", hint="mocktrial synth --list-domains shows all")
    named = domains_of(listed)
    chosen = Chosen(teacher, named, rewrite, base_url, max_tokens, teacher_retries, teacher_concurrency)
    refuse_idle("--base-url", base_url, chosen.model, "--teacher and --rewrite openai:MODEL")
    refuse_idle("--max-tokens", max_tokens, chosen.model, "--teacher and --rewrite openai:MODEL")
    folder = dataset_folder(out or Path("datasets"), name) if name else out
    style = _style(
        plain, personas, seed, max_tools=max_tools or 0, distractors=distractors, scramble=scramble, reword=reword
    )
    if not preview and folder is None:
        raise UsageError("no name for the dataset", hint="mocktrial synth NAME, or --out FOLDER")
    with open_models(chosen, seed, folder) as models:
        job = Job(models.source, seed, per_world or world_share(tasks), gap, max_calls, style, models.reworder)
        if preview:
            shown = preview_tasks(job, preview)
            if as_json:
                rows = {family: [task.model_dump(mode="json") for task in own] for family, own in shown.items()}
                print_result(rows, as_json)
            else:
                typer.echo("\n".join(preview_text(shown)))
        elif folder:
            if chosen.model and (workers > 1 or ray):
                typer.echo("mocktrial: with a model, units are made in one process", err=True)
                workers, ray = 1, ""
            _produce(
                job, tasks, folder, as_json, domains=recorded(named), workers=workers, ray=ray, paid=models.paid
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
    from mocktrial.envs.figures import group
    from mocktrial.synth.production.produce import produce
    from mocktrial.synth.rewrite import NO_ANSWER

    start = time.monotonic()
    try:
        with progress("generating and proving", tasks) as advance:
            made = produce(job, tasks, folder, progress=lambda taken: advance(taken, ""), **options)
    except KeyboardInterrupt:
        typer.echo("mocktrial: stopped; what is made is kept, the same command goes on with it", err=True)
        raise typer.Exit(130) from None
    figures = made.figures(time.monotonic() - start)
    print_result({"dataset": str(folder), "digest": digest(folder), **figures}, as_json)
    if figures["tasks"] < tasks:
        typer.echo(f"mocktrial: {figures['tasks']} of {tasks} tasks: the budget of tokens is spent", err=True)
    common = figures["commonest_goal"]
    if common["of"] > 1 and common["share"] > _MOST_OF_ONE_GOAL:
        cure = "take more domains, or fewer tasks" if job.style.voices else "leave out --plain, or take more domains"
        typer.echo(
            f"mocktrial: {common['share']:.0%} of the tasks are of one goal of {common['of']}, {common['goal']}; "
            f"{folder / 'README.md'} says why drafts were dropped; {cure}",
            err=True,
        )
    silent = group(made.counts, "reworded").get(NO_ANSWER)
    if silent:
        typer.echo(f"mocktrial: {silent} tasks keep their planned words: the model did not answer", err=True)


@app.command(epilog="Example: mocktrial validate datasets/clinics --workers 2")
def validate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    against: Annotated[Path | None, typer.Option(help="A dataset that must share no task with it.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Prove a dataset again, every task and every world, and audit it: leaks, duplicates, splits."""
    from mocktrial.envs.streaming import open_folder
    from mocktrial.synth.audit.diversity import twins
    from mocktrial.synth.audit.validate import validate as audit

    opened, other = open_folder(dataset), open_folder(against) if against else None
    start = time.monotonic()
    with progress("proving", opened.tasks) as advance:
        found = audit(opened, workers=workers, progress=lambda done: advance(done, ""))
    if other:
        found.findings += [f"task {name}: twin of {twin} in {against}" for name, twin in twins(opened, other)]
    print_result(found.figures(time.monotonic() - start) | {"findings": list(found.findings)}, as_json)
    raise typer.Exit(1 if found.findings else 0)


@app.command(
    epilog="Example: mocktrial curriculum datasets/clinics --runs runs/a --low 0.2 --high 0.8 --out datasets/b"
)
def curriculum(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    runs: Annotated[list[str], typer.Option(help="Run of an agent on it: folder, ledger or database; repeatable.")],
    agent: Annotated[list[str] | None, typer.Option(help="Only these agents' episodes; repeatable.")] = None,
    low: Annotated[float, typer.Option(min=0, max=1, help="Least pass rate of a task that is kept.")] = 0.2,
    high: Annotated[float, typer.Option(min=0, max=1, help="Greatest.")] = 0.8,
    out: Annotated[Path | None, typer.Option(help="Write the kept tasks as a dataset to this new folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """How hard tasks turned out for agents, and which lie between two success rates."""
    from mocktrial.envs.dataset import load_dataset
    from mocktrial.synth.curriculum import Band, rates_by_agent
    from mocktrial.synth.measured import by_measure, mean_rates, measure, told_rates, wider, within

    band = Band(low=low, high=high)
    opened = load_dataset(dataset)
    found = rates_by_agent(runs)
    unknown = sorted(set(agent or ()) - set(found))
    if unknown:
        raise UsageError(f"no episode of {', '.join(unknown)} in these runs", hint=f"there are {', '.join(found)}")
    measured = measure(opened.tasks, {name: own for name, own in found.items() if not agent or name in agent})
    played = [one for one in measured if one.rate is not None]
    if not played:
        raise UsageError(f"no task of {dataset} was played in these runs", hint=f"mocktrial run {dataset} --agent NAME")
    kept = within(measured, band)
    if out and not kept:
        wide = wider(played, band)
        raise UsageError(
            f"no task has a pass rate of {low:g} to {high:g}, so that {out} would be empty: {told_rates(played)}",
            hint=f"--low {wide.low:g} --high {wide.high:g} keeps {len(within(played, wide))}",
        )
    if out:
        opened.part(kept, f"only tasks with a pass rate of {low:g} to {high:g}").save(out)
    figures: dict[str, Any] = {
        "tasks": len(measured), "played": len(played), "trials": sum(one.trials for one in played),
        "agents": mean_rates(measured), "low": low, "high": high, "kept": len(kept), "by": by_measure(measured),
        "dataset": str(out or ""), "ids": kept,
    }  # fmt: skip
    if as_json:
        print_result(figures | {"rows": [one.row() for one in measured]}, as_json)
    else:
        lines = [f"{name} {value}: {cell['rate']:.2f} of {cell['tasks']}" for name, cells in figures.pop("by").items()
                 for value, cell in cells.items()]  # fmt: skip
        print_result({"pass rate by": lines} | figures, as_json)
