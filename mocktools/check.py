"""`check_world`: the contract of a world as a function, given to users and run over every world we ship.

It calls every tool on generated arguments, valid and invalid, twice with one seed, and reports each
breach with the tool and the rule. Never raises for a bad world: a spec that does not compile is a report
with one problem.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.errors import NoResult, SpecError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import Frozen, ToolSpec, WorldSpec
from mocktrial.mocktools.world import MAX_RESULT_BYTES, World

Rule = Literal[
    "compiles",  # rows keep their constraints, SQL prepares and touches only what it may
    "no internal error",  # generated arguments never raise NoResult
    "read changes nothing",
    "failure changes nothing",
    "invalid arguments fail",
    "result fits",  # at most 8 KB
    "same seed, same bytes",
]


class Problem(Frozen):
    rule: Rule
    tool: str = ""
    detail: str = ""


class WorldReport(Frozen):
    """What `check_world` saw. `never_succeeded` is no breach, but worth a look: a tool that only failed."""

    world: str
    calls: int = 0
    succeeded: dict[str, int] = Field(default_factory=dict)  # calls that succeeded, by tool
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def never_succeeded(self) -> tuple[str, ...]:
        return tuple(tool for tool, count in self.succeeded.items() if not count)


def check_world(spec: WorldSpec, *, rounds: int = 20, seed: int = 0) -> WorldReport:
    """Call every tool `rounds` times on generated arguments and see whether the contract holds."""
    try:
        image = compile_world(spec)
    except SpecError as error:
        return WorldReport(world=spec.name, problems=(Problem(rule="compiles", detail=str(error)),))
    first, second = _Check(image, seed), _Check(image, seed)
    first.run(rounds)
    second.run(rounds)
    if first.texts != second.texts or first.final != second.final:
        first.blame("same seed, same bytes", "", "two runs with one seed differ")
    return WorldReport(
        world=spec.name, calls=len(first.texts), succeeded=first.succeeded, problems=tuple(first.problems)
    )


class _Check:
    """One run over all the tools of a world."""

    def __init__(self, image: WorldImage, seed: int) -> None:
        self.image, self.seed = image, seed
        self.source = ArgumentSource(image.spec, seed)
        self.problems: list[Problem] = []
        self.texts: list[str] = []
        self.succeeded = dict.fromkeys(image.tools, 0)
        self.final = ""

    def blame(self, rule: Rule, tool: str, detail: str) -> None:
        if not any(known.rule == rule and known.tool == tool for known in self.problems):
            self.problems.append(Problem(rule=rule, tool=tool, detail=detail[:400]))

    def run(self, rounds: int) -> None:
        with World.open(self.image, self.seed) as world:
            for number in range(rounds):
                for tool in self.image.spec.tools():
                    given = self.source.draw(tool)
                    self._call(world, tool, given)
                    if number % 5 == 0:
                        spoiled = self.source.spoil(tool, given)
                        valid = self.image.tools[tool.name].validator.is_valid(spoiled)
                        self._call(world, tool, spoiled, invalid=not valid)
            self.final = world.digest()

    def _call(self, world: World, tool: ToolSpec, given: dict[str, Any], *, invalid: bool = False) -> None:
        before = world.digest()
        try:
            result = world.call(tool.name, given)
        except NoResult as error:
            self.blame("no internal error", tool.name, f"{given}: {error}")
            self.texts.append(str(error))
            return
        self.texts.append(result.text)
        changed = world.digest() != before
        if changed and tool.effect == "read":
            self.blame("read changes nothing", tool.name, str(given))
        if changed and not result.ok:
            self.blame("failure changes nothing", tool.name, f"{given}: {result.text}")
        if invalid and result.ok:
            self.blame("invalid arguments fail", tool.name, str(given))
        if len(result.text.encode()) > MAX_RESULT_BYTES:
            self.blame("result fits", tool.name, f"{len(result.text.encode())} bytes")
        self.succeeded[tool.name] += result.ok and not invalid
