"""`check_world`: the contract of a world as a function, given to users and run over every world we ship.

It calls every tool on generated arguments, valid and invalid, makes the same calls once more, and reports each
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
from mocktrial.mocktools.world import MAX_RESULT_BYTES, Mark, ToolResult, World

ENOUGH = 4  # successful calls of a tool
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
    """One rule of the contract that a world breaks."""

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
    """Call every tool on generated arguments and see whether the contract holds.

    A tool is called until it has succeeded `ENOUGH` times, at most `rounds` times with valid arguments.
    """
    try:
        image = compile_world(spec)
    except SpecError as error:
        return WorldReport(world=spec.name, problems=(Problem(rule="compiles", detail=str(error)),))
    return check_image(image, rounds=rounds, seed=seed)


def check_image(image: WorldImage, *, rounds: int = 20, seed: int = 0) -> WorldReport:
    """`check_world` of a world that is compiled already."""
    check = _Check(image, seed)
    check.run(rounds)
    if check.replay() != (check.texts, check.final):
        check.blame("same seed, same bytes", "", "two runs with one seed differ")
    return WorldReport(
        world=image.spec.name, calls=len(check.texts), succeeded=check.succeeded, problems=tuple(check.problems)
    )


class _Check:
    """One run over all the tools of a world."""

    def __init__(self, image: WorldImage, seed: int) -> None:
        self.image, self.seed = image, seed
        self.source = ArgumentSource(image.spec, seed, image.pools)
        self.problems: list[Problem] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.succeeded = dict.fromkeys(image.tools, 0)
        self.final = ""

    def blame(self, rule: Rule, tool: str, detail: str) -> None:
        if not any(known.rule == rule and known.tool == tool for known in self.problems):
            self.problems.append(Problem(rule=rule, tool=tool, detail=detail[:400]))

    def run(self, rounds: int) -> None:
        with World.open(self.image, self.seed) as world:
            for number in range(rounds):
                for name, tool in self.image.tools.items():
                    if self.succeeded[name] >= ENOUGH:
                        continue
                    given = self.source.draw(tool.spec)
                    self._call(world, tool.spec, given)
                    if number % 5 == 0:
                        spoiled = self.source.spoil(tool.spec, given)
                        self._call(world, tool.spec, spoiled, invalid=not tool.validator.is_valid(spoiled))
            self.final = world.digest()

    def replay(self) -> tuple[list[str], str]:
        """The texts and the last state of the same calls, made once more."""
        texts = []
        with World.open(self.image, self.seed) as world:
            for name, given in self.calls:
                try:
                    texts.append(_called(world, name, given).text)
                except NoResult as error:
                    texts.append(str(error))
            return texts, world.digest()

    def _call(self, world: World, tool: ToolSpec, given: dict[str, Any], *, invalid: bool = False) -> None:
        self.calls.append((tool.name, given))
        mark, touched = world.mark(), world.touched()
        try:
            result = _called(world, tool.name, given)
        except NoResult as error:
            self.blame("no internal error", tool.name, f"{given}: {error}")
            self.texts.append(str(error))
            return
        self.texts.append(result.text)
        if (tool.effect == "read" or not result.ok) and world.touched() != touched and _differs(world, mark):
            if tool.effect == "read":
                self.blame("read changes nothing", tool.name, str(given))
            if not result.ok:
                self.blame("failure changes nothing", tool.name, f"{given}: {result.text}")
        world.release(mark)
        if invalid and result.ok:
            self.blame("invalid arguments fail", tool.name, str(given))
        if len(result.text.encode()) > MAX_RESULT_BYTES:
            self.blame("result fits", tool.name, f"{len(result.text.encode())} bytes")
        self.succeeded[tool.name] += result.ok and not invalid


def _called(world: World, name: str, given: dict[str, Any]) -> ToolResult:
    """The call, by whoever has the tool."""
    return world.call_as_user(name, given) if world.image.tools[name].spec.by == "user" else world.call(name, given)


def _differs(world: World, mark: Mark) -> bool:
    """Whether the world is not as it was at `mark`. It is taken back there."""
    now = world.digest()
    world.rewind(mark)
    return world.digest() != now
