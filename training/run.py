"""`mocktrial train`: trajectories from a run or a JSONL file, a model by name, a checkpoint folder.

Each line is a `Record`. Where the tokens were recorded they are used as they are; else the messages are
rendered as the policy would have written them. Fails with `UsageError` (missing or broken file, with the
line's number), `MissingExtra`, or `Diverged`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import load
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.training.checkpoint import find_checkpoint
from mocktrial.training.config import NAME_PATTERN, TrainConfig
from mocktrial.training.data import Example, example, example_of_traces
from mocktrial.training.records import Record, read_records
from mocktrial.training.trainer import Progress, TrainResult, fit


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    threads: int | None = None,
    records: Sequence[Record] | None = None,
) -> TrainResult:
    """Train as `config` says and leave the checkpoint in `<config.out>/<config.name>/`.

    records: the trajectories, where the caller has them; None reads `config.data`.
    """
    folder = checkpoint_folder(config)
    if not resume and (folder.exists() or find_checkpoint(folder)):
        raise UsageError(f"{folder} exists already", hint="choose another name, or --resume")
    records = read_records(Path(config.data), config.objective) if records is None else records
    loaded = load(config.model, dtype="float32", threads=threads)
    renderer = Renderer(loaded.tokenizer)
    return fit(
        loaded.model,
        [example_of(record, renderer, f"line {line}") for line, record in enumerate(records, 1)],
        config,
        folder=folder,
        tokenizer=loaded.tokenizer,
        resume=resume,
        progress=progress,
    )


def checkpoint_folder(config: TrainConfig) -> Path:
    """`<out>/<name>`; the name is checked again, since `model_copy` does not validate."""
    if not re.fullmatch(NAME_PATTERN, config.name):
        raise UsageError(f"not a checkpoint name: {config.name!r}", hint="use a-z, 0-9, '.', '_' and '-'")
    return Path(config.out) / config.name


def example_of(record: Record, renderer: Renderer, where: str) -> Example:
    """The record as tokens; `where` names it when it has no group."""
    group = record.group or where
    if record.tokens:
        return example_of_traces(
            group, record.tokens, weight=record.weight, desirable=record.label, reward=record.reward
        )
    if not record.messages:
        raise SpecError(f"{group}: neither messages nor tokens")
    row = renderer.render(record.messages, record.tools)
    mask = [bool(bit) for bit in row.mask]
    return example(group, row.ids, mask, weight=record.weight, desirable=record.label, reward=record.reward)
