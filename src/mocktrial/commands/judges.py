"""`certify-judge`: a judge measured on questions whose answers the predicates know."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from mocktrial.commands.shared import ENDPOINT, AsJson, console, has_endpoint, refuse_idle, verbs
from mocktrial.envs.console import counted, progress
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from mocktrial.envs.judging.autoslurp import SlurpCertificate
    from mocktrial.envs.judging.certify import Attacks, Certificate, Plan
    from mocktrial.envs.judging.judge import Judge
    from mocktrial.envs.judging.twins import Case
    from mocktrial.envs.statistics.estimates import Estimate
    from mocktrial.envs.trajectory import Trajectory
    from mocktrial.synth.sources import Source

app = verbs()


@app.command("certify-judge", epilog="Example: mocktrial certify-judge scripted:credulous datasets/clinics")
def certify_judge(
    judge: Annotated[str, typer.Argument(help="openai:MODEL, local[:PATH] or scripted:NAME")],
    dataset: Annotated[str, typer.Argument(help="Folder of a dataset, or autoslurp:FILE.csv for its two gates.")],
    runs: Annotated[list[str] | None, typer.Option(help="Also judge the episodes of these runs.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many tasks.")] = 40,
    repeats: Annotated[int, typer.Option(min=2, help="Times that a question is asked, for the flips.")] = 5,
    flips: Annotated[int, typer.Option(min=1, help="Questions that are asked again.")] = 200,
    wrong: Annotated[int, typer.Option(min=1, help="Wrong episodes that each attack is put into.")] = 25,
    attacks: Annotated[int, typer.Option(min=1, help="Of the 40, spread over all kinds: a model's time costs.")] = 40,
    concurrency: Annotated[int, typer.Option(min=1, help="Questions at a time.")] = 16,
    base_url: Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Agreement, kappa, flips, attacks and quality at the top. Exit code 1 where over 1% of attacks are credited."""
    from mocktrial.agents.judges import make_judge
    from mocktrial.envs.judging.certify import Plan
    from mocktrial.synth.sources import AUTOSLURP, open_source

    refuse_idle("--base-url", base_url, has_endpoint(judge), ENDPOINT)
    made = make_judge(judge, base_url=base_url)
    source = open_source(dataset, limit=limit)
    played = _played(runs or [], source)
    if dataset.startswith(AUTOSLURP):
        slurp = _two_gates(made, source, played, concurrency)
        _print_slurp(slurp, as_json)
        return
    plan = Plan(repeats=repeats, flip_cases=flips, wrong=wrong, concurrency=concurrency, seed=seed)
    certificate = _certify(made, _cases(source, played, seed), attacks, plan)
    if as_json:
        typer.echo(certificate.model_dump_json())
    else:
        _print(certificate)
    raise typer.Exit(0 if certificate.passes else 1)


def _played(runs: Sequence[str], source: Source) -> dict[str, list[Trajectory]]:
    """Scored episodes of the source's tasks in these runs, by the task's id."""
    from mocktrial.envs.report import read_run

    names = {task.content_hash(): task.id for task in source.tasks}
    found: dict[str, list[Trajectory]] = defaultdict(list)
    for run in runs:
        with read_run(run) as ledger:
            for trajectory in ledger.trajectories():
                if trajectory.task_hash in names and trajectory.grade is not None:
                    found[names[trajectory.task_hash]].append(trajectory)
    if runs and not found:
        raise UsageError("the runs have no scored episode of these tasks", hint="name the dataset that they played")
    return found


def _cases(source: Source, played: dict[str, list[Trajectory]], seed: int) -> list[Case]:
    from mocktrial.synth.judged import judged_cases

    cases: list[Case] = []
    with progress("playing right and wrong episodes", len(source.tasks)) as advance:
        for number, task in enumerate(source.tasks, 1):
            cases += judged_cases(task, source.images[task.world], played.get(task.id, ()), seed=seed)
            advance(number, counted(len(cases), "question"))
    if not any(case.truth for case in cases) or all(case.truth for case in cases):
        raise UsageError("these tasks give no questions with both answers", hint="take more with --limit")
    return cases


