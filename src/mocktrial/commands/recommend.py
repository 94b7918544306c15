"""`clicks` and `recommend`: click logs with a known truth; next queries, their evaluation, online tests."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mocktrial.commands.shared import AsJson, console, print_result, verbs
from mocktrial.envs.console import progress
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mocktrial.synth.clicks.files import LoggedSet
    from mocktrial.synth.clicks.settings import Settings
    from mocktrial.training.suggesting.ablation import Ablation
    from mocktrial.training.suggesting.arms import Arms
    from mocktrial.training.suggesting.rows import Unit

app = verbs()
recommend = verbs("recommend", "Recommend next queries; evaluate them; simulated online tests.")
app.add_typer(recommend)

ArmNames = Annotated[
    list[str], typer.Argument(help="base, oracle, sft, kto, kto+user, ..., full, retrieval, local, openai:MODEL.")
]
Config = Annotated[Path | None, typer.Option(help="TOML of parameters; missing keys are the default's.")]
Change = Annotated[list[str] | None, typer.Option("--set", help="One parameter: readiness.level=-1; may be repeated.")]
Seed = Annotated[int, typer.Option(help="Same seed, same bytes.")]
BaseUrl = Annotated[str | None, typer.Option(help="Endpoint of openai:MODEL.")]
UnitOption = Annotated[
    str, typer.Option(help="One sample: a suggestion, one with a shared label of its set, or the set.")
]
HeldOut = Annotated[float, typer.Option(min=0, max=1, help="The last share of a log's sets: ranked, not learned from.")]
_RATES = ("auc", "reciprocal_rank", "first")  # intervals that are no differences
PAPER_CTR, PAPER_QUARTILE = 0.31, 0.07


@app.command(epilog="Example: mocktrial clicks spring --seed 3 --set users=200 --set tools.affinity=0.7")
def clicks(
    name: Annotated[str, typer.Argument(help="Name of the log: written to OUT/NAME.")],
    seed: Seed = 0,
    config: Config = None,
    change: Change = None,
    out: Annotated[Path, typer.Option(help="Folder of logs.")] = Path("clicks"),
    as_json: AsJson = False,
) -> None:
    """Simulate people who are shown next queries in device worlds: exposures and clicks, the truth kept apart."""
    from mocktrial.mocktools.spec import check_file_name
    from mocktrial.synth.clicks.files import check_folder, write_log
    from mocktrial.synth.clicks.logs import base_policy, simulate, town
    from mocktrial.synth.clicks.measures import statistics_of
    from mocktrial.synth.clicks.settings import load_settings

    settings = load_settings(config, change or ())
    folder = check_folder(out / check_file_name(name))
    with progress("sessions in device worlds", settings.sessions) as advance:
        where = town(settings, seed, advance=advance)
    log = list(simulate(where, base_policy(settings.shown)))
    write_log(folder, log, settings, seed)
    found = statistics_of(log).model_dump()
    if as_json:
        typer.echo(json.dumps({"log": str(folder), **found}))
        return
    print_result({"log": str(folder), **{key: _short(value) for key, value in found.items()}}, False)
    console.print(f"the paper's setting: set_ctr about {PAPER_CTR}, user_upper_quartile {PAPER_QUARTILE}", style="dim")


@recommend.command("next", epilog='Example: mocktrial recommend next "Wake me at 06:30." --call lock_phone')
def next_queries(
    query: Annotated[str, typer.Argument(help="What was just asked.")],
    reply: Annotated[str, typer.Option(help="What the assistant replied.")] = "",
    call: Annotated[list[str] | None, typer.Option(help='A call made before: TOOL or TOOL {"key": 1}.')] = None,
    recommender: Annotated[str, typer.Option(help="retrieval, local[:PATH] or openai:MODEL.")] = "retrieval",
    k: Annotated[int, typer.Option("-k", min=1, max=20, help="Suggestions.")] = 4,
    seed: Seed = 0,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Next queries for a device, each with the call that carries it out now, or plain chat."""
    from mocktrial.agents.recommender.base import situation_of
    from mocktrial.agents.recommender.specs import make_recommender
    from mocktrial.agents.recommender.written import line_of
    from mocktrial.mocktools.systoolkit import device_image
    from mocktrial.mocktools.systoolkit.documents import device_retriever
    from mocktrial.mocktools.world import World

    chosen = make_recommender(recommender, k=k, base_url=base_url)
    with World.open(device_image(), seed) as world:
        for text in call or ():
            tool, _, arguments = text.partition(" ")
            result = world.call(tool, arguments or "{}")
            if not result.ok:
                raise UsageError(f"--call {text}: {result.text[:200]}", hint="name a tool of SysToolKit")
        situation = situation_of(world, query, reply, retriever=device_retriever(), tools=max(16, 4 * k))
        found = asyncio.run(chosen.recommend(situation, world, k, seed=seed))
    lines = [one.model_dump() if as_json else line_of(one) for one in found.suggestions]
    print_result({"suggestions": lines, "written": found.written, "executable": found.executable}, as_json)


