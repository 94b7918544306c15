"""`doctor`: what is installed, reachable and missing."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from mocktrial.commands.shared import AsJson, console, verbs

app = verbs()


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
