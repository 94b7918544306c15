"""compile_world: what is refused before any episode, and how it is named."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mocktrial.mocktools.errors import SpecError
from mocktrial.mocktools.image import compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.world import World
from tests.support.desk import desk_spec


def with_tool(effect: str = "read", parameters: dict[str, Any] | None = None, *steps: dict[str, Any]) -> WorldSpec:
    """The desk world with one more tool, `probe`."""
    body = desk_spec().model_dump(mode="json")
    body["toolkits"][0]["tools"].append(
        {
            "name": "probe",
            "description": "A probe.",
            "effect": effect,
            "parameters": parameters or {},
            "steps": list(steps),
        }
    )
    return WorldSpec.model_validate(body)


ESCAPES = [
    "ATTACH DATABASE '/etc/passwd' AS x",
    "DETACH DATABASE main",
    "PRAGMA writable_schema = 1",
    "PRAGMA table_xinfo(members)",
    "PRAGMA user_version",
    "SELECT load_extension('x')",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM pragma_table_info('members')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/etc/x', 'y')",
    "SELECT random()",
    "SELECT randomblob(1000000000)",
    "SELECT zeroblob(1000000000)",
    "SELECT hex(randomblob(9))",
    "SELECT date('now')",
    "SELECT datetime()",
    "SELECT julianday('now')",
    "SELECT strftime('%s', 'now')",
    "SELECT unixepoch()",
    "SELECT CURRENT_TIMESTAMP",
    "SELECT CURRENT_DATE",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_version()",
    "SELECT 1; DROP TABLE loans",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
    "INSERT INTO loans (id) VALUES ('x')",
    "VACUUM",
    "VACUUM INTO '/etc/x'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "SAVEPOINT x",
    "CREATE TABLE t (x)",
    "CREATE TEMP TABLE t (x)",
    "CREATE TRIGGER t AFTER INSERT ON loans BEGIN SELECT 1; END",
    "CREATE VIEW v AS SELECT 1",
    "CREATE VIRTUAL TABLE v USING fts5(x)",
    "ALTER TABLE loans ADD COLUMN x",
    "DROP TABLE loans",
    "EXPLAIN SELECT 1",
]


@pytest.mark.parametrize("sql", ESCAPES)
@pytest.mark.parametrize("kind", ["give", "require", "run"])
def test_hostile_sql_is_refused_when_compiled(sql: str, kind: str) -> None:
    """FAULTS 18."""
    if kind == "run" and sql.startswith("INSERT"):
        return  # a plain write is what `run` is for
    step = {kind: sql} | ({"error": "no", "message": "no"} if kind == "require" else {})
    with pytest.raises(SpecError, match="tool probe, step 1"):
        compile_world(with_tool("write", {}, step, {"give": "SELECT 1 AS one"}))


HEAVY = [
    "SELECT count(*) FROM members a, members b, members c, members d, members e, members f, members g, members h,"
    " members i, members j, members k, members l, members m, members n, members o, members p",
    "SELECT replace(replace(replace(replace(printf('%.100000c', 'x'), 'x', :text), 'x', :text), 'x', :text), 'x',"
    " :text)",
]


@pytest.mark.parametrize("sql", HEAVY)
def test_heavy_sql_stops_at_its_budget(sql: str) -> None:
    image = compile_world(with_tool("read", {"text": {"type": "string"}}, {"give": sql, "shape": "value"}))
    with World.open(image, seed=1) as world:
        result = world.call("probe", {"text": "x" * 1000})
        assert result.code in {"too_much_work", "too_large", "too_long"}
        assert world.call("find_members", {"name": "ada"}).ok


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([{"give": "SELECT :nobody"}], "uses :nobody"),
        ([{"give": "SELECT shoe FROM members"}], "no such column"),
        ([{"give": "SELECT 1 FROM strangers"}], "no such table"),
    ],
)
def test_mistakes_name_tool_and_step(steps: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        compile_world(with_tool("read", {}, *steps))


def test_a_read_tool_must_not_write() -> None:
    with pytest.raises(ValidationError, match="effect is read"):
        with_tool("read", {}, {"run": "DELETE FROM loans"})


def test_columns_of_a_require_become_values() -> None:
    steps = (
        {"require": "SELECT name AS who FROM members WHERE id = 'm1'", "error": "no", "message": "no"},
        {"give": "SELECT :who AS name"},
    )
    with World.open(compile_world(with_tool("read", {}, *steps)), seed=1) as world:
        assert world.call("probe", {}).value == {"name": "Ada Byron"}


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("members", {"id": "m9"}, "row 4.*NOT NULL"),
        ("members", {"id": "m1", "name": "Twice", "active": True}, "row 4.*UNIQUE"),
        ("members", {"id": "m9", "name": "x", "active": "maybe"}, "row 4"),
        ("members", {"id": "m9", "name": "x", "active": True, "born": "May"}, "row 4"),
        ("members", {"id": "m9", "name": "x", "active": True, "shoe": 1}, "unknown column 'shoe'"),
        (
            "loans",
            {"id": "l9", "member_id": "m9", "item": "x", "due": "2026-01-01", "state": "open"},
            "refers to no",
        ),
        ("loans", {"id": "l9", "member_id": "m1", "item": "x", "due": "2026-01-01", "state": "odd"}, "row 2"),
        ("strangers", {}, "unknown table 'strangers'"),
    ],
)
def test_bad_rows_are_named(table: str, row: dict[str, Any], message: str) -> None:
    body = desk_spec().model_dump(mode="json")
    body["rows"].setdefault(table, []).append(row)
    with pytest.raises(SpecError, match=message):
        compile_world(WorldSpec.model_validate(body))


def test_unknown_keys_are_errors_that_name_the_key() -> None:
    body = desk_spec().model_dump(mode="json") | {"colour": "red"}
    with pytest.raises(ValidationError, match="colour"):
        WorldSpec.model_validate(body)


def test_the_hash_follows_the_content() -> None:
    spec = desk_spec()
    assert compile_world(spec).hash == compile_world(spec).hash
    assert compile_world(spec.model_copy(update={"rules": "none"})).hash != compile_world(spec).hash
