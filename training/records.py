"""What a trajectory becomes before it is tokens: one `Record`, from a JSONL file or from a run's ledger.

Only `scored` episodes train: `no_result` says nothing about the agent and `masked` is masked. An episode
that a local policy played brings its tokens as sampled; any other is rendered as that policy would write
it. Fails with `UsageError` naming file, line and key.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from mocktrial.envs.chat import Message, TokenTrace, ToolSchema
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.spec import Frozen
from mocktrial.training.config import Verb


class Record(Frozen):
    """One trajectory to learn from."""

    messages: tuple[Message, ...] = ()  # OpenAI's; not needed where `tokens` is given
    tools: tuple[ToolSchema, ...] = ()
    tokens: tuple[TokenTrace, ...] = ()  # a local policy's turns as recorded
    weight: float = 1.0
    label: bool | None = None  # KTO: desirable or not
    reward: float | None = None  # GRPO
    group: str = ""  # the task; empty = the line's own number


def read_records(path: Path, objective: Verb) -> list[Record]:
    """The records of a run's folder, or of a JSONL file with one a line."""
    if (path / "ledger.sqlite").is_file():
        with Ledger.read(path / "ledger.sqlite") as ledger:
            return records_of(ledger.trajectories(), objective)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the trajectories at {path}: {error}") from error
    return [_record(line, f"{path}:{number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def _record(line: str, where: str) -> Record:
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "line"
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{where}: {key}: {reason}") from error


def records_of(trajectories: Iterable[Trajectory], objective: Verb) -> list[Record]:
    """Records for an objective.

    sft: successes only. kto: every episode, desirable when it succeeded. rl: every episode with its
    reward, in the group of its task.
    """
    records = []
    for trajectory in trajectories:
        if trajectory.outcome != "scored" or trajectory.grade is None:
            continue
        grade = trajectory.grade
        if objective == "sft" and not grade.success:
            continue
        sampled = tuple(trace for trace in trajectory.traces if trace is not None)
        whole = bool(sampled) and len(sampled) == len(trajectory.traces)
        record = Record(
            messages=() if whole else trajectory.messages,
            tools=() if whole else trajectory.tools,
            tokens=sampled if whole else (),
            label=grade.success if objective == "kto" else None,
            reward=grade.reward if objective == "rl" else None,
            group=trajectory.task_hash,
        )
        records.append(record)
    return records
