"""`certify-user`: how often a simulated user breaks its contract, and how well it understands questions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mocktrial.commands.shared import ENDPOINT, AsJson, console, has_endpoint, print_result, refuse_idle, verbs
from mocktrial.envs.console import counted

if TYPE_CHECKING:
    from mocktrial.envs.users.certify.measure import Certification
    from mocktrial.envs.users.grounded import GroundedUser
    from mocktrial.envs.users.questions import Understanding

app = verbs()
_SHOWN = 3  # faults of a kind that are printed with their words


@app.command("certify-user", epilog="Example: mocktrial certify-user scripted --conversations 500")
def certify_user(
    user: Annotated[str, typer.Argument(help="scripted, scripted+dense, local[:PATH], openai:MODEL")],
    questions: Annotated[Path | None, typer.Option(help="Only ask these (JSONL: facts, message, asked).")] = None,
    conversations: Annotated[int, typer.Option(min=1, help="With the contract agents.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the conversations.")] = 0,
    base_url: Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Test a simulated user: what it leaks, gets wrong, does not answer."""
    from mocktrial.agents.users import make_user
    from mocktrial.envs.atomic import whole_file
    from mocktrial.envs.console import progress
    from mocktrial.envs.users.certify.measure import certify

    refuse_idle("--base-url", base_url, has_endpoint(user), ENDPOINT)
    tested = make_user(user, base_url=base_url)
    if questions is not None:
        print_result(asyncio.run(_understanding(tested, questions)).model_dump(), as_json)
        return
    with progress(f"{tested.name} with contract agents", conversations) as advance:
        result = asyncio.run(certify(tested, tested.name, conversations=conversations, seed=seed, advance=advance))
    if out is not None:
        with whole_file(out) as file:
            file.write(result.certificate.model_dump_json(indent=2).encode() + b"\n")
    if as_json:
        typer.echo(json.dumps(_flat(result)))
    else:
        _show(result)


async def _understanding(user: GroundedUser, path: Path) -> Understanding:
    """What the user's interpreter, ours or a model, makes of each row by itself."""
    from mocktrial.envs.console import progress
    from mocktrial.envs.users.questions import evaluate_questions, read_questions

    rows, readings = read_questions(path), []
    with progress(f"{user.name} reads {path.name}", len(rows)) as advance:
        for number, row in enumerate(rows, start=1):
            facts = tuple(fact.fact() for fact in row.facts)
            readings.append(await user.interpreter.read(row.message, facts, (), ()))
            advance(number, "")
    in_order = iter(readings)
    return evaluate_questions(rows, lambda message, facts: next(in_order))


def _flat(result: Certification) -> dict[str, object]:
    """The certificate with each rate under its own name, and its count and interval under `rates`."""
    dumped = result.certificate.model_dump()
    return dumped | {fault: rate.rate for fault, rate in result.certificate.rates.items()}


def _show(result: Certification) -> None:
    certificate = result.certificate
    held = f"{counted(certificate.conversations, 'conversation')}, {certificate.no_results} without a result"
    table = Table("", "count", "of", "rate", "95% interval", box=None, title=f"{certificate.user}: {held}")
    for fault, rate in certificate.rates.items():
        table.add_row(fault, str(rate.count), str(rate.of), f"{rate.rate:.4f}", f"{rate.low:.4f} to {rate.high:.4f}")
    console.print(table)
    for fault in certificate.rates:
        for found in [found for found in result.findings if found.fault == fault][:_SHOWN]:
            words = f"{fault} ({found.agent}, {found.about}): {found.message!r} -> {found.reply!r}"
            console.print(words, highlight=False, markup=False, soft_wrap=True)
