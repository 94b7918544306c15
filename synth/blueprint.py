"""A domain as data: what a folder under `domains/` holds, as frozen models.

    world.json   a WorldSpec without seeded rows (static rows may stand in it)
    rows.json    RowRecipe: how to fill its tables from a seed (`form.recipes`)
    goals.json   Goals: what users want there, as templates over rows, facts and gold calls (`form.goals`, `form.steps`)

A domain holds no code; one row generator (`plan.rows`) and one planner (`plan.planning`) serve all. Whatever makes
blueprints is a `BlueprintSource`. Errors are `SpecError` with the file and the key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError, model_validator

from mocktrial.mocktools.errors import SpecError, UsageError
from mocktrial.mocktools.faults import check_faults
from mocktrial.mocktools.spec import FileName, Frozen, WorldSpec
from mocktrial.synth.form.goals import Goals
from mocktrial.synth.form.recipes import RowRecipe


class Blueprint(Frozen):
    """A whole domain: one world, how to fill it, what users want there."""

    name: FileName
    world: WorldSpec
    rows: RowRecipe
    goals: Goals

    @model_validator(mode="after")
    def _calls_known(self) -> Blueprint:
        """Each call names a tool of the world and arguments that it takes, all required ones among them."""
        tools = {tool.name: tool for tool in self.world.tools()}
        for goal in self.goals.goals:
            for call in (*goal.plan, *goal.violation):
                tool = tools.get(call.call)
                if tool is None:
                    raise ValueError(f"goal {goal.id}: {call.id} calls {call.call!r}, no tool of the world")
                takes = {*tool.parameters, *(("page",) if tool.paged else ())}
                for name in call.arguments:
                    if name not in takes:
                        raise ValueError(f"goal {goal.id}: {call.id} gives {name!r}, which {tool.name} does not take")
                for name in tool.required:
                    if name not in call.arguments:
                        raise ValueError(f"goal {goal.id}: {call.id} does not give {name!r} to {tool.name}")
            try:
                check_faults(goal.faults, self.world)
            except SpecError as error:
                raise ValueError(f"goal {goal.id}: {error}") from error
        return self

    def changed(self, *, world: Mapping[str, Any] | None = None, **parts: Any) -> Blueprint:
        """This blueprint with other `parts` and its world with other keys, all of it checked again."""
        if world:
            parts["world"] = WorldSpec.model_validate(self.world.model_copy(update=world).model_dump())
        return Blueprint(**{**dict(self), **parts})


BARREN = 20  # units in a row that give nothing before their source counts as exhausted


class BlueprintSource(Protocol):
    """What makes blueprints: the composer, a model teacher, the shipped domains. Equal numbers, equal blueprints."""

    @property
    def name(self) -> str: ...

    def blueprint(self, number: int) -> Blueprint:
        """The blueprint of unit `number`, from 0. Raises `SpecError` where there is none."""
        ...


class Domains:
    """Domains that come with mocktrial, or folders of one's own, in turn: unit `number` is one more variant of one.

    names: as `load_blueprint` takes them; all that come with mocktrial where none is named. Raises `UsageError`.
    """

    name = "domains"

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = tuple(dict.fromkeys(names)) if names else shipped_domains()
        self._blueprints = tuple(load_blueprint(name) for name in self.names)  # whole: a worker has no such folder
        called = Counter(one.name for one in self._blueprints)
        if twice := sorted(name for name, count in called.items() if count > 1):
            raise UsageError(f"two domains are called {twice[0]}", hint="rename the folder of one")

    def blueprint(self, number: int) -> Blueprint:
        return self._blueprints[number % len(self.names)]

    def variant(self, number: int) -> int:
        """Which filling of its domain's tables unit `number` is; `make_world` takes it."""
        return number // len(self.names)


def is_folder(name: str) -> bool:
    """Whether a domain is named by its place: "./parking"; not "clinic", whatever folders there are."""
    return Path(name).name != name


def shipped_domains() -> tuple[str, ...]:
    """Names of the domains that come with mocktrial, sorted."""
    return tuple(sorted(entry.name for entry in _domains().iterdir() if entry.is_dir()))


def load_blueprint(name: str) -> Blueprint:
    """A shipped domain by its name, or one's own by its folder. Raises `UsageError`, `SpecError` for a broken one."""
    if is_folder(name):
        folder = Path(name).resolve()
        if not folder.is_dir():
            raise UsageError(f"there is no domain at {name}", hint="docs/domains.md says what lies in its folder")
        return read_blueprint(folder)
    if name not in shipped_domains():
        raise UsageError(f"there is no domain {name!r}", hint=f"domains are: {', '.join(shipped_domains())}")
    return _shipped(name)


@lru_cache(maxsize=16)
def _shipped(name: str) -> Blueprint:
    return read_blueprint(_domains() / name)


def read_blueprint(folder: Path) -> Blueprint:
    """A domain from its folder. Raises `SpecError` that names file and key."""
    world = _read(folder / "world.json", TypeAdapter(WorldSpec))
    rows = _read(folder / "rows.json", TypeAdapter(RowRecipe))
    goals = _read(folder / "goals.json", TypeAdapter(Goals))
    try:
        return Blueprint(name=folder.name, world=world, rows=rows, goals=goals)
    except ValidationError as error:
        raise _broken(folder / "goals.json", error) from error


def _domains() -> Path:
    return Path(str(resources.files("mocktrial.synth"))) / "domains"


def _read(path: Path, kind: TypeAdapter[Any]) -> Any:
    try:
        return kind.validate_json(path.read_bytes())
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}", hint="a domain has world.json, rows.json and goals.json"
        ) from error
    except ValidationError as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: ValidationError) -> SpecError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return SpecError(
        f"{path}: {where}: {first['msg']}" if where else f"{path}: {first['msg']}", hint="docs/domains.md has every key"
    )
