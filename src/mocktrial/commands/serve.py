"""`serve`: tools and episodes over HTTP and MCP."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mocktrial.commands.played import PlayedUser, UserUrl, ledger_of, seated
from mocktrial.commands.shared import MOST_PORT, ControlToken, Host, Port, SharedLedger, Token, refuse_idle, verbs

if TYPE_CHECKING:
    from mocktrial.envs.serving.verdicts import Verdicts

app = verbs("serve", "Serve tools over HTTP, or a model.")
KeptRun = Annotated[
    str | None, typer.Option("--run", help="Keep each verdict in this run; an existing one is gone on with.")
]
Called = Annotated[str, typer.Option("--agent", help="What the agent is called in the run.")]
Trials = Annotated[int, typer.Option(min=1, help="Episodes of each task in the run.")]


@app.command(epilog="Example: mocktrial serve autoslurp --port 8080")
def autoslurp(
    port: Annotated[
        int | None, typer.Option(min=0, max=MOST_PORT, help="All paths on this port instead of the original ports.")
    ] = None,
    host: Host = "127.0.0.1",
    token: Token = None,
    control_token: ControlToken = None,
) -> None:
    """The 18 Auto-SLURP services and the 5 external ones, with state, from one process."""
    from mocktrial.mocktools.autoslurp.server import serve

    serve(host=host, port=port, token=token, control_token=control_token)


@app.command(epilog="Example: mocktrial serve world clinic.json --control-token SECRET")
def world(
    file: Annotated[Path, typer.Argument(help="A world: WorldSpec as JSON; docs/worlds.md has the form.")],
    port: Port = 8080,
    host: Host = "127.0.0.1",
    token: Token = None,
    control_token: ControlToken = None,
) -> None:
    """Any world's tools, an episode at a time, for agents in other processes."""
    from mocktrial.mocktools.files import read_world
    from mocktrial.mocktools.http import serve
    from mocktrial.mocktools.image import compile_world

    serve(compile_world(read_world(file)), host=host, port=port, token=token, control_token=control_token)


@app.command(epilog="Example: mocktrial serve dataset datasets/clinics --control-token SECRET")
def dataset(
    source: Annotated[str, typer.Argument(help="Folder of a dataset, toolkit:NAME, or autoslurp:FILE.csv")],
    split: Annotated[str | None, typer.Option(help="Only this split: train or test.")] = None,
    run: KeptRun = None,
    agent: Called = "served",
    trials: Trials = 1,
    user: PlayedUser = "scripted",
    user_url: UserUrl = None,
    wire: Annotated[
        str, typer.Option(help="mocktrial (docs/serving.md), or nemo-gym: a resources server.")
    ] = "mocktrial",
    most: Annotated[int, typer.Option(min=1, help="Episodes open at a time.")] = 2048,
    idle: Annotated[float, typer.Option(min=1, help="Seconds without a request, after which one is closed.")] = 1800.0,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds that an episode may take.")] = 7200.0,
    calls: Annotated[int, typer.Option(min=1, help="Requests that an agent may make in an episode.")] = 5000,
    tokens: Annotated[int, typer.Option(min=1, help="To and fro in an episode; 4 bytes count as one.")] = 4_000_000,
    port: Port = 8080,
    host: Host = "127.0.0.1",
    token: Token = None,
    control_token: ControlToken = None,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    ledger: SharedLedger = None,
) -> None:
    """Whole episodes with user and grade, for agents and trainers in other programs."""
    from mocktrial.envs.places import RunPlace
    from mocktrial.envs.serving.app import dataset_app
    from mocktrial.envs.serving.sessions import Sessions
    from mocktrial.envs.serving.verdicts import Verdicts
    from mocktrial.mocktools.errors import UsageError
    from mocktrial.mocktools.gate import Gate
    from mocktrial.mocktools.keeper import Quota
    from mocktrial.mocktools.listening import listen
    from mocktrial.mocktools.observing.measured import Measured
    from mocktrial.synth.sources import open_source

    if wire not in ("mocktrial", "nemo-gym"):
        raise UsageError(f"there is no wire {wire!r}", hint="wires are: mocktrial, nemo-gym")
    refuse_idle("--agent", agent != "served", bool(run), "--run")
    refuse_idle("--trials", trials != 1, bool(run), "--run")
    gate = Gate.at(host, token, control_token)
    chosen = open_source(source, split=split)
    quota = Quota(calls=calls, tokens=tokens, seconds=seconds, idle=idle)
    sits = seated(user, user_url)
    with ExitStack() as stack:
        kept = None
        if run:
            asked = {"name": source.rstrip("/"), "split": split}
            place = RunPlace.under(out, run, ledger)
            opened = stack.enter_context(ledger_of(place, chosen, asked, agent=agent, user=user, trials=trials))
            kept = Verdicts(opened, chosen.tasks, agent=agent, trials=trials)
        sessions = Sessions(chosen.tasks, chosen.images, most=most, quota=quota, user=sits, verdicts=kept)
        if wire == "nemo-gym":
            from mocktrial.envs.adapters.nemo_gym import nemo_app

            made = nemo_app(sessions, gate)
        else:
            made = dataset_app(sessions, gate)
        listen(Measured(made, gate, lambda: len(sessions.keys())), host, (port,), f"dataset {chosen.name}")


