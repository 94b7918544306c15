"""Imports: what others describe compiles, is called with what it takes, and answers from recorded replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import compile_world
from mocktrial.mocktools.world import World
from mocktrial.synth.exchange.skeletons import Skeleton, read_skeleton
from tests.support.command import runner
from tests.support.desk import desk_image

OPENAPI = {
    "openapi": "3.1.0",
    "paths": {
        "/orders/{orderId}": {
            "parameters": [{"name": "orderId", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"operationId": "getOrder", "summary": "One order."},
            "patch": {
                "operationId": "getOrder",
                "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/c/Change"}}}},
            },
        },
        "/reset": {"post": {"requestBody": {"content": {"application/json": {"schema": {"type": "array"}}}}}},
    },
    "c": {
        "Change": {
            "required": ["note"],
            "properties": {"note": {"type": "string", "nullable": True}, "again": {"$ref": "#/c/Change"}},
        }
    },
}
MCP = {
    "tools": [
        {
            "name": "look",
            "description": "Look.",
            "inputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
        },
        {
            "name": "reset",
            "inputSchema": {"properties": {"Deep-Level": {"type": "integer"}}, "required": ["Deep-Level"]},
        },
    ]
}


def read(tmp_path: Path, document: Any, name: str = "shop") -> Skeleton:
    (tmp_path / f"{name}.json").write_text(json.dumps(document))
    return read_skeleton(tmp_path / f"{name}.json")


def test_operations_become_tools_with_what_they_take(tmp_path: Path) -> None:
    made = read(tmp_path, OPENAPI)
    tools = {tool.name: tool for tool in made.world.tools()}
    assert list(tools) == ["get_order", "get_order_2", "post_reset"]
    assert [tool.effect for tool in tools.values()] == ["read", "write", "write"]
    assert tools["get_order_2"].required == ("order_id", "note")
    assert tools["post_reset"].required == ()
    assert "getOrder: called get_order_2 here" in made.notes
    assert "get_order_2.note: without nullable" in made.notes
    assert any("nested too deep" in note for note in made.notes)


def test_mcp_tools_are_reads_only_where_they_say_so_and_reserved_names_change(tmp_path: Path) -> None:
    tools = read(tmp_path, MCP).world.tools()
    assert [(tool.name, tool.effect) for tool in tools] == [("look", "read"), ("reset_it", "write")]
    assert tools[1].required == ("deep_level",)


def test_our_own_tools_come_back_with_their_schemas(tmp_path: Path) -> None:
    ours = list(desk_image().schemas)
    made = read(tmp_path, ours)
    assert [tool.to_openai() for tool in made.world.tools()] == ours
    assert not made.notes


@pytest.mark.parametrize("document", [OPENAPI, MCP])
def test_a_skeleton_keeps_the_contract_of_a_world(document: Any, tmp_path: Path) -> None:
    report = check_world(read(tmp_path, document).world)
    assert report.ok, report.problems


def test_a_recorded_reply_is_given_and_a_write_leaves_a_trace(tmp_path: Path) -> None:
    spec = read(tmp_path, OPENAPI).world
    given = '{"again":{"note":"x"},"note":"soon","order_id":"o1"}'
    rows = {"replies": ({"tool": "get_order_2", "arguments": given, "reply": {"ok": [1, 2]}},)}
    with World.open(compile_world(spec.model_copy(update={"rows": rows})), seed=1) as world:
        again = {"order_id": "o1", "note": "soon", "again": {"note": "x"}}
        assert world.call("get_order_2", again).value == {"ok": [1, 2]}
        other = world.call("get_order_2", {"order_id": "o2", "note": "soon"})
        assert (other.ok, "not_recorded" in other.text) == (False, True)
        assert [(change.table, change.op) for change in world.write_set()] == [("calls", "insert")]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"swagger": "2.0"}, "neither OpenAPI nor a list"),
        ([1], "neither OpenAPI nor a list"),
        ({"paths": {}}, "describes no tool"),
        ({"paths": {"/x": {"get": {"parameters": [{"$ref": "other.json#/p"}]}}}}, "leads nowhere"),
        ({"a": {"$ref": "#/a"}, "paths": {"/x": {"get": {"parameters": [{"$ref": "#/a"}]}}}}, "leads nowhere"),
    ],
)
def test_what_is_no_description_is_refused(document: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=reason):
        read(tmp_path, document)


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.json").write_text(json.dumps(OPENAPI))
    mocktrial = runner(monkeypatch, capsys)
    place = str(tmp_path / "world.json")
    code, out, _ = mocktrial("import", str(tmp_path / "shop.json"), "--out", place, "--json")
    assert (code, json.loads(out)["tools"]) == (0, 3)
    code, _, err = mocktrial("import", str(tmp_path / "shop.json"), "--out", place)
    assert (code, "exists already" in err) == (2, True)


def test_parts_of_arguments_are_put_together_and_what_is_not_taken_is_told(tmp_path: Path) -> None:
    base = {"properties": {"day": {"type": "string"}}, "required": ["day"]}
    more = {"allOf": [{"$ref": "#/base"}], "properties": {"seats": {"type": "integer"}}, "required": ["seats"]}
    inner = {"allOf": [base, {"properties": {"row": {"type": "integer"}}, "required": ["row"]}]}
    whole = {"allOf": [more], "properties": {"place": inner}, "minProperties": 2}
    made = read(tmp_path, {"base": base, "tools": [{"name": "book", "inputSchema": whole}]})
    (tool,) = made.world.tools()
    assert tool.required == ("seats", "day")
    assert tool.parameters.keys() == {"place", "day", "seats"}
    assert tool.parameters["place"]["required"] == ["day", "row"]
    assert made.notes == ["book: without minProperties"]


def test_parts_within_parts_end(tmp_path: Path) -> None:
    itself = {"allOf": [{"$ref": "#/itself"}] * 30, "properties": {"a": {}}}
    made = read(tmp_path, {"itself": itself, "tools": [{"name": "book", "inputSchema": {"$ref": "#/itself"}}]})
    assert made.notes == ["book: without allOf"]
