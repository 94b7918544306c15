"""`train`: a local model on graded trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mocktrial.commands.shared import AsJson, print_result, verbs
from mocktrial.envs.console import progress

app = verbs("train", "Train a local model on graded trajectories.")


def _train(objective: Any, config: Path, resume: bool, as_json: bool) -> None:
    from mocktrial.agents.local.weights import require_torch

    require_torch()
    from mocktrial.training.config import load_config
    from mocktrial.training.run import train

    settings = load_config(config, objective)
    with progress(f"training {settings.name}", 100) as advance:
        result = train(
            settings, resume=resume,
            progress=lambda step, total, loss: advance(step * 100 // total, f"loss {loss:.3f}"),
        )  # fmt: skip
    print_result({"checkpoint": str(result.folder), "steps": len(result.losses), "loss": result.losses[-1]}, as_json)


Config = Annotated[Path, typer.Argument(help="TOML file; docs/training.md lists the keys.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")]


@app.command(epilog="Example: mocktrial train sft sft.toml")
def sft(config: Config, resume: Resume = False, as_json: AsJson = False) -> None:
    """Supervised fine-tuning on trajectories; assistant tokens only."""
    _train("sft", config, resume, as_json)


@app.command(epilog="Example: mocktrial train kto kto.toml")
def kto(config: Config, resume: Resume = False, as_json: AsJson = False) -> None:
    """Sample-weighted KTO on labelled trajectories."""
    _train("kto", config, resume, as_json)


@app.command(epilog="Example: mocktrial train rl rl.toml")
def rl(config: Config, resume: Resume = False, as_json: AsJson = False) -> None:
    """GRPO on groups of graded trajectories."""
    _train("rl", config, resume, as_json)