@recommend.command("eval", epilog="Example: mocktrial recommend eval base full retrieval oracle --seed 1")
def evaluate(
    arms: ArmNames, seed: Seed = 0, config: Config = None, change: Change = None, unit: UnitOption = "shared",
    base_url: BaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """HR@k, NDCG@k, executability, relevance, diversity and tool share, against the truth."""
    from mocktrial.synth.clicks.online import quality

    made = _arms(arms, _settings(config, change), seed, unit, base_url)
    found = {name: quality(made.town, shower, made.given.get(name)) for name, shower in made.showers.items()}
    _print_rows({name: one.model_dump() for name, one in found.items()}, as_json)


@recommend.command("ab", epilog="Example: mocktrial recommend ab base kto full --seed 1")
def ab(
    arms: ArmNames, seed: Seed = 0, config: Config = None, change: Change = None, unit: UnitOption = "shared",
    base_url: BaseUrl = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """A simulated online test: the same people, moods and wishes for every arm; all are compared with the first.

    Intervals are over users.
    """
    from mocktrial.synth.clicks.online import online_test

    if len(set(arms)) < 2:
        raise UsageError("an online test needs two different arms", hint="mocktrial recommend ab base full")
    made = _arms(arms, _settings(config, change), seed, unit, base_url)
    found = online_test(made.town, made.showers, seed=seed)
    _print_rows({one.name: one.model_dump(exclude={"name"}) for one in found}, as_json)


@recommend.command("ablation", epilog="Example: mocktrial recommend ablation --seeds 5 --unit set")
def ablation_command(
    seeds: Annotated[int, typer.Option(min=1, help="Towns; intervals are over them.")] = 5,
    first: Annotated[int, typer.Option(help="The first seed.")] = 1,
    config: Config = None,
    change: Change = None,
    unit: UnitOption = "shared",
    as_json: AsJson = False,
) -> None:
    """ToolRec's ablation in simulation beside the paper's click rates: minutes a seed."""
    _one_thread()
    from mocktrial.training.suggesting.ablation import ARMS, ablation

    settings = _settings(config, change)
    with progress("ablation", seeds * (len(ARMS) + 2)) as advance:
        found = ablation(settings, range(first, first + seeds), unit=_unit(unit), advance=advance)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        _print_ablation(found)


@recommend.command("rank", epilog="Example: mocktrial recommend rank clicks/spring smollm2 --sets 100")
def rank(
    log: Annotated[Path, typer.Argument(help="Folder of a log.")],
    models: Annotated[list[str] | None, typer.Argument(help="smollm2, a checkpoint's folder, a hub id.")] = None,
    held_out: HeldOut = 0.25,
    reference: Annotated[str, typer.Option(help="Scores are log-ratios to this model: KTO's implicit reward.")] = "",
    sets: Annotated[int, typer.Option(min=1, help="So many sets at most, the first of that part.")] = 200,
    as_json: AsJson = False,
) -> None:
    """How models order what people were shown: AUC, MRR and first place of the clicks in a log's last part.

    Intervals are over users; the difference is to the order as shown.
    """
    from mocktrial.synth.clicks.files import read_sets
    from mocktrial.training.suggesting import ranking as order
    from mocktrial.training.suggesting.rows import parted

    before, after = parted(list(read_sets(log)), held_out)
    chosen = order.decided(after)[:sets]
    if not chosen:
        raise UsageError(
            f"no set in the last {held_out:.0%} of {log} has a click and a suggestion without one",
            hint="a longer log, or a larger --held-out",
        )
    shown = list(order.as_shown(chosen))
    found = {
        order.AS_SHOWN: order.ranking(chosen, shown),
        order.MOST_USED: order.ranking(chosen, order.most_used(chosen, before), shown),
    }
    named = [*(models or ()), *([reference] if reference else ())]
    known = {name: _scored(name, chosen) for name in dict.fromkeys(named)}
    for name in models or ():
        scores = order.log_ratios(known[name], known[reference]) if reference else known[name]
        found[name] = order.ranking(chosen, scores, shown)
    _print_rows({name: one.model_dump() for name, one in found.items()}, as_json)


def _scored(name: str, sets: Sequence[LoggedSet]) -> list[list[float]]:
    from mocktrial.agents.local.weights import load
    from mocktrial.training.suggesting.ranking import by_model

    loaded = load(name, dtype="float32")
    with progress(f"sets read by {name}", len(sets)) as advance:
        return list(by_model(loaded, sets, lambda done: advance(done, "")))


@recommend.command("rows", epilog="Example: mocktrial recommend rows clicks/spring full.jsonl --method full")
def rows(
    log: Annotated[Path, typer.Argument(help="Folder of a log.")],
    path: Annotated[Path, typer.Argument(help="JSONL to write; `mocktrial train kto` reads it.")],
    method: Annotated[str, typer.Option(help="sft, kto, kto+user, kto+static, kto+both or full.")] = "full",
    unit: UnitOption = "shared",
    held_out: HeldOut = 0.0,
    as_json: AsJson = False,
) -> None:
    """A log's sets as weighted rows for a language model."""
    from mocktrial.synth.clicks.files import read_sets
    from mocktrial.training.calibration import effective_size
    from mocktrial.training.suggesting.records import records_of_log, write_records
    from mocktrial.training.suggesting.rows import parted

    records = records_of_log(parted(list(read_sets(log)), held_out)[0], method, _unit(unit))
    count = write_records(path, records)
    worth = effective_size([record.weight for record in records])
    clicked = sum(record.label is not False for record in records)
    print_result({"rows": count, "clicked": clicked, "effective": round(worth, 1), "file": str(path)}, as_json)


def _settings(config: Path | None, change: list[str] | None) -> Settings:
    from mocktrial.synth.clicks.settings import load_settings

    return load_settings(config, change or ())


def _one_thread() -> None:
    from mocktrial.agents.local.weights import require_torch

    require_torch()
    from mocktrial.training.suggesting.policy import one_thread

    one_thread()


def _unit(text: str) -> Unit:
    from mocktrial.training.suggesting.rows import UNITS

    for unit in UNITS:
        if text == unit:
            return unit
    raise UsageError(f"there is no unit {text!r}", hint=f"units are: {', '.join(UNITS)}")


def _arms(names: list[str], settings: Settings, seed: int, unit: str, base_url: str | None) -> Arms:
    if not any(name.startswith("local") for name in names):
        _one_thread()
    from mocktrial.training.suggesting.arms import make_arms

    with progress("arms", len(names)) as advance:
        return make_arms(names, settings, seed, unit=_unit(unit), base_url=base_url, advance=advance)


def _print_rows(found: dict[str, dict[str, Any]], as_json: bool) -> None:
    """Arms side by side, a row a measure."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("", *found, box=None)
    for key in next(iter(found.values())):
        sign = "" if key in _RATES else "+"
        table.add_row(key.replace("_", " "), *(_short(one[key], sign) for one in found.values()))
    console.print(table)


def _print_ablation(found: Ablation) -> None:
    columns = ("CTR", "lift over base %", "over plain KTO %", "relevance", "tools", "effective", "paper CTR")
    table = Table("method", *columns, box=None)
    for arm in found.arms:
        table.add_row(
            arm.name, f"{arm.ctr:.4f}", _percent(arm.lift.model_dump()), _percent(arm.over_kto.model_dump()),
            f"{arm.relevance.value:+.4f}", f"{arm.tool_share:.2f}", f"{arm.effective:.2f}",
            "" if arm.paper is None else f"{arm.paper:.4f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"{found.seeds} towns, a sample is a {found.unit}; {found.negatives_with_tools:.0%} of unclicked ones "
        f"hold a tool; log: CTR {found.log.set_ctr:.3f} a set, users' upper quartile "
        f"{found.log.user_upper_quartile:.3f}",
        style="dim",
    )


def _percent(interval: dict[str, Any], sign: str = "+") -> str:
    if interval["low"] is None:
        return f"{100 * interval['value']:{sign}.2f}"
    value, low, high = (f"{100 * interval[key]:{sign}.2f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _short(value: Any, sign: str = "+") -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return _percent(value, sign) + " %"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:.4f}" if isinstance(value, float) else str(value)
