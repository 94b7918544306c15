"""Checkpoints that are whole or absent, and resume exactly.

`<out>/<name>/` holds config.toml, the model (safetensors) with its tokenizer, optimizer.safetensors,
trainer_state.json and STABLE, which is written last and lists every other file with its size. All of it is
written to a temporary folder, fsynced, and renamed; the previous checkpoint is set aside under a dotted name
until then. A folder without a fitting STABLE does not count. Nothing is pickled.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from mocktrial.envs.atomic import sync
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen

STABLE = "STABLE"


class TrainerState(Frozen):
    """Where a run stands. `data` and `config` say of what run: both must be equal on resume."""

    step: int  # optimizer steps done
    total: int
    losses: tuple[float, ...]  # one a step
    data: str  # digest of the examples
    config: dict[str, Any]


def save_checkpoint(
    folder: Path,
    state: TrainerState,
    config_toml: str,
    model: PreTrainedModel,
    tokenizer: Any,
    optimizer: torch.optim.Optimizer | None,
) -> None:
    """Replace the checkpoint at `folder`. Killed at any point, the old or the new one can be loaded."""
    made, aside = _beside(folder, "new"), _beside(folder, "old")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    (made / "config.toml").write_text(config_toml, encoding="utf-8")
    (made / "trainer_state.json").write_text(state.model_dump_json(indent=1) + "\n", encoding="utf-8")
    model.save_pretrained(made)
    if tokenizer is not None:
        tokenizer.save_pretrained(made)
    if optimizer is not None:
        save_file(_flat(model, optimizer), made / "optimizer.safetensors")
    files = sorted(path for path in made.iterdir() if path.is_file())
    for path in files:
        sync(path)
    sizes = {path.name: path.stat().st_size for path in files}
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


def load_checkpoint(folder: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> None:
    """Put weights and optimizer state of a stable checkpoint into `model` and `optimizer`, in place."""
    file = folder / "optimizer.safetensors"
    if not file.exists():
        raise UsageError(
            f"{folder} cannot be resumed: it was saved without its optimizer",
            hint="set keep_optimizer",
        )
    saved = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype, use_safetensors=True)
    model.load_state_dict(saved.state_dict())
    flat = load_file(file, device=str(model.device))
    state: dict[int, dict[str, torch.Tensor]] = {}
    for index, (name, _) in enumerate(model.named_parameters()):
        prefix = f"{name}/"
        state[index] = {key.removeprefix(prefix): flat[key] for key in flat if key.startswith(prefix)}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _flat(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """AdamW's tensors by `parameter/kind`; the optimizer holds `model.parameters()` in order."""
    names = [name for name, _ in model.named_parameters()]
    return {
        f"{names[index]}/{kind}": tensor.contiguous()
        for index, kinds in optimizer.state_dict()["state"].items()
        for kind, tensor in kinds.items()
    }


def _beside(folder: Path, word: str) -> Path:
    return folder.parent / f".{folder.name}.{word}"  # no checkpoint's name begins with a dot
