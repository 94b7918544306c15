"""`demo`, `run` and `report`: agents at work, and what came of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mocktrial.commands.played import conditions
from mocktrial.commands.shared import (
    ENDPOINT,
    NAMES_A_RUN,
    AsJson,
    SharedLedger,
    console,
    has_endpoint,
    print_result,
    refuse_idle,
    verbs,
)
from mocktrial.envs.console import counted, progress
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from mocktrial.agents.cast import Cast
    from mocktrial.envs.places import RunPlace
    from mocktrial.envs.report.model import AgentSummary
    from mocktrial.envs.runner import Progress

app = verbs()
_MEND = {  # by the class of what went wrong, or by whom it is blamed on
    "CONNECT": "start the endpoint",
    "REFUSED": "check the model's name and the key",
    "bug": "send us logs/bugs.log of the run's folder",
}


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


@app.command(epilog="Example: mocktrial run datasets/clinics --agent local --split test")
def run(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Folder of a dataset, or autoslurp:FILE.csv")],
    agent: Annotated[str, typer.Option(help="expert, null, guesser, ..., local[:PATH], openai:MODEL, react:...")],
    name: Annotated[str | None, typer.Option(help="Name of the run; an existing one is gone on with.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split: train or test.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many tasks.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Episodes of each task.")] = 1,
    concurrency: Annotated[int, typer.Option(min=1, help="Episodes at a time.")] = 16,
    ray: Annotated[str, typer.Option(help="Play on this Ray cluster; 'local' starts one.")] = "",
    without: Annotated[list[str] | None, typer.Option(help="Auto-SLURP leniency to switch off.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Of a model's sampling; 0 is greedy.")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of a turn of a local model.")] = 96,
    device: Annotated[str, typer.Option(help="Of a local model: cpu, cuda, auto.")] = "auto",
    gateway: Annotated[bool, typer.Option(help="Record each call to the endpoint (docs/gateway.md).")] = False,
    prices: Annotated[Path | None, typer.Option(help="TOML: what a million tokens of a model cost.")] = None,
    turns: Annotated[int, typer.Option(min=1, help="Of the agent in an episode, at most.")] = 24,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds that an episode may take.")] = 1800.0,
    tool_retrieval: Annotated[int, typer.Option(min=0, help="Tools shown at a message; 0: all of them.")] = 0,
    user: Annotated[str, typer.Option(help="scripted, scripted+dense, local[:PATH], openai:MODEL")] = "scripted",
    user_url: Annotated[str | None, typer.Option(help="Endpoint of the user's model; else that of --base-url.")] = None,
    user_seed: Annotated[int, typer.Option(min=0, help="Another one: the user chooses other words.")] = 0,
    judge: Annotated[str, typer.Option(help="Of judge criteria: openai:MODEL, local[:PATH], scripted:NAME")] = "",
    judge_url: Annotated[str | None, typer.Option(help="Endpoint of the judge; else that of --base-url.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    ledger: SharedLedger = None,
    as_json: AsJson = False,
) -> None:
    """Run an agent on a dataset or on Auto-SLURP; resumable."""
    from mocktrial.agents.cast import Cast, staged
    from mocktrial.agents.cluster import staged_on_ray
    from mocktrial.agents.play import record
    from mocktrial.agents.prices import read_prices
    from mocktrial.envs.episode import Limits
    from mocktrial.envs.judging.decide import require_judge
    from mocktrial.envs.judging.scripted import KNOWING
    from mocktrial.envs.places import RunPlace
    from mocktrial.envs.runner import Progress
    from mocktrial.synth.sources import AUTOSLURP, open_source, run_name

    refuse_idle("--without", without, source.startswith(AUTOSLURP), "autoslurp:FILE.csv")
    chosen = open_source(source, split=split, limit=limit, without=tuple(without or ()))
    if not judge:
        require_judge(chosen.tasks, None)
    cast = Cast(
        agent=agent,
        base_url=base_url,
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        device=device,
        tool_retrieval=tool_retrieval,
        gateway=gateway,
        concurrency=concurrency,
        user=user,
        user_url=user_url,
        user_seed=user_seed,
        judge=judge,
        judge_url=judge_url,
        prices=read_prices(prices) if prices else {},
        limits=Limits(turns=turns),
    )
    _refuse_idle(cast)
    if cast.judge in [f"scripted:{name}" for name in KNOWING]:
        raise UsageError(f"{cast.judge} knows the truth only in certify-judge", hint="--judge openai:MODEL")
    stage = context.with_resource(
        staged_on_ray(ray, cast, chosen.images, most=concurrency) if ray else staged(cast, chosen.images)
    )
    place = RunPlace.under(out, name or run_name(chosen, stage.agent, split), ledger)
    asked = {"name": source.rstrip("/"), "split": split, "limit": limit, "without": sorted(without or ())}
    config = {"temperature": temperature, "max_new_tokens": max_new_tokens} | conditions(
        chosen, asked, agent=stage.agent, user=user, trials=trials, judge=stage.judge, tool_retrieval=tool_retrieval,
        base_url=base_url or "",
    )  # fmt: skip
    stands = _watched(
        f"{stage.agent} on {source}",
        Progress(total=len(chosen.tasks) * trials),
        lambda tell: record(
            stage.play_one,
            stage.agent,
            chosen.tasks,
            place,
            config=config,
            trials=trials,
            limits=cast.limits,
            user_seed=user_seed,
            concurrency=concurrency,
            deadline=deadline,
            on_progress=tell,
        ),
    )
    _tell_of(place, stands, chosen.rows_unmapped, as_json)
    if stands.stopped or stands.owed == stands.total:
        raise typer.Exit(1)


def _tell_of(place: RunPlace, stands: Progress, rows_unmapped: int, as_json: bool) -> None:
    """Write the run's report, print its figures, and say what is owed."""
    from mocktrial.envs.report import report_runs, write_html

    built = report_runs([place], title=place.name)
    write_html(built, place.folder / "report.html")
    agent_row = built.agents[0]
    result = {
        "episodes": agent_row.episodes,
        "success": agent_row.success.value if agent_row.success else None,
        "no_result": agent_row.no_result,
        "rows_unmapped": rows_unmapped,
        "run": place.address,
        "report": str(place.folder / "report.html"),
    }
    print_result(result, as_json)
    if stands.owed:
        typer.echo(f"mocktrial: {_without_result(stands, agent_row)}", err=True)