@app.command(epilog="Example: mocktrial serve mcp datasets/clinics --task clinics-3 --out record.json")
def mcp(
    source: Annotated[str, typer.Argument(help="Folder of a dataset, toolkit:NAME, or autoslurp:FILE.csv")],
    task: Annotated[str, typer.Option(help="Id of the task to play.")],
    trial: Annotated[int, typer.Option(min=0, help="Which episode of the task.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The graded record goes here when the client hangs up.")] = None,
    run: KeptRun = None,
    agent: Called = "mcp",
    trials: Trials = 1,
    user: PlayedUser = "scripted",
    user_url: UserUrl = None,
    ledger: SharedLedger = None,
) -> None:
    """One episode over MCP on standard input and output, for clients that start their servers."""
    import asyncio
    import time

    from mocktrial.envs.atomic import whole_file
    from mocktrial.envs.episode import Episode
    from mocktrial.envs.places import RUNS, RunPlace
    from mocktrial.envs.serving.mcp import serve_stdio
    from mocktrial.envs.serving.seat import Seat
    from mocktrial.envs.serving.verdicts import Verdicts
    from mocktrial.mocktools.errors import UsageError
    from mocktrial.synth.sources import open_source

    refuse_idle("--trials", trials != 1, bool(run), "--run")
    chosen, sits = open_source(source), seated(user, user_url)
    meant = next((one for one in chosen.tasks if one.id == task), None)
    if meant is None:
        raise UsageError(
            f"{source} has no task {task!r}", hint=f"one of its {len(chosen.tasks)} is {chosen.tasks[0].id}"
        )

    async def play(kept: Verdicts | None) -> None:
        began = time.monotonic()
        async with Episode(meant, chosen.images[meant.world], agent=agent, trial=trial, user=sits) as episode:
            seat = Seat(episode)
            await seat.reset()
            await serve_stdio(seat)
            if out:
                with whole_file(out) as file:
                    file.write(seat.verdict().model_dump_json().encode())
            if kept:
                kept.add(seat.verdict(), time.monotonic() - began)

    with ExitStack() as stack:
        kept = None
        if run:
            place, asked = RunPlace.under(RUNS, run, ledger), {"name": source.rstrip("/")}
            opened = stack.enter_context(ledger_of(place, chosen, asked, agent=agent, user=user, trials=trials))
            kept = Verdicts(opened, chosen.tasks, agent=agent, trials=trials)
            if reason := kept.unwanted(meant, trial, 0):
                raise UsageError(reason, hint="give another --trial, --trials or --run")
        asyncio.run(play(kept))


@app.command(epilog="Example: mocktrial serve model checkpoints/first --port 8000")
def model(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint's folder, smollm2, or a hub id.")] = "smollm2",
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of an answer whose request names no bound.")] = 96,
    max_context: Annotated[int | None, typer.Option(min=1, help="Tokens of a conversation; else the model's.")] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Answers decoded at a time.")] = 64,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; else torch's choice.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = "auto",
    port: Port = 8000,
    host: Host = "127.0.0.1",
    token: Token = None,
) -> None:
    """A local model as an OpenAI-compatible endpoint: chat completions with tools, streaming, token ids."""
    from mocktrial.mocktools.gate import Gate

    gate = Gate.at(host, token)  # refuses before the model is loaded
    from mocktrial.agents.local.weights import load

    loaded = load(checkpoint, threads=threads, device=device)
    from mocktrial.agents.local.policy import LocalPolicy  # imports torch, whose absence `load` explains
    from mocktrial.agents.serving.app import serve

    policy = LocalPolicy(
        loaded, max_new_tokens=max_new_tokens, max_context=max_context, max_batch=max_batch, paged=False
    )  # each request has a temperature of its own
    serve(policy, gate, host=host, port=port)
