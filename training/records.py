"""What a trajectory becomes before it is tokens: one `Record`, from a JSONL file or from a run's ledger.

Only `scored` episodes train: `no_result` says nothing about the agent and `masked` is masked. An episode
that a local policy played brings its tokens as sampled, a record for each of their rows; any other is rendered
as that policy would write it. Fails with `UsageError` naming file, line and key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from mocktrial.envs.chat import Message, TokenTrace, ToolSchema
from mocktrial.envs.store import Ledger
from mocktrial.envs.trajectory import Trajectory
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import read_text
from mocktrial.mocktools.spec import Frozen
from mocktrial.training.config import Verb

_ASKED = ("release", "question")  # events that show a question


class Record(Frozen):
    """One trajectory to learn from, or one row of it."""

    messages: tuple[Message, ...] = ()  # OpenAI's; not needed where `tokens` is given
    tools: tuple[ToolSchema, ...] = ()
    tokens: tuple[TokenTrace, ...] = ()  # a local policy's turns as recorded, those of one row
    weight: float = 1.0
    label: bool | None = None  # KTO and DPO: desirable or not
    reward: float | None = None  # RL
    never_asked: bool = False  # a needed fact was hidden and the agent asked nobody; RL's penalties
    never_finished: bool = False  # a limit ended the episode, not the agent or the user
    needless: int = 0  # questions for what was public, told already or known to nobody; RL's penalty
    group: str = ""  # the task; empty = the line's own number
    episode: str = ""  # the same for all rows of an episode, which counts once; empty = the record is a whole one


def read_records(path: Path, objective: Verb) -> list[Record]:
    """The records of a run's folder, or of a JSONL file with one a line."""
    if (path / "ledger.sqlite").is_file():
        with Ledger.read(path / "ledger.sqlite") as ledger:
            return records_of(ledger.trajectories(), objective)
    hint = "data is the folder of a run, runs/NAME, or a JSONL file of records"
    if path.is_dir():
        raise UsageError(f"{path} holds no run", hint=hint)
    text = read_text(path, hint=hint)
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

    sft: successes only. kto, dpo: every episode, desirable when it succeeded. rl: every episode with its
    reward, in the group of its task.
    """
    records = []
    for trajectory in trajectories:
        if trajectory.outcome != "scored" or trajectory.grade is None:
            continue
        grade = trajectory.grade
        if objective == "sft" and not grade.success:
            continue
        shared = {
            "label": grade.success if objective in ("kto", "dpo") else None,
            "reward": grade.reward if objective == "rl" else None,
            "never_asked": bool(grade.asking.hidden) and not any(event.kind in _ASKED for event in trajectory.events),
            "needless": grade.asking.over_ask,
            "never_finished": trajectory.end in ("turn_limit", "call_limit", "time_limit", "context_limit"),
            "group": trajectory.task_hash,
            "episode": f"{trajectory.task_hash}/{trajectory.agent}/{trajectory.trial}",
        }
        rows = rows_of(trajectory.traces)
        records += [Record(tokens=row, **shared) for row in rows]
        if not rows:
            records.append(Record(messages=trajectory.messages, tools=trajectory.tools, **shared))
    return records


def rows_of(traces: Sequence[TokenTrace | None]) -> list[tuple[TokenTrace, ...]]:
    """An episode's turns by branch; none where some turn was not recorded, since a row would lack it."""
    rows: dict[int, list[TokenTrace]] = {}
    for trace in traces:
        if trace is None:
            return []
        rows.setdefault(trace.branch, []).append(trace)
    return [tuple(row) for row in rows.values()]


def drift_of(trajectories: Iterable[Trajectory]) -> dict[str, int]:
    """How often a prompt was no exact extension of what was run before, by reason."""
    reasons = Counter(trace.drift for one in trajectories for trace in one.traces if trace and trace.drift)
    return dict(sorted(reasons.items()))
