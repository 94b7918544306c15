"""FAULTS 18: what a hostile or careless teacher may write is refused when compiled, or contained when called.

The cases are data (tests/data/hostile_worlds.json), each a change to the desk world. `$repeat`, `$range`,
`$nest` and `$nan` stand for what is too large, or no JSON, to be written out.
"""

from __future__ import annotations

import copy
import json
import socket
import time
import tracemalloc
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mocktrial.mocktools.arguments import ArgumentSource
from mocktrial.mocktools.autoslurp.services import autoslurp_image
from mocktrial.mocktools.check import check_world
from mocktrial.mocktools.errors import NoResult, SpecError
from mocktrial.mocktools.image import WorldImage, compile_world
from mocktrial.mocktools.spec import WorldSpec
from mocktrial.mocktools.systoolkit.catalog import device_image
from mocktrial.mocktools.world import MAX_RESULT_BYTES, World
from tests.support.desk import DATA, desk_spec

CASES: list[dict[str, Any]] = json.loads((DATA / "hostile_worlds.json").read_text(encoding="utf-8"))
MAX_SECONDS = 8.0  # of this thread's work
MAX_MEMORY = 160 << 20


def grown(value: Any) -> Any:
    """`value` with its stand-ins written out."""
    if isinstance(value, list):
        return [grown(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$repeat" in value:
        return value["$repeat"] * value["times"]
    if "$nan" in value:
        return float("nan")
    if "$range" in value:
        before, after = json.dumps(value.get("item", "{}")).split("{}")
        numbers = (f"{before}{number}{after}" for number in range(value["$range"]))
        return json.loads(f"[{','.join(numbers)}]")
    if "$nest" in value:
        inner: dict[str, Any] = {}
        for _ in range(value["times"]):
            inner = value["$nest"] | {value["key"]: inner}
        return inner
    return {key: grown(item) for key, item in value.items()}


def put(body: Any, path: str, value: Any) -> None:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        body = body[part]
    body[last] = value


def body_of(case: dict[str, Any]) -> dict[str, Any]:
    body = desk_spec().model_dump(mode="json")
    for path, value in case.get("set", ()):
        put(body, path, grown(value))
    if "probe" in case:
        body["toolkits"][0]["tools"].append({"name": "probe", "description": "A probe."} | grown(case["probe"]))
    return body


def test_there_are_at_least_60_cases() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_hostile_world(case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    body = body_of(case)
    started, held = time.thread_time(), apsw.memory_used()
    apsw.memory_high_water(True)
    tracemalloc.start()
    try:
        if case["expect"] == "refused":
            with pytest.raises((SpecError, ValidationError)):
                compile_world(WorldSpec.model_validate(body))
        else:
            tool, arguments = case.get("call", ("probe", case.get("arguments")))
            _is_contained(compile_world(WorldSpec.model_validate(body)), tool, arguments)
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY
    finally:
        tracemalloc.stop()
    assert apsw.memory_high_water() - held < MAX_MEMORY
    assert time.thread_time() - started < MAX_SECONDS
    assert list(tmp_path.iterdir()) == []


def _is_contained(image: Any, tool: str, arguments: Any) -> None:
    """The call gives a result of bounded size, or `NoResult` by the world's fault; the world goes on."""
    with World.open(image, seed=1) as world:
        before = world.digest()
        try:
            result = world.call(tool, arguments)
        except NoResult:
            result = None
        if result is not None:
            assert len(result.text.encode()) <= MAX_RESULT_BYTES
            json.loads(result.text)
            assert result.ok or world.digest() == before
        assert world.digest() == before or image.tools[tool].spec.effect == "write"
        world.write_set()
        assert world.call("find_members", {"name": "grace"}).ok


def test_no_schema_is_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        case = {"probe": {"effect": "read", "parameters": {"x": {"$ref": url}}, "steps": [{"give": "SELECT 1 AS one"}]}}
        with pytest.raises(SpecError, match="ref"):
            compile_world(WorldSpec.model_validate(body_of(case)))
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_query_of_the_control_plane_cannot_write() -> None:
    image = compile_world(desk_spec())
    with World.open(image, seed=1) as world:
        assert world.call("end_loan", {"loan_id": "loan-1"}).ok  # the statement is now prepared
        before = world.digest()
        for sql in ("DELETE FROM loans RETURNING id", image.tools["end_loan"].steps[0].sql):
            with pytest.raises(apsw.AuthError):
                world.query(sql, {"loan_id": "loan-1"})
        assert world.digest() == before


SQL = ("1", ";", "--", "'", '"', ")", "(", "/*", " UNION SELECT sql FROM sqlite_master", " RETURNING *", ":x", "NULL",
       " OR random()", "x'00'", "\x00", "é", "count(*)", ",", "*", " LIMIT 0", "page")  # fmt: skip
STRANGE: tuple[Any, ...] = (None, True, 0, -1, 1.5, 2**70, "", "x", [], {}, [1], {"a": 1}, float("inf"), "\ud800")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [inner for key, item in pairs for inner in ((*path, key), *places(item, (*path, key)))]


BODY = desk_spec().model_dump(mode="json")
PLACES = places(BODY)
mutation = st.tuples(
    st.sampled_from(PLACES),
    st.one_of(
        st.just(("drop", None)),
        st.sampled_from(STRANGE).map(lambda value: ("set", value)),
        st.tuples(st.sampled_from(SQL), st.integers(0, 80)).map(lambda pair: ("splice", pair)),
    ),
)


def mutate(body: Any, path: tuple[Any, ...], how: tuple[str, Any]) -> None:
    try:
        for part in path[:-1]:
            body = body[part]
        old = body[path[-1]]
    except (KeyError, IndexError, TypeError):
        return  # an earlier mutation took the place away
    kind, value = how
    if kind == "drop":
        del body[path[-1]]
    elif kind == "set":
        body[path[-1]] = copy.deepcopy(value)
    elif isinstance(old, str):
        text, place = value
        body[path[-1]] = old[:place] + text + old[place:]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(mutation, min_size=1, max_size=3))
def test_a_mutated_world_is_refused_or_works(mutations: list[tuple[tuple[Any, ...], tuple[str, Any]]]) -> None:
    body = copy.deepcopy(BODY)
    for path, how in mutations:
        mutate(body, path, how)
    try:
        spec = WorldSpec.model_validate(body)
        compile_world(spec)
    except (SpecError, ValidationError):
        return
    report = check_world(spec, rounds=3)
    assert {problem.rule for problem in report.problems} <= {"no internal error"}, report.problems


@pytest.mark.parametrize("image", [device_image, autoslurp_image], ids=["toolkit", "autoslurp"])
def test_no_text_breaks_a_tool_that_ships(image: Callable[[], WorldImage]) -> None:
    """Whatever a model writes is answered: `NoResult` would take the episode out of its score."""
    source = ArgumentSource(image().spec, 0)
    with World.open(image(), seed=1) as world:
        for name, tool in image().tools.items():
            given = source.draw(tool.spec)
            texts = [key for key, schema in tool.spec.parameters.items() if schema.get("type") == "string"]
            for key, text in product(texts, ('C:\\data "x"', "nul\0nul", "[]', 'a')--")):
                world.call(name, given | {key: text})
