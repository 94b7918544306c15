"""`compare`, `regrade`, `replay` and `play`: what stored runs say, and a run by hand."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mocktrial.commands.shared import ENDPOINT, AsJson, Run, console, has_endpoint, print_result, refuse_idle, verbs
from mocktrial.envs.console import counted
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from mocktrial.envs.episode import Episode
    from mocktrial.envs.regrade import Change
    from mocktrial.envs.store import Ledger
    from mocktrial.envs.tables import EpisodeRecord
    from mocktrial.envs.task import Task
    from mocktrial.synth.sources import Source

app = verbs()
_SHOWN = 20  # changed grades that are printed
Dataset = Annotated[str | None, typer.Option(help="Dataset in place of the one that the run was played on.")]


@app.command(epilog="Example: mocktrial compare runs/before runs/after --differ trials")
def compare(
    first: Run,
    second: Run,
    differ: Annotated[
        str, typer.Option(help="Keys of the runs' configs that may differ, besides agent, temperature, base_url.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Two runs on the same tasks: paired differences with intervals, McNemar, what flipped. Unlike runs: exit 2."""
    from mocktrial.envs.report import compare_runs, print_comparison

    found = compare_runs(first, second, differ=[key.strip() for key in differ.split(",") if key.strip()])
    if as_json:
        typer.echo(json.dumps({**found.model_dump(mode="json"), "told_apart": found.told_apart}))
    else:
        print_comparison(found, console)


@app.command(epilog="Example: mocktrial regrade runs/clinics-expert --dataset datasets/clinics-v2")
def regrade(
    run: Run,
    dataset: Dataset = None,
    tasks: Annotated[Path | None, typer.Option(help="JSONL of tasks whose rubrics to grade by.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new run; else NAME.regraded.")] = None,
    as_json: AsJson = False,
) -> None:
    """Grade a run's stored episodes by another rubric or grader, without a model, into a new run."""
    from mocktrial.envs.dataset import read_tasks
    from mocktrial.envs.fingerprint import grader_hash
    from mocktrial.envs.places import RunPlace
    from mocktrial.envs.regrade import regrade as grade_again
    from mocktrial.envs.report import read_run, report_runs, write_html
    from mocktrial.envs.store import Ledger

    played = RunPlace.named(run)
    place = played.beside(name or f"{played.name}.regraded")
    there = place.run in Ledger.runs(place.ledger) if isinstance(place.ledger, str) else place.folder.exists()
    if there:
        raise UsageError(f"{place.address} exists already", hint="remove it, or choose another --name")
    with read_run(played) as old:
        source = _source(old, dataset)
        source = replace(source, tasks=read_tasks(tasks)) if tasks else source
        config = {**old.config, "tasks": _hash(source, old), "grader": grader_hash(), "regraded": old.config_hash}
        with Ledger.open(place.ledger, config, run=place.run) as new:
            try:
                changes = asyncio.run(grade_again(old, source.tasks, source.images, new))
            except BaseException:
                new.erase()
                if isinstance(place.ledger, Path):
                    shutil.rmtree(place.folder, ignore_errors=True)
                raise
            hashes = {"before": old.config_hash, "after": new.config_hash}
    built = report_runs([played, place], title=place.name)
    write_html(built, place.folder / "report.html")
    shown = [change.model_dump() if as_json else _line(change) for change in changes]
    success = [agent.success.value if agent.success else None for agent in built.agents]
    result: dict[str, Any] = {
        "episodes": sum(agent.episodes for agent in built.agents) // 2,
        "fingerprints": hashes,
        "success_before": success[0],
        "success_after": success[-1],
        "changed": len(changes),
        "changes": shown if as_json else [*shown[:_SHOWN], *(["..."] if len(shown) > _SHOWN else [])],
        "run": place.address,
    }
    if not changes and not as_json:  # the hashes differ all the same: the new run says what it was made from
        result = {"changed": "nothing", "episodes": result["episodes"], "run": place.address}
    print_result(result, as_json)


@app.command(epilog="Example: mocktrial replay runs/clinics-expert 7")
def replay(
    run: Run,
    episode: Annotated[str, typer.Argument(help="Number of the episode, TASK or TASK/TRIAL; all: every one.")],
    dataset: Dataset = None,
    as_json: AsJson = False,
) -> None:
    """Make a stored episode's calls again in a fresh world: same results and states, or exit 1."""
    from mocktrial.envs.episode import Limits
    from mocktrial.envs.replay import follow, replay_episode
    from mocktrial.envs.report import read_run

    async def again(task: Task) -> dict[str, Any]:
        async with replay_episode(task, source.images[task.world], trajectory, limits) as fresh:
            return (await follow(fresh, trajectory)).model_dump()

    results = []
    with read_run(run) as ledger:
        source, known = _source(ledger, dataset), ledger.tasks()
        limits = Limits.model_validate(ledger.config.get("limits") or {})
        for record in _chosen(ledger, episode):
            (trajectory,) = ledger.trajectories([record.id])
            found = asyncio.run(again(known[record.task_hash]))
            results.append({"episode": record.id, "task": record.task_id, "trial": record.trial, **found})
    different = [result for result in results if result["difference"]]
    if as_json:
        typer.echo(json.dumps({"episodes": len(results), "different": len(different), "replays": results}))
    else:
        _print_replays(results)
    if different:
        raise typer.Exit(1)


