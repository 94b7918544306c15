"""Checkpoints that are whole or absent, and resume exactly.

`<out>/<name>/` holds config.toml, the model (safetensors) with its tokenizer, adapter/ where adapters learn,
optimizer.safetensors, trainer_state.json and STABLE, which is written last and lists every other file with its size.
What weights and optimizer are as files is `engine.Engine`'s to say. All of it is written to a temporary folder,
fsynced, and renamed; the previous checkpoint is set aside under a dotted name until then. A folder without a fitting
STABLE does not count. Nothing is pickled.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mocktrial.envs.atomic import sync
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen
from mocktrial.synth.curriculum import State
from mocktrial.training.config import NAME_PATTERN, TrainConfig

STABLE = "STABLE"


class TrainerState(Frozen):
    """Where a run stands. `data` and `config` say of what run: both must be equal on resume."""

    step: int  # optimizer steps done
    total: int
    losses: tuple[float, ...]  # one a step
    data: str  # digest of the examples, or of the tasks
    best: float | None = None  # highest held-out success so far
    drawn: State | None = None  # of the curriculum that tasks are drawn by
    config: dict[str, Any]


def save_checkpoint(folder: Path, state: TrainerState, config_toml: str, write: Callable[[Path], None]) -> None:
    """Replace the checkpoint at `folder`. Killed at any point, the old or the new one can be loaded.

    write: puts weights and optimizer into the folder that it is given.
    """
    made, aside = _beside(folder, "new"), _beside(folder, "old")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    (made / "config.toml").write_text(config_toml, encoding="utf-8")
    (made / "trainer_state.json").write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write(made)
    written = sorted(made.rglob("*"))
    for path in written:
        sync(path)
    sizes = {path.relative_to(made).as_posix(): path.stat().st_size for path in written if path.is_file()}
    (made / STABLE).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")
    sync(made / STABLE)
    sync(made)
    if folder.exists():
        if is_stable(folder):
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        else:
            shutil.rmtree(folder)
    made.rename(folder)
    sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)


def checkpoint_folder(config: TrainConfig, *, resume: bool = False) -> Path:
    """`<out>/<name>`, which is not there yet, or `resume` is given. The name is checked again, since `model_copy`
    does not validate."""
    if not re.fullmatch(NAME_PATTERN, config.name):
        raise UsageError(f"not a checkpoint name: {config.name!r}", hint="use a-z, 0-9, '.', '_' and '-'")
    folder = Path(config.out) / config.name
    if not resume and (folder.exists() or find_checkpoint(folder)):
        raise UsageError(f"{folder} exists already", hint="choose another name, or --resume")
    return folder


def find_checkpoint(folder: Path) -> Path | None:
    """The whole checkpoint of that name: in place, or set aside by a save that was killed."""
    return next((path for path in (folder, _beside(folder, "old")) if is_stable(path)), None)


def is_stable(folder: Path) -> bool:
    """Whether STABLE is there and every file it lists has the size it says."""
    try:
        sizes = json.loads((folder / STABLE).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def read_state(folder: Path) -> TrainerState:
    return TrainerState.model_validate_json((folder / "trainer_state.json").read_text(encoding="utf-8"))


def _beside(folder: Path, word: str) -> Path:
    return folder.parent / f".{folder.name}.{word}"  # no checkpoint's name begins with a dot
