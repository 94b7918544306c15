"""`gateway`: an OpenAI-compatible endpoint that records what agents say to their model."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from mocktrial.commands.played import PlayedUser, UserUrl, ledger_of, seated
from mocktrial.commands.shared import ControlToken, Host, Port, SharedLedger, Token, refuse_idle, verbs
from mocktrial.mocktools.errors import UsageError

app = verbs()


@app.command(epilog="Example: mocktrial gateway --upstream http://127.0.0.1:8000/v1 --dataset datasets/clinics")
def gateway(
    upstream: Annotated[str, typer.Option(help="The model's endpoint: http://HOST:PORT/v1")],
    dataset: Annotated[
        str | None, typer.Option(help="Let agents elsewhere play its tasks. Needs --control-token.")
    ] = None,
    run: Annotated[str, typer.Option(help="Name of the run; an existing one is gone on with.")] = "gateway",
    agent: Annotated[str, typer.Option(help="What the agent is called in the run.")] = "gateway",
    split: Annotated[str | None, typer.Option(help="Only this split: train or test.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many tasks.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Episodes of each task.")] = 1,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds that an episode may take.")] = 1800.0,
    user: PlayedUser = "scripted",
    user_url: UserUrl = None,
    ask_tokens: Annotated[
        bool, typer.Option(help="Ask llama.cpp or vLLM for token ids and log-probabilities.")
    ] = False,
    prices: Annotated[Path | None, typer.Option(help="TOML: what a million tokens of a model cost.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to upstream at a time.")] = 16,
    port: Port = 8090,
    host: Host = "127.0.0.1",
    token: Token = None,
    control_token: ControlToken = None,
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    ledger: SharedLedger = None,
) -> None:
    """Record what any agent says to its model: point the agent's base_url at /e/EPISODE/v1 here."""
    from mocktrial.agents.endpoint import EndpointClient
    from mocktrial.agents.gateway.app import serve
    from mocktrial.agents.gateway.journal import Journal
    from mocktrial.agents.gateway.proxy import Proxy
    from mocktrial.agents.gateway.recorder import Recorder
    from mocktrial.agents.gateway.sittings import Sittings
    from mocktrial.agents.prices import read_prices
    from mocktrial.envs.places import RunPlace
    from mocktrial.synth.sources import open_source

    if dataset and not control_token:
        hint = "add --control-token SECRET, or export MOCKTRIAL_CONTROL_TOKEN"
        raise UsageError("episodes are opened with a control token, and there is none", hint=hint)
    refuse_idle("--user", user != "scripted", bool(dataset), "--dataset")
    refuse_idle("--user-url", user_url, bool(dataset), "--dataset")
    place = RunPlace.under(out, run, ledger)
    known = read_prices(prices) if prices else {}
    client = EndpointClient(upstream, timeout=600.0, concurrency=concurrency)
    with ExitStack() as stack:
        sittings = None
        if dataset:
            chosen = open_source(dataset, split=split, limit=limit)
            recorder = Recorder(known)
            sits = seated(user, user_url, known)
            asked = {"name": dataset.rstrip("/"), "split": split, "limit": limit}
            kept = stack.enter_context(
                ledger_of(place, chosen, asked, agent=agent, user=user, trials=trials, upstream=client.where)
            )
            sittings = Sittings(
                chosen.tasks, chosen.images, kept, recorder,
                agent=agent, user=sits, trials=trials, deadline=deadline,
            )  # fmt: skip
        else:
            journal = Journal(place.folder / "calls.jsonl")
            stack.callback(journal.close)
            recorder = Recorder(known, journal)
        proxy = Proxy(client, recorder, own_key=bool(token), ask_tokens=ask_tokens)
        serve(proxy, sittings, host=host, port=port, token=token, control_token=control_token)
