"""`train`: a local model on graded trajectories, recorded ones or those that it plays itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mocktrial.commands.shared import AsJson, print_result, verbs

if TYPE_CHECKING:
    from mocktrial.training.config import TrainConfig, Verb
    from mocktrial.training.trainer import TrainResult

app = verbs("train", "Train a local model on graded trajectories.")


def _list_keys(command: typer.Context, wanted: bool) -> None:
    if wanted:
        from mocktrial.training.config import keys_of

        typer.echo("\n".join(keys_of(cast("Verb", command.info_name))))
        raise typer.Exit


Config = Annotated[Path, typer.Argument(help="TOML file; --keys lists what may stand in it.")]
Keys = Annotated[
    bool,
    typer.Option("--keys", callback=_list_keys, is_eager=True, help="List the config's keys: default and meaning."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Config, tokens, memory and cost; no training.")]


@app.command(epilog="Example: mocktrial train sft sft.toml")
def sft(
    config: Config, keys: Keys = False, resume: Resume = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Supervised fine-tuning on trajectories; assistant tokens only."""
    _train("sft", config, resume, dry_run, as_json)


@app.command(epilog="Example: mocktrial train kto kto.toml")
def kto(
    config: Config, keys: Keys = False, resume: Resume = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Sample-weighted KTO on labelled trajectories."""
    _train("kto", config, resume, dry_run, as_json)


@app.command(epilog="Example: mocktrial train dpo dpo.toml --dry-run")
def dpo(
    config: Config, keys: Keys = False, resume: Resume = False, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """DPO, or OTPO, on pairs of a good and a bad trajectory of one task."""
    _train("dpo", config, resume, dry_run, as_json)


@app.command(epilog="Example: mocktrial train rl rl.toml")
def rl(
    config: Config,
    keys: Keys = False,
    resume: Resume = False,
    dry_run: DryRun = False,
    ray: Annotated[str, typer.Option(help="Play and learn on this Ray cluster; local starts one here.")] = "",
    players: Annotated[int, typer.Option(min=1, help="Workers that play, with --ray.")] = 2,
    learners: Annotated[int, typer.Option(min=1, help="Workers that learn, with --ray.")] = 1,
    as_json: AsJson = False,
) -> None:
    """RL on groups of graded trajectories: recorded ones, or played step by step (\\[rollouts])."""

    def on_ray(config: TrainConfig, resume: bool) -> TrainResult:
        from mocktrial.training.cluster.ray_run import Crew, train_on_ray

        return train_on_ray(config, Crew(ray, players, learners), resume=resume)

    _train("rl", config, resume, dry_run, as_json, on_ray if ray else None)


def _train(
    objective: Verb, path: Path, resume: bool, dry_run: bool, as_json: bool,
    elsewhere: Callable[[TrainConfig, bool], TrainResult] | None = None,
) -> None:  # fmt: skip
    from mocktrial.agents.local.weights import require_torch

    require_torch()
    from mocktrial.training.checkpoint import checkpoint_folder, find_checkpoint
    from mocktrial.training.config import load_config

    config = load_config(path, objective)
    if dry_run:
        _tell(config, as_json)
        return
    if resume and find_checkpoint(checkpoint_folder(config, resume=True)) is None:
        typer.echo(f"mocktrial: no whole checkpoint at {Path(config.out) / config.name}: starting anew", err=True)
    result = (elsewhere or _watched)(config, resume)
    from mocktrial.training.curves import write_curves
    from mocktrial.training.journal import journal_path

    page = write_curves(journal_path(config), config.name)
    told = {"checkpoint": str(result.folder), "steps": len(result.losses), "loss": result.losses[-1]}
    print_result({**told, "metrics": str(journal_path(config)), **({"curves": str(page)} if page else {})}, as_json)


def _watched(config: TrainConfig, resume: bool) -> TrainResult:
    """Train, with a journal, the config's trackers and what a person sees."""
    from mocktrial.training.monitor import watched
    from mocktrial.training.play import evaluation_of, train_online
    from mocktrial.training.run import train

    with watched(config, resume=resume) as watch:
        if config.rollouts:
            return train_online(config, resume=resume, watch=watch)
        return train(config, resume=resume, watch=watch, evaluation=evaluation_of)


def _tell(config: TrainConfig, as_json: bool) -> None:
    from mocktrial.training.config import dump_config
    from mocktrial.training.rehearse import rehearse

    cost = rehearse(config)
    if as_json:
        print_result({"config": config.model_dump(mode="json"), **cost.model_dump()}, as_json)
        return
    typer.echo(dump_config(config))
    print_result(cost.told(), as_json)
