"""`doctor`: what is installed, reachable and missing; of a toolkit, what it holds and whether it works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mocktrial.commands.shared import AsJson, console, print_result, verbs
from mocktrial.envs.console import progress
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from mocktrial.envs.doctor import Finding

_TOOLKITS = ("systoolkit",)
app = verbs()


@app.command(
    epilog="Example: mocktrial doctor --base-url http://127.0.0.1:8000/v1; mocktrial doctor --toolkit systoolkit"
)
def doctor(
    base_url: Annotated[str | None, typer.Option(help="An endpoint to try.")] = None,
    ledger: Annotated[str | None, typer.Option(help="A ledger to try: postgresql+psycopg://USER@HOST/NAME")] = None,
    toolkit: Annotated[str, typer.Option(help="Look at a toolkit instead: systoolkit.")] = "",
    prove: Annotated[bool, typer.Option("--prove", help="And show a proved task for each of its tools.")] = False,
    seed: Annotated[int, typer.Option(help="Of the tasks that are proved.")] = 0,
    as_json: AsJson = False,
) -> None:
    """What is installed, reachable, and what is missing for what; or what a toolkit holds. Something wrong: exit 1."""
    if toolkit:
        if toolkit not in _TOOLKITS:
            raise UsageError(f"there is no toolkit {toolkit!r}", hint=f"toolkits are: {', '.join(_TOOLKITS)}")
        figures = _toolkit(seed, prove=prove)
        print_result(figures, as_json)
        raise typer.Exit(1 if figures["failing"] or figures.get("unproved") else 0)
    if prove:
        raise UsageError("--prove needs a toolkit", hint="mocktrial doctor --toolkit systoolkit --prove")
    from mocktrial.envs.doctor import examine

    findings = examine(base_url, ledger)
    if as_json:
        typer.echo(json.dumps([finding.model_dump() for finding in findings]))
    else:
        _print(findings)
    raise typer.Exit(1 if any(finding.wrong for finding in findings) else 0)


def _print(findings: list[Finding]) -> None:
    table = Table("", "found", "for", "what to do", box=None)
    for finding in findings:
        found = escape(finding.found) or "missing"
        table.add_row(finding.name, f"[red]{found}[/]" if finding.wrong else found, finding.use, escape(finding.fix))
    console.print(table)


def _toolkit(seed: int, *, prove: bool) -> dict[str, Any]:
    from mocktrial.mocktools.systoolkit import catalog
    from mocktrial.mocktools.systoolkit.inspect import inspect_catalog
    from mocktrial.synth.systoolkit.proving import prove_tools

    names = list(catalog().tools)
    with progress("calling every tool", len(names)) as advance:
        figures: dict[str, Any] = inspect_catalog(advance).model_dump(mode="json")
    if not prove:
        return figures
    shown = []
    with progress("proving a task for every tool", len(names)) as advance:
        for one in prove_tools(names, seed):
            shown.append(one)
            advance(len(shown), one.tool)
    proved = [one for one in shown if one.task]
    unproved = [f"{one.tool}: {'; '.join(one.reasons)}" for one in shown if not one.task]
    fewest = min((one.mutants for one in proved), default=0)
    return figures | {"proved": len(proved), "fewest_mutants": fewest, "unproved": unproved}
