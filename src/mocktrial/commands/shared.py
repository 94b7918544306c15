"""What every verb shares: the console, `--json`, and how a result is printed."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from mocktrial.mocktools.errors import UsageError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
MOST_PORT = 65535
Port = Annotated[int, typer.Option(min=0, max=MOST_PORT, help="Port to listen on; 0: any free one.")]
Host = Annotated[str, typer.Option(help="Elsewhere than on loopback a token is needed.")]
Token = Annotated[str | None, typer.Option(envvar="MOCKTRIAL_TOKEN", help="Asked of every request.")]
ControlToken = Annotated[
    str | None, typer.Option(envvar="MOCKTRIAL_CONTROL_TOKEN", help="Opens the control plane: seed, reset, state.")
]
NAMES_A_RUN = "Folder of a run, or LEDGER_URL#RUN of one in a shared ledger."
Run = Annotated[str, typer.Argument(help=NAMES_A_RUN)]
Runs = Annotated[list[str], typer.Argument(help=NAMES_A_RUN)]
SharedLedger = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        envvar="MOCKTRIAL_LEDGER",
        help="Keep the run there: postgresql+psycopg://USER@HOST/NAME (docs/operation.md).",
    ),
]
ENDPOINT = "openai:MODEL"
console = Console()


def verbs(name: str | None = None, about: str | None = None) -> typer.Typer:
    """A group of verbs: under `name`, or beside the others."""
    return typer.Typer(name=name, help=about, no_args_is_help=name is not None)


def has_endpoint(*specs: str) -> bool:
    """Whether one of these names of agents, users or judges is a model behind an endpoint."""
    return any("openai" in spec.split(":") for spec in specs)


def refuse_idle(option: str, given: object, used: bool, use: str) -> None:
    """Raise `UsageError` for an option that was given and would change nothing. use: what it is for."""
    if given and not used:
        raise UsageError(f"{option} does nothing here: it is for {use}", hint="leave it out")


def print_result(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    for key, value in result.items():
        if isinstance(value, list) and value:
            value = "\n  " + "\n  ".join(str(item) for item in value)
        elif isinstance(value, dict):
            value = ", ".join(f"{name} {item}" for name, item in value.items())
        if value in (None, "", []):
            value = "none"
        console.print(f"[bold]{key}[/]: {value}", highlight=False, soft_wrap=True)
