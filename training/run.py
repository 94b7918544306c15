"""`mocktrial train`: trajectories from a run or a JSONL file, a model by name, a checkpoint folder.

Each line is a `Record`. Where the tokens were recorded they are used as they are; else the messages are
rendered as the policy would have written them. Fails with `UsageError` (missing or broken file, with the
line's number), `MissingExtra`, or `Diverged`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from mocktrial.agents.local.render import Renderer
from mocktrial.agents.local.weights import LoadedModel, device_named, load
from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.training.checkpoint import checkpoint_folder
from mocktrial.training.config import TrainConfig
from mocktrial.training.data import Example, example, example_of_rows
from mocktrial.training.engine import Engine
from mocktrial.training.records import Record, read_records
from mocktrial.training.session import UNWATCHED, Evaluate, Watch
from mocktrial.training.trainer import TrainResult, fit


def train(
    config: TrainConfig,
    *,
    resume: bool = False,
    watch: Watch = UNWATCHED,
    threads: int | None = None,
    records: Sequence[Record] | None = None,
    engine: Callable[[PreTrainedModel, TrainConfig], Engine] = Engine,
    evaluation: Callable[[TrainConfig, LoadedModel], Evaluate | None] | None = None,
) -> TrainResult:
    """Train on recorded episodes as `config` says and leave the checkpoint in `<config.out>/<config.name>/`.

    records: the trajectories, where the caller has them; None reads `config.data`. The watch's folder and tokenizer
    are set here. engine: makes what learns; `training.cluster` has one of several processes. evaluation:
    makes what plays held-out tasks (`play.evaluation_of`); a config that asks for it is refused without one.
    """
    if config.evaluation is not None and evaluation is None:
        raise UsageError("held-out tasks cannot be played here", hint="leave [evaluation] out")
    folder = checkpoint_folder(config, resume=resume)
    records = read_records(Path(config.data), config.objective) if records is None else records
    loaded = load_policy(config, threads=threads)
    return fit(
        engine(loaded.model, config),
        examples_of(records, Renderer(loaded.tokenizer)),
        config,
        watch=replace(
            watch,
            folder=folder,
            tokenizer=loaded.tokenizer,
            evaluate=evaluation(config, loaded) if evaluation else None,
        ),
        resume=resume,
    )


def load_policy(config: TrainConfig, *, threads: int | None = None) -> LoadedModel:
    """The model that a config names, on the device that it names, in fp32."""
    return load(config.model, dtype="float32", threads=threads, device=config.device)


def device_of(config: TrainConfig) -> str:
    """UsageError where the config asks for a GPU and there is none."""
    return device_named(config.device)


def examples_of(records: Sequence[Record], renderer: Renderer | None = None) -> list[Example]:
    """One example an episode: records of one `episode` are its rows. A record without a group is one by itself.

    renderer: for records that have messages in place of tokens; SpecError for one where it is None.
    """
    episodes: dict[str, list[Record]] = {}
    for line, record in enumerate(records, 1):
        episodes.setdefault(record.episode or f"line {line}", []).append(record)
    return [_example(rows, renderer, where) for where, rows in episodes.items()]


def _example(rows: Sequence[Record], renderer: Renderer | None, where: str) -> Example:
    first = rows[0]
    group = first.group or where
    if any(row.messages and not row.tokens for row in rows):
        if len(rows) > 1:
            raise SpecError(f"{group}: episode {first.episode} has several rows, and not all of them are tokens")
        if renderer is None:
            raise SpecError(f"{group}: not all of its turns were recorded as tokens")
        row = renderer.render(first.messages, first.tools)
        made = example(group, row.ids, [bool(bit) for bit in row.mask])
    elif all(row.tokens for row in rows):
        made = example_of_rows(group, [row.tokens for row in rows])
    else:
        raise SpecError(f"{group}: neither messages nor tokens")
    return replace(
        made, weight=first.weight, desirable=first.label, reward=first.reward,
        never_asked=first.never_asked, never_finished=first.never_finished,
        needless=first.needless,
    )  # fmt: skip
