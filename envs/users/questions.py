"""How well a reader understands questions: rows of facts, a message, and the ids that it asks for.

A row is one line of JSON:
    {"facts": [{"id", "label", "description"?, "value"}], "message": "...", "asked": ["id", ...]}
`asked` is empty for statements, offers and confirmations. The file is somebody else's: keys beside these are passed
over. A broken row is one `UsageError` that names file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ConfigDict, Field, JsonValue, ValidationError, model_validator

from mocktrial.envs.task import Fact
from mocktrial.envs.users.interpret import Reading
from mocktrial.mocktools.errors import UsageError
from mocktrial.mocktools.files import broken, read_text
from mocktrial.mocktools.spec import Frozen

Read = Callable[[str, tuple[Fact, ...]], Reading]
_HINT = 'a row is {"facts": [{"id", "label", "description"?, "value"}], "message": "...", "asked": ["id", ...]}'


class QuestionFact(Frozen):
    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1)
    label: str = Field(min_length=1)
    description: str | None = None
    value: JsonValue

    def fact(self) -> Fact:
        """The fact as a user holds it, under its own id even where a task would not allow such a name."""
        spoken = self.value if isinstance(self.value, str) else str(self.value)
        about = self.description or ""
        return Fact.model_construct(id=self.id, label=self.label, description=about, value=self.value, spoken=spoken)


class Question(Frozen):
    """A row."""

    model_config = ConfigDict(extra="ignore")

    facts: tuple[QuestionFact, ...] = Field(min_length=1)
    message: str
    asked: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Question:
        ids = [fact.id for fact in self.facts]
        if len(set(ids)) < len(ids):
            raise ValueError("two facts have one id")
        if strange := [name for name in self.asked if name not in ids]:
            raise ValueError(f"asked names {strange[0]!r}, which is no fact's id")
        return self


class Understanding(Frozen):
    """Figures of a reader. Precision and recall are over asked ids, of all rows together (micro)."""

    rows: int
    precision: float  # of the ids read, the share that was asked for; 1 when none was read
    recall: float  # of the ids asked for, the share that was read; 1 when none was asked for
    exact: float  # share of rows with exactly the asked set


def read_questions(path: Path) -> tuple[Question, ...]:
    """The rows of a file, blank lines left out. Raises `UsageError` that names the line."""
    rows = []
    for number, line in enumerate(read_text(path, hint=_HINT).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(Question.model_validate_json(line))
        except ValidationError as error:
            raise broken(f"{path}, line {number}", error, hint=_HINT) from error
    if not rows:
        raise UsageError(f"{path} has no rows", hint=_HINT)
    return tuple(rows)


def evaluate_questions(rows: Iterable[Question], read: Read) -> Understanding:
    """Figures of `read`, which is called once a row with the message and the facts."""
    total = exact = hits = found = wanted = 0
    for row in rows:
        got = set(read(row.message, tuple(fact.fact() for fact in row.facts)).facts)
        asked = set(row.asked)
        total += 1
        exact += got == asked
        hits += len(got & asked)
        found += len(got)
        wanted += len(asked)
    return Understanding(
        rows=total,
        precision=hits / found if found else 1.0,
        recall=hits / wanted if wanted else 1.0,
        exact=exact / total if total else 1.0,
    )
