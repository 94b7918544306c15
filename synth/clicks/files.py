"""A log on disk: what an operator would see (`sets.jsonl`, ledger) and, in a file of its own, the truth.

    FOLDER/settings.toml    all parameters, and the seed
    FOLDER/ledger.sqlite    run "clicks": tables `exposure` and `click`
    FOLDER/sets.jsonl       a `LoggedSet` a line
    FOLDER/truth.jsonl      the same sets: true preferences and readiness; no calibration may read it

Same seed, same bytes of the last three but the ledger's pages. Broken files are `UsageError`s with the line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from mocktrial.agents.recommender.base import Situation, Suggestion
from mocktrial.envs.atomic import whole_file
from mocktrial.envs.store import Ledger
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import broken
from mocktrial.mocktools.spec import Frozen
from mocktrial.mocktools.values import stable
from mocktrial.synth.clicks.behaviour import Shown
from mocktrial.synth.clicks.settings import Settings, dump_settings

RUN = "clicks"


class LoggedSet(Frozen):
    """One set as it was shown and clicked; nothing latent."""

    number: int
    visit: int
    user: int
    session: int
    turn: int
    query: Suggestion
    situation: Situation
    suggestions: tuple[Suggestion, ...] = Field(min_length=1)
    clicked: tuple[bool, ...]

    @model_validator(mode="after")
    def _one_click_each(self) -> LoggedSet:
        if len(self.clicked) != len(self.suggestions):
            raise ValueError(f"clicked has {len(self.clicked)} entries for {len(self.suggestions)} suggestions")
        return self


class Truth(Frozen):
    """What lay behind the set of the same number."""

    number: int
    preferences: tuple[float, ...]
    ready: float


def logged(number: int, one: Shown) -> LoggedSet:
    scene = one.scene
    return LoggedSet(
        number=number, visit=one.visit, user=one.user, session=scene.session, turn=scene.turn, query=scene.query,
        situation=scene.situation, suggestions=one.suggestions, clicked=one.clicked,
    )  # fmt: skip


def check_folder(folder: Path) -> Path:
    """`folder`, if no log stands there. Raises `UsageError`."""
    if folder.exists():
        raise UsageError(f"{folder} exists already", hint="choose another name, or remove it")
    return folder


def write_log(folder: Path, log: Sequence[Shown], settings: Settings, seed: int) -> None:
    """Write all files; `sets.jsonl` last, so that a log that has it is whole."""
    with whole_file(folder / "settings.toml") as file:
        file.write(f"# clicks of seed {seed}\n{dump_settings(settings)}".encode())
    with Ledger.open(folder / "ledger.sqlite", {"seed": seed, **settings.model_dump(mode="json")}, run=RUN) as ledger:
        ledger.add_exposures(exposure for number, one in enumerate(log) for exposure in _exposures(number, one))
    with whole_file(folder / "truth.jsonl") as file:
        for number, one in enumerate(log):
            truth = Truth(number=number, preferences=one.preferences, ready=one.ready)
            file.write(truth.model_dump_json().encode() + b"\n")
    with whole_file(folder / "sets.jsonl") as file:
        for number, one in enumerate(log):
            file.write(logged(number, one).model_dump_json().encode() + b"\n")


def read_sets(folder: Path) -> Iterator[LoggedSet]:
    """The sets of a log in time; also of one that another program wrote. Raises `UsageError` that names the line."""
    path = folder / "sets.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"no log at {folder}: {error}", hint="mocktrial clicks NAME makes one") from error
    seen: set[int] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = LoggedSet.model_validate_json(line, strict=True)
        except ValidationError as error:
            raise broken(f"{path}:{number}", error) from error
        if one.number in seen:
            raise UsageError(f"{path}:{number}: number {one.number} stands there twice", hint="give each set its own")
        seen.add(one.number)
        yield one


def _exposures(number: int, one: Shown) -> Iterator[tuple[dict[str, Any], bool]]:
    """Rows of the ledger, each with whether it was clicked."""
    for place, suggestion in enumerate(one.suggestions):
        row = {
            "set_number": number, "place": place, "user": one.user, "session": one.scene.session,
            "turn": one.scene.turn, "query": one.scene.query.query, "suggestion": suggestion.query,
            "tool": suggestion.tool, "arguments": stable(suggestion.arguments),
        }  # fmt: skip
        yield row, one.clicked[place]
