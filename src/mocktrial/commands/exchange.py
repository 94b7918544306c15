"""`export`: what was played, and tasks, in the forms of other tools. `import`: their tools and their tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mocktrial.commands.shared import AsJson, print_result, refuse_idle, verbs
from mocktrial.envs.console import progress
from mocktrial.mocktools.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = verbs()


@app.command(epilog="Example: mocktrial export runs/mine --to trl-kto --out exports/kto")
def export(
    sources: Annotated[
        list[str], typer.Argument(help="Runs: folders, or LEDGER_URL#RUN in a shared ledger. For tau2 one dataset.")
    ],
    to: Annotated[str, typer.Option(help="trl-sft, trl-kto, trl-dpo, openai, sharegpt, trace; of a dataset, tau2.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to make; else exports/FORM in the first run, DATASET-tau2.")
    ] = None,
    turns: Annotated[bool, typer.Option("--turns", help="A row a turn, for trainers without masks.")] = False,
    jsonl: Annotated[
        bool | None, typer.Option("--jsonl/--parquet", help="Lines or Parquet; else what the form's readers expect.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write scored episodes for TRL, OpenAI fine-tuning, ShareGPT readers or the trace viewer; tasks for tau2-bench."""
    if to == "tau2":
        refuse_idle("--turns", turns, False, "episodes of runs")
        refuse_idle("--jsonl/--parquet", jsonl is not None, False, "episodes of runs")
        print_result(_export_tasks(sources, out), as_json)
        return
    from contextlib import ExitStack
    from itertools import chain

    from mocktrial.envs.places import RunPlace
    from mocktrial.envs.report import read_run
    from mocktrial.synth.exchange.export import export as write

    folder = out or RunPlace.named(sources[0]).folder / "exports" / to
    with ExitStack() as stack:
        ledgers = [stack.enter_context(read_run(run)) for run in sources]
        counts = write(chain.from_iterable(one.trajectories() for one in ledgers), to, folder, turns=turns, jsonl=jsonl)
    print_result({**counts, "folder": str(folder)}, as_json)


def _export_tasks(sources: Sequence[str], out: Path | None) -> dict[str, Any]:
    from mocktrial.envs.dataset import load_dataset
    from mocktrial.synth.exchange.tau2.folder import export_tau2

    if len(sources) > 1:
        raise UsageError("tau2's form takes one dataset", hint=f"mocktrial export {sources[0]} --to tau2")
    place = Path(sources[0])
    dataset = load_dataset(place)
    folder = out or place.with_name(f"{place.resolve().name}-tau2")
    with progress("writing tasks", len(dataset.tasks)) as advance:
        counts = export_tau2(dataset, folder, lambda done: advance(done, ""))
    return {**counts, "folder": str(folder)}


@app.command(
    "import",
    epilog="Example: mocktrial import openapi.json --out worlds/shop.json, "
    "then mocktrial import tasks.json --world worlds/shop.json --out datasets/shop",
)
def import_document(
    document: Annotated[
        Path, typer.Argument(help="JSON: OpenAPI, an MCP tools/list answer, OpenAI functions; tasks of tau2-bench.")
    ],
    out: Annotated[Path, typer.Option(help="Where to write the world; of tasks, the folder of the dataset.")],
    world: Annotated[Path | None, typer.Option(help="World in which the tasks of others play.")] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a world from tools that others describe, or a dataset from tasks in tau2's form, each proved."""
    from mocktrial.synth.exchange.tau2.folder import read_entries

    if out.exists():
        raise UsageError(f"{out} exists already", hint="remove it, or choose another --out")
    tasks = read_entries(document)
    if world and not tasks:
        raise UsageError(f"{document} holds no tasks", hint="--world is for tasks of tau2-bench")
    found = _import_tasks(document, tasks, out, world) if tasks else _import_tools(document, out)
    print_result(found, as_json)


def _import_tasks(document: Path, entries: Sequence[dict[str, Any]], out: Path, world: Path | None) -> dict[str, Any]:
    from mocktrial.envs.dataset import dataset_name
    from mocktrial.synth.exchange.tau2.folder import import_tau2

    with progress("reading and proving", len(entries)) as advance:
        made = import_tau2(document, entries, dataset_name(out), world, lambda done: advance(done, ""))
    made.dataset.save(out)
    lost = {"not carried": dict(made.left), "left out": dict(made.refused)}
    return {"dataset": str(out), "tasks": len(made.dataset.tasks), "of": len(entries), **lost}


def _import_tools(document: Path, out: Path) -> dict[str, Any]:
    from mocktrial.envs.atomic import whole_file
    from mocktrial.envs.dataset import world_text
    from mocktrial.mocktools.image import compile_world
    from mocktrial.synth.exchange.skeletons import read_skeleton

    made = read_skeleton(document)
    compile_world(made.world)
    with whole_file(out) as file:
        file.write(world_text(made.world).encode())
    return {"world": str(out), "tools": len(made.world.tools()), "notes": made.notes}