def _watched(
    label: str, stands: Progress, play: Callable[[Callable[[Progress], None]], Coroutine[None, None, Progress]]
) -> Progress:
    """How a run stands when it has been played. play: given what to call as it goes. Ctrl-C says what is kept."""
    with progress(label, stands.total) as advance:

        def tell(state: Progress) -> None:
            nonlocal stands
            stands = state
            advance(state.done, f"{state.succeeded} succeeded")

        try:
            asyncio.run(play(tell))
        except KeyboardInterrupt:
            kept = f"{stands.total - stands.owed} of {counted(stands.total, 'episode')} done and kept"
            typer.echo(f"mocktrial: interrupted with {kept}; run the same command to go on", err=True)
            raise typer.Exit(130) from None
    return stands


def _refuse_idle(cast: Cast) -> None:
    """Raise `UsageError` for an option that changes nothing with this cast."""
    from mocktrial.agents.scripted import AGENTS

    others = ("" if cast.user_url else cast.user, "" if cast.judge_url else cast.judge)
    refuse_idle("--base-url", cast.base_url, has_endpoint(cast.agent, *others), ENDPOINT)
    refuse_idle("--user-url", cast.user_url, has_endpoint(cast.user), ENDPOINT)
    refuse_idle("--judge-url", cast.judge_url, has_endpoint(cast.judge), ENDPOINT)
    refuse_idle("--gateway", cast.gateway, has_endpoint(cast.agent), ENDPOINT)
    refuse_idle("--prices", cast.prices, has_endpoint(cast.agent, cast.user, cast.judge), ENDPOINT)
    refuse_idle("--temperature", cast.temperature, cast.agent not in AGENTS, f"a model, and {cast.agent} has none")
    local = {"local", "line"} & {*cast.agent.split(":")[:2]}
    refuse_idle("--max-new-tokens", cast.max_new_tokens != type(cast).max_new_tokens, bool(local), "a local model")
    refuse_idle("--device", cast.device != type(cast).device, bool(local), "a local model")


def _without_result(stands: Progress, agent: AgentSummary) -> str:
    """How many episodes are owed, the commonest reason, and what to do."""
    from mocktrial.envs.failures import read_reason

    reason, count = agent.failures[0]
    blame, kind, message = read_reason(reason)
    why = f"the run stopped: {stands.stopped}" if stands.stopped else f"most often ({count}) {blame}: {message}"
    mend = f"{_MEND.get(kind or blame, 'mend that')}, then run the same command: it goes on from here"
    return f"no result for {stands.owed} of {counted(stands.total, 'episode')}, {why}; {mend}"


@app.command(epilog="Example: mocktrial report runs/a runs/b --html compare.html")
def report(
    runs: Annotated[list[str] | None, typer.Argument(help=NAMES_A_RUN)] = None,
    dataset: Annotated[Path | None, typer.Option(help="Instead: how varied this dataset is.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="A dataset to set beside it.")] = None,
    by: Annotated[
        Literal["domain", "family", "difficulty"] | None, typer.Option(help="Success on each kind of task, too.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also write one offline HTML file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Success with intervals, asking, comparisons; or a dataset's diversity. A table and one offline HTML file."""
    if bool(runs) == bool(dataset) or (baseline and not dataset):
        raise UsageError("name folders of runs, or one dataset", hint="mocktrial report --dataset DIR [--baseline DIR]")
    if dataset:
        refuse_idle("--by", by, not dataset, "runs")
        _report_dataset([dataset, *([baseline] if baseline else [])], html, as_json)
        return
    from mocktrial.envs.report import print_groups, print_report, report_runs, write_html

    built = report_runs(runs or [])
    if as_json:
        typer.echo(built.model_dump_json())
    else:
        print_report(built, console)
        if by:
            print_groups(built.groups, by, console)
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
