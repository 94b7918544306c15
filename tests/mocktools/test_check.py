"""The contract of worlds: good ones keep it, and each planted breach is reported with its rule."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mocktrial.mocktools import check
from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.world import ToolResult, World
from tests.support.desk import desk_spec


def with_tool(**changes: Any) -> WorldSpec:
    """The desk world with one more tool, `planted`."""
    body = desk_spec().model_dump(mode="json", exclude_defaults=True)
    tool = {"name": "planted", "description": "x", "parameters": {}, "effect": "read", **changes}
    body["toolkits"][0]["tools"].append(tool)
    return WorldSpec.model_validate(body)


def test_the_desk_keeps_the_contract() -> None:
    report = check_world(desk_spec())
    assert report.ok, report.problems
    assert report.never_succeeded == ()
    assert all(count == check.ENOUGH for count in report.succeeded.values())


BREACHES: dict[str, tuple[str, dict[str, Any]]] = {
    "a read that writes": (
        "compiles",
        {"steps": [{"give": "UPDATE loans SET state = 'ended' RETURNING id", "shape": "rows"}]},
    ),
    "an unknown column": ("compiles", {"steps": [{"give": "SELECT nothing FROM loans"}]}),
    "another database": ("compiles", {"steps": [{"give": "SELECT name FROM sqlite_schema", "shape": "rows"}]}),
    "an error inside": (
        "no internal error",
        {
            "parameters": {"text": {"type": "string"}},
            "required": ["text"],
            "steps": [{"give": "SELECT json_extract(:text, '$.a') AS part"}],
        },
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_planted_breach_is_reported(name: str) -> None:
    rule, changes = BREACHES[name]
    report = check_world(with_tool(**changes))
    assert [problem.rule for problem in report.problems] == [rule]
    assert "planted" in report.problems[0].tool + report.problems[0].detail


def test_a_row_that_breaks_its_constraint_is_reported() -> None:
    body = desk_spec().model_dump(mode="json")
    body["rows"]["loans"][0]["state"] = "lost"
    report = check_world(WorldSpec.model_validate(body))
    assert [problem.rule for problem in report.problems] == ["compiles"]
    assert "loans, row 1" in report.problems[0].detail


def test_a_tool_that_only_fails_is_named() -> None:
    never = {"require": "SELECT 1 AS one WHERE 0", "error": "never", "message": "Never."}
    report = check_world(with_tool(steps=[never, {"give": "SELECT 1 AS one"}]))
    assert report.ok
    assert report.never_succeeded == ("planted",)


class LeakyWorld(World):
    """An engine with a fault, since a spec alone cannot break these rules."""

    fault = ""
    calls = 0  # of all such worlds

    def call(self, name: str, arguments: Any) -> ToolResult:
        LeakyWorld.calls += 1
        result = super().call(name, arguments)
        leaks = {"a read writes": result.ok and name == "find_members", "a failure writes": not result.ok}
        if leaks.get(self.fault):
            sql = "UPDATE loans SET item = item || 'x' WHERE id = 'loan-1'"
            self._engine.connection.execute(sql)
        if self.fault == "long":
            return ToolResult(ok=True, value=None, text="x" * 9000)
        if self.fault == "random":
            return ToolResult(ok=result.ok, value=None, text=str(LeakyWorld.calls))
        return result


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("a read writes", "read changes nothing"),
        ("a failure writes", "failure changes nothing"),
        ("long", "result fits"),
        ("random", "same seed, same bytes"),
    ],
)
def test_a_fault_of_the_engine_is_reported(fault: str, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "World", LeakyWorld)
    monkeypatch.setattr(LeakyWorld, "fault", fault)
    assert rule in {problem.rule for problem in check_world(desk_spec()).problems}


@given(st.integers(min_value=0, max_value=1 << 32))
def test_generated_arguments_are_valid_and_spoiled_ones_are_not(seed: int) -> None:
    spec = desk_spec()
    source = ArgumentSource(spec, seed)
    for tool in spec.tools():
        drawn = source.draw(tool)
        schema = jsonschema_rs.Draft202012Validator(tool.schema_of_arguments())
        assert schema.is_valid(drawn), (tool.name, drawn)
        assert not schema.is_valid(source.spoil(tool, drawn))