def _certify(judge: Judge, cases: list[Case], attacks: int, plan: Plan) -> Certificate:
    from mocktrial.envs.judging.attacks import some_attacks
    from mocktrial.envs.judging.certify import Certifier

    certifier = Certifier(judge, cases, some_attacks(attacks), plan)
    with progress(f"asking {judge.name}", certifier.total) as advance:
        certifier.on_asked = lambda count: advance(count, "")
        return asyncio.run(certifier.certify())


def _two_gates(judge: Judge, source: Source, played: dict[str, list[Trajectory]], concurrency: int) -> SlurpCertificate:
    from mocktrial.envs.judging.autoslurp import Row, TwoGates, certify_slurp
    from mocktrial.synth.judged import played_by_agents

    rows = []
    for task in source.tasks:
        image = source.images[task.world]
        episodes = played.get(task.id) or played_by_agents(task, image)
        rows += [Row(task, episode, image.now) for episode in episodes]
    with progress(f"asking {judge.name}", len(rows)) as advance:
        gates = TwoGates(judge.asker)
        return asyncio.run(
            certify_slurp(gates, rows, concurrency=concurrency, on_asked=lambda count: advance(count, ""))
        )


def _print(certificate: Certificate) -> None:
    console.print(
        f"[bold]{certificate.judge}[/]: {counted(certificate.cases, 'question')} on "
        f"{counted(certificate.tasks, 'task')}, "
        f"{certificate.no_result} without a verdict, {counted(certificate.votes, 'vote')}",
        highlight=False,
    )
    table = Table("", "value", "95%", box=None)
    figures = {
        "agreement with the predicates": certificate.agreement,
        "Cohen's kappa": certificate.kappa,
        "false credit": certificate.false_credit,
        "false deny": certificate.false_deny,
        f"flips over {certificate.flips.repeats} repeats of {certificate.flips.cases}": certificate.flips.rate,
        "attacks credited": certificate.attacks.rate,
        **{f"true among its top {top.eta:.0%}": top.true_rate for top in certificate.top},
    }
    for name, figure in figures.items():
        table.add_row(name, *_shown(figure))
    console.print(table)
    console.print(_ladder(certificate.attacks))


def _ladder(attacks: Attacks) -> Table:
    """What each protection leaves, one after the other."""
    table = Table(f"of {attacks.tried} attacked wrong episodes", "credited", box=None)
    rows = {
        "bare transcript, a yes taken at its word": attacks.bare,
        "fenced and escaped": attacks.fenced,
        "and its quotes checked": attacks.quoted,
        "and quotes hold what they must": attacks.named,
        "and predicates first": attacks.credited,
    }
    for name, count in rows.items():
        table.add_row(name, "not asked" if count is None else str(count))
    return table


def _print_slurp(found: SlurpCertificate, as_json: bool) -> None:
    if as_json:
        typer.echo(found.model_dump_json())
        return
    console.print(
        f"[bold]{found.judge}[/], two gates: {counted(found.episodes, 'episode')} of {counted(found.rows, 'row')}, "
        f"{found.no_result} without a verdict",
        highlight=False,
    )
    table = Table("", "value", "95%", box=None)
    table.add_row("success by the two gates", *_shown(found.judge_success))
    table.add_row("success by predicates", *_shown(found.predicate_success))
    table.add_row("agreement", *_shown(found.agreement))
    table.add_row("Cohen's kappa", *_shown(found.kappa))
    table.add_row("agreement on the slots", *_shown(found.slots_agreement))
    counts = f"both {found.both}, judge alone {found.judge_only}, predicates alone {found.predicates_only}"
    console.print(table, f"passed by {counts}, neither {found.neither}", sep="\n", highlight=False)
    for one in found.disagreements:
        console.print(f"  {one.row}, {one.agent}: gates {one.judge}, predicates {one.predicates}", highlight=False)


def _shown(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return "cannot be told", ""
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} to {estimate.high:.3f}"