@app.command(epilog="Example: mocktrial play datasets/clinics --as user")
def play(
    source: Annotated[str, typer.Argument(help="Folder of a dataset, or autoslurp:FILE.csv")],
    task: Annotated[str | None, typer.Option(help="Id of the task; else the first.")] = None,
    role: Annotated[Literal["agent", "user"], typer.Option("--as", help="Whose part you take.")] = "agent",
    agent: Annotated[str, typer.Option(help="Who plays the agent while you are the user.")] = "expert",
    base_url: Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")] = None,
) -> None:
    """Take the agent's or the user's part in one episode, and see the grade. /help says what to type."""
    from mocktrial.agents.person import PersonAgent, PersonUser, Terminal
    from mocktrial.agents.registry import make_agent
    from mocktrial.envs.episode import Episode
    from mocktrial.synth.sources import open_source

    refuse_idle("--base-url", base_url, role == "user" and has_endpoint(agent), ENDPOINT)
    found = open_source(source)
    chosen = next((one for one in found.tasks if task in (None, one.id)), None)
    if chosen is None:
        raise UsageError(f"{source} has no task {task!r}", hint=f"the first are {_first(found)}")
    terminal = Terminal(read=input, write=typer.echo)
    player = PersonAgent(terminal) if role == "agent" else make_agent(agent, base_url=base_url)
    user = PersonUser(terminal) if role == "user" else None

    async def session() -> None:
        async with Episode(chosen, found.images[chosen.world], agent=player.name, user=user) as episode:
            await player.play(episode)
            episode.finish("finished")
            _print_grade(episode)

    asyncio.run(session())


def _print_grade(episode: Episode) -> None:
    grade, _ = episode.graded()
    typer.echo(f"\nreward {grade.reward:.2f}: {'done as it should be' if grade.success else 'not all as it should be'}")
    for one in grade.criteria:
        typer.echo(f"  {'yes' if one.passed else 'no ':3} {one.group} {one.id}: {one.evidence}")
    asking = grade.asking
    typer.echo(
        f"  asking: {asking.hidden} hidden facts, {asking.under_ask} never asked for, "
        f"{asking.over_ask} needless questions, {asking.guess} guessed"
    )


def _source(ledger: Ledger, dataset: str | None) -> Source:
    """The tasks and worlds that a run was played on, or those that are named in their place."""
    from mocktrial.synth.sources import open_source

    recorded = ledger.config.get("source") or {}
    name = dataset or recorded.get("name")
    if not name:
        raise UsageError("the run does not say what it was played on", hint="name it: --dataset DIR")
    return open_source(name, without=tuple(recorded.get("without") or ()))


def _hash(source: Source, ledger: Ledger) -> str:
    """The hash of the source's tasks that the run has."""
    played = {task.id for task in ledger.tasks().values()}
    return replace(source, tasks=tuple(task for task in source.tasks if task.id in played)).content_hash()


def _line(change: Change) -> str:
    criteria = f" ({'; '.join(change.criteria)})" if change.criteria else ""
    return f"{change.task}, trial {change.trial}: {change.before:.2f} -> {change.after:.2f}{criteria}"


def _chosen(ledger: Ledger, episode: str) -> list[EpisodeRecord]:
    """The scored episodes that a number, a task's id, or TASK/TRIAL names; or all."""
    records = [record for record in ledger.episodes() if record.outcome != "no_result"]
    names = {"all": records}
    for record in records:
        for name in (str(record.id), record.task_id, f"{record.task_id}/{record.trial}"):
            names.setdefault(name, []).append(record)
    if not names.get(episode):
        raise UsageError(f"no episode {episode!r} with a result", hint=_named(records))
    return names[episode]


def _named(records: list[EpisodeRecord]) -> str:
    """How episodes may be named."""
    if not records:
        return "none has one: mocktrial run goes on with the run"
    numbers, first = [record.id for record in records], min(records, key=lambda record: record.id)
    examples = f"{first.id}, {first.task_id} or {first.task_id}/{first.trial}"
    return f"numbers go from {min(numbers)} to {max(numbers)}; for example {examples}; or all"


def _print_replays(results: list[dict[str, Any]]) -> None:
    alone = len(results) == 1
    for result in results:
        name = f"episode {result['episode']}, {result['task']}, trial {result['trial']}"
        if alone:
            for turn, state in enumerate(result["states"], -1):
                typer.echo(f"{'opening' if turn < 0 else f'turn {turn}'}: {state[:16]}")
        if alone or result["difference"]:
            typer.echo(f"{name}: {result['difference'] or 'the same results, writes and end'}")
    calls = sum(result["calls"] for result in results)
    same = sum(not result["difference"] for result in results)
    typer.echo(f"{same} of {counted(len(results), 'episode')} the same, {counted(calls, 'call')}")


def _first(source: Source) -> str:
    return ", ".join(task.id for task in source.tasks[:5])
